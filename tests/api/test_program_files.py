"""Looking into an uploaded program."""

import io
import tarfile
from pathlib import Path

import httpx
import pytest

from tests.rest_service import Service, archive
from tuning_service.runner import bundle

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits_caffe"


def upload(service: Service, data: bytes) -> str:
    with service.http() as http:
        answer = http.post("/v1/programs", content=data)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["digest"])


def look(service: Service, digest: str, path: str, key: str | None = None) -> httpx.Response:
    with service.http(key) as http:
        return http.get(f"/v1/programs/{digest}/files/{path}")


def test_the_text_of_a_file(service: Service) -> None:
    files = {
        "train.py": b"print('<script>')\n",
        "a/b c/ü.txt": "ünï\r\n".encode(),
        "model.bin": b"\x00\x01",
        "latin.txt": "ü".encode("latin-1"),
        "empty.txt": b"",
        # The limit falls into a character.
        "long.txt": b"x" + "ü".encode() * 70_000 + b"\n" * 130_000,
    }
    digest = upload(service, archive(files))
    answer = look(service, digest, "train.py")
    assert (answer.status_code, answer.content) == (200, files["train.py"])
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-content-complete"] == "true"
    assert look(service, digest, "a/b%20c/%C3%BC.txt").content == files["a/b c/ü.txt"]
    assert look(service, digest, "empty.txt").content == b""
    answer = look(service, digest, "long.txt")
    assert answer.headers["x-content-complete"] == "false"
    assert files["long.txt"].startswith(answer.content)
    assert len(answer.content) == 256 * 1024
    for name in ("model.bin", "latin.txt"):
        answer = look(service, digest, name)
        assert (answer.status_code, answer.json()["title"]) == (415, "Not a text")
        assert name in answer.json()["detail"]
    for name in ("other.py", "../train.py", "..%2ftrain.py", "a", "a/"):
        assert look(service, digest, name).status_code == 404, name
    assert look(service, digest, "train.py", service.keys["speech/member"]).status_code == 404
    assert look(service, digest, "train.py", service.keys["vision/viewer"]).status_code == 200
    with service.client() as client:
        assert client.program_file(digest, "a/b c/ü.txt") == "ünï\r\n"


def test_a_link_is_not_followed(service: Service) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        plain = tarfile.TarInfo("train.py")
        plain.size = 1
        tar.addfile(plain, io.BytesIO(b"x"))
        link = tarfile.TarInfo("again.py")
        link.type, link.linkname = tarfile.SYMTYPE, "train.py"
        tar.addfile(link)
    answer = look(service, upload(service, buffer.getvalue()), "again.py")
    assert answer.status_code == 415
    assert "is a link" in answer.json()["detail"]


def test_the_placeholders_of_the_example(service: Service) -> None:
    digest = upload(service, bundle.pack(EXAMPLE))
    with service.client() as client:
        found = client.placeholders(digest)
        space = client.example("digits_caffe")["file"]["space"]
    by_name = {item["name"]: item for item in found}
    assert set(by_name) == set(space)  # TRAIN, MAX and CPU are choices of Caffe's own
    for item in found:
        line = (EXAMPLE / item["file"]).read_text().splitlines()[item["line"] - 1]
        assert line[item["column"] - 1 :].startswith(item["name"])
    assert [item["name"] for item in found].count("LR_MULT_IP_W") == 2
    rate = by_name["BASE_LR"]
    assert (rate["file"], rate["field"], rate["block"]) == ("solver.prototxt", "base_lr", "")
    assert rate["parameter"] == {"type": "float", "min": 1e-4, "max": 1e-1, "scale": "log"}
    width = by_name["NUM_OUTPUT_1"]
    assert (width["field"], width["block"]) == ("num_output", "convolution_param")
    assert width["parameter"] == {"type": "int", "min": 8, "max": 128, "scale": "pow2"}
    assert by_name["SOLVER_TYPE"]["parameter"]["values"][:2] == ["SGD", "Adam"]
    assert by_name["POOL_1"]["parameter"] == {"type": "categorical", "values": ["MAX", "AVE"]}
    # What is suggested is a space that a job of this program is accepted with.
    with service.client() as client:
        document = client.example("digits_caffe")["file"]
        suggested = {item["name"]: item["parameter"] for item in found}
        problems = client.preview({**document, "program": digest, "space": suggested})["problems"]
    assert problems == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("name: \"BASE_LR\" # MOMENTUM\nnet: 'X'", []),
        ("solver_mode: GPU test_initialization: true base_lr: inf", []),
        ("base_lr: lr", [("lr", 1, 10, "float")]),
        ("layer {\n  dropout_param { dropout_ratio: DROP_0 }\n}", [("DROP_0", 2, 34, "float")]),
        ("test_iter: A display: B_2", [("A", 1, 12, "int"), ("B_2", 1, 23, "int")]),
        ("debug_info: D", [("D", 1, 13, "bool")]),
        ("layer { eltwise_param { operation: OP } }", [("OP", 1, 36, "categorical")]),
        ("layer { crop_param { offset: [O1, O2] } }", [("O1", 1, 31, "int"), ("O2", 1, 35, "int")]),
        ("train_net: FILE", [("FILE", 1, 12, None)]),
        ("} } { { x: A", [("A", 1, 12, None)]),
        ("no prototxt at all, just words", []),
    ],
)
def test_where_placeholders_stand(text: str, expected: list[tuple[str, int, int, str | None]]) -> None:
    from tuning_service.frameworks.placeholders import find_placeholders

    found = find_placeholders({"a.prototxt": text})
    told = [(p.name, p.line, p.column, p.parameter["type"] if p.parameter else None) for p in found]
    assert told == expected


def test_programs_without_templates_and_unknown_ones(service: Service) -> None:
    digest = upload(service, archive({"train.py": b"X", "broken.prototxt": b"\xff", "huge.prototxt": b"x: A\n" * 5000}))
    with service.http() as http:
        assert len(http.get(f"/v1/programs/{digest}/placeholders").json()["items"]) == 1000
        assert http.get(f"/v1/programs/{'0' * 64}/placeholders").status_code == 404
