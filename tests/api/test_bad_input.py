"""What is refused at submission: it names the field and the remedy, and leaves nothing behind."""

import io
import tarfile
import zipfile
from typing import Any

import pytest

from tests.rest_service import MAX_UPLOAD, Service, an_expired_key, archive, job_file, submit, upload

LR = {"type": "float", "min": 1e-4, "max": 0.3, "scale": "log"}
BAD_JOBS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # changes, field, part of the message, part of the remedy
    "unknown field": ({"budgt": {}}, "budgt", "not a known field", "'budget'"),
    "unknown field below": ({"budget": {"trials": 4, "paralel": 2}}, "budget.paralel", "not a known", "'parallel'"),
    "unknown field of a parameter": (
        {"space": {"lr": {**LR, "scal": "log"}}},
        "space.lr.scal",
        "not a known field",
        "'scale'",
    ),
    "empty space": ({"space": {}}, "space", "empty", "at least one"),
    "min above max": ({"space": {"lr": {**LR, "min": 0.5}}}, "space.lr.min", "greater than max", "Swap"),
    "log scale over zero": ({"space": {"lr": {**LR, "min": 0}}}, "space.lr.min", "above zero", "Raise min"),
    "condition on nobody": (
        {"space": {"lr": {**LR, "when": {"optimiser": ["sgd"]}}}},
        "space.lr.when.optimiser",
        "",
        "",
    ),
    "condition in a circle": (
        {
            "space": {
                "a": {"type": "categorical", "values": [1, 2], "when": {"b": [1]}},
                "b": {"type": "categorical", "values": [1, 2], "when": {"a": [1]}},
            }
        },
        "space.a.when",
        "cycle",
        "cannot depend on itself",
    ),
    "program without the command's file": ({"command": "python missing.py"}, "command", "missing.py", ""),
    "no such program": ({"program": "0" * 64}, "program", "uploaded", "/v1/programs"),
    "no such framework": ({"framework": "pytroch"}, "framework", "not supported", "pytorch"),
    "no such algorithm": ({"algorithm": {"name": "tep"}}, "algorithm.name", "tep", "tpe"),
    "unknown option": ({"algorithm": {"name": "random", "options": {"x": 1}}}, "algorithm.options.x", "", ""),
    "digest of what is built in": (
        {"algorithm": {"name": "random", "digest": "0" * 64}},
        "algorithm.digest",
        "built in",
        "Leave it out",
    ),
    "NUL in a metric": ({"stored_metrics": ["loss", "a\0b"]}, "stored_metrics.1", "cannot be stored", "NUL"),
    "NUL in the program": ({"program": "a\0b"}, "program", "cannot be stored", "NUL"),
    "NUL in an earlier job": ({"warm_start": ["job_\0"]}, "warm_start.0", "cannot be stored", "NUL"),
    "half a character": ({"command": "python train.py \ud800"}, "command", "cannot be stored", "surrogate"),
    "budget of no trials": ({"budget": {"trials": 0}}, "budget.trials", "at least 1", "Raise"),
    "budget of no minutes": ({"budget": {"trials": 1, "minutes": 0}}, "budget.minutes", "above zero", "no limit"),
    "a GPU and a half": ({"resources": {"gpus": 1.5}}, "resources.gpus", "neither a fraction", "0.25"),
    "less than nothing of a GPU": ({"resources": {"gpus": -1}}, "resources.gpus", "neither a fraction", "0.25"),
    "a GPU that is none": ({"resources": {"gpus": float("nan")}}, "resources.gpus", "", ""),
    "next to nothing of a GPU": ({"resources": {"gpus": 1e-320}}, "resources.gpus", "0.01", "0.25"),
    "more GPUs than there are": ({"resources": {"gpus": 1e9}}, "resources.gpus", "1000000", ""),
    "more CPUs than there are": ({"resources": {"cpus": 10**30}}, "resources.cpus", "at most 1000000", "Lower"),
    "more parallel than quota": (
        {"budget": {"trials": 9, "parallel": 5}},
        "budget.parallel",
        "quota of 4",
        "at most 4",
    ),
    "two environments": (
        {"environment": {"name": "lts", "requirements": "requirements.txt"}},
        "environment",
        "has name and requirements",
        "Give one",
    ),
    "no such environment": (
        {"environment": {"name": "tf-2.20"}},
        "environment.name",
        "'tf-2.20' is no environment of this deployment",
        "Use one of lts, tf-2.21.",
    ),
    "no such requirements": (
        {"environment": {"requirements": "reqs.txt"}},
        "environment.requirements",
        "reqs.txt is not in the program",
        "Put the file into the program's folder.",
    ),
    "requirements of somebody else": (
        {"environment": {"requirements": "../requirements.txt"}},
        "environment.requirements",
        "no file in the program's folder",
        "requirements.txt",
    ),
    "archive on no server": (
        {"environment": {"archive": "s3://bucket/env.tar.gz"}},
        "environment.archive",
        "no URL that an environment could be fetched from",
        "https://",
    ),
    "unknown kind of environment": ({"environment": {"conda": "tf"}}, "environment.conda", "not a known", "archive"),
    "wrong type": ({"budget": {"trials": "many"}}, "budget.trials", "integer", "'many'"),
    "no such goal": ({"objective": {"metric": "loss", "goal": "best"}}, "objective.goal", "", "'best'"),
    "more trials than anybody can count": ({"budget": {"trials": 10**12}}, "budget.trials", "1000000", "Got"),
    "no space at all": ({"space": None}, "space", "", ""),
}


@pytest.mark.parametrize("case", BAD_JOBS)
def test_a_bad_job_names_field_and_remedy_and_leaves_nothing(service: Service, case: str) -> None:
    changes, field, message, remedy = BAD_JOBS[case]
    with service.http() as http:
        answer = submit(http, **changes)
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["type"] == "urn:tuning-service:problem:invalid-request"
        assert problem["status"] == 422
        assert problem["instance"] == "/v1/tuning-jobs"
        found = {error["field"]: error for error in problem["errors"]}
        assert field in found, problem
        assert message in found[field]["message"]
        assert remedy in found[field]["remedy"]
        assert found[field]["remedy"]
        assert http.get("/v1/tuning-jobs").json()["items"] == []
    assert service.notified == []


def test_all_problems_are_told_at_once(service: Service) -> None:
    changes = {"space": {"lr": {**LR, "min": 2}, "n": {"type": "int", "min": 3, "max": 8, "scale": "pow2"}}}
    with service.http() as http:
        answer = http.post("/v1/tuning-jobs", json=job_file("0" * 64, **changes, budget={"trials": 0}))
    assert {error["field"] for error in answer.json()["errors"]} >= {"space.lr.min", "space.n.min", "budget.trials"}


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil.py", "a/../../evil.py"])
def test_an_archive_that_leaves_its_folder_is_refused(service: Service, name: str) -> None:
    with service.http() as http:
        answer = http.post("/v1/programs", content=archive({"train.py": b"", name: b"x"}))
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "program"
        assert "evil.py" in answer.json()["errors"][0]["message"]
        assert http.get("/v1/programs").json()["items"] == []


def test_what_is_no_archive_is_refused(service: Service) -> None:
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w:gz") as tar:
        info = tarfile.TarInfo("out")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with service.http() as http:
        for data in (b"", b"hello", archive()[:60], link.getvalue()):
            assert http.post("/v1/programs", content=data).status_code == 422
        assert http.get("/v1/programs").json()["items"] == []


def test_zip_and_form_uploads_work(service: Service) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("train.py", "print(1)")
    with service.http() as http:
        first = http.post("/v1/programs", files={"file": ("program.zip", buffer.getvalue())})
        second = http.post("/v1/programs", content=buffer.getvalue(), headers={"Content-Type": "application/zip"})
        assert first.status_code == second.status_code == 201
        assert first.json()["digest"] == second.json()["digest"]
        assert http.get(first.headers["location"]).json()["files"] == ["train.py"]
        wrong = http.post("/v1/programs", files={"archive": ("program.zip", buffer.getvalue())})
        assert wrong.json()["errors"][0]["field"] == "file"


def test_an_upload_over_the_limit_is_refused_while_it_is_read(service: Service) -> None:
    sent = 0

    def endless() -> Any:
        nonlocal sent
        while True:
            sent += 65536
            yield b"x" * 65536

    with service.http() as http:
        assert http.post("/v1/programs", content=b"x" * (MAX_UPLOAD + 200_000)).status_code == 413
        assert http.post("/v1/programs", content=b"x" * (MAX_UPLOAD + 1)).status_code == 413
        form = {"file": ("p.zip", b"x" * (MAX_UPLOAD + 200_000))}
        assert http.post("/v1/programs", files=form).status_code == 413
        assert http.post("/v1/programs", content=endless()).status_code == 413
        assert http.post("/v1/tuning-jobs", content=endless()).status_code == 413
    assert sent < 100 * 2**20  # what the sockets' buffers took in


def test_broken_json_names_the_place(service: Service) -> None:
    with service.http() as http:
        answer = http.post("/v1/tuning-jobs", content=b'{"name": "x", 5}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "character 14" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"name": ' + b"9" * 5000 + b"}",
        b'{"seed": 1e999}',
        b"\xff\xfe",
        b'{"name": "\\ud800"}',
        b'{"space": {"lr": {"type": "float", "min": NaN, "max": Infinity}}}',
        b"null",
        b'"text"',
        b"",
    ],
)
def test_strange_bodies_are_the_senders_fault(service: Service, body: bytes) -> None:
    with service.http() as http:
        answer = http.post("/v1/tuning-jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v1/tuning-jobs?limit=0", 422, "limit"),
        ("/v1/tuning-jobs?limit=1001", 422, "limit"),
        ("/v1/tuning-jobs?cursor=nonsense", 422, "cursor"),
        ("/v1/tuning-jobs?cursor=WzFd", 422, "cursor"),
        ("/v1/tuning-jobs?cursor=%C3%A9", 422, "cursor"),
        ("/v1/tuning-jobs?status=happy", 422, "status"),
        ("/v1/programs?cursor=%00", 422, "query"),
        ("/v1/tuning-jobs/%00", 404, None),
        ("/v1/tuning-jobs/job_none", 404, None),
        ("/v1/tuning-jobs/job_none/trials/-1", 422, "number"),
        ("/v1/tuning-jobs/job_none/trials/99999999999999999999", 422, "number"),
        ("/v1/nothing", 404, None),
    ],
)
def test_bad_addresses(service: Service, path: str, status: int, field: str | None) -> None:
    with service.http() as http:
        answer = http.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if field:
        assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_wrong_method_is_a_problem_document_too(service: Service) -> None:
    with service.http() as http:
        answer = http.put("/v1/tuning-jobs")
    assert answer.status_code == 405
    assert answer.json()["title"] == "Method Not Allowed"
    assert "GET" in answer.headers["allow"] or "POST" in answer.headers["allow"]


def test_a_key_that_expired_submits_nothing(service: Service) -> None:
    with service.http() as http:
        program = upload(http)
    with service.http(an_expired_key(service)) as http:
        assert http.post("/v1/tuning-jobs", json=job_file(program)).status_code == 401
    with service.http() as http:
        assert http.get("/v1/tuning-jobs").json()["items"] == []


def test_another_tenants_program_cannot_be_named(service: Service) -> None:
    with service.http() as http:
        program = upload(http)
    with service.http(service.keys["speech/member"]) as stranger:
        answer = stranger.post("/v1/tuning-jobs", json=job_file(program))
        assert [error["field"] for error in answer.json()["errors"]] == ["program"]
        assert stranger.get("/v1/tuning-jobs").json()["items"] == []


def test_a_body_that_is_not_declared_as_json_is_told_how(service: Service) -> None:
    with service.http() as http:
        answer = http.post(
            "/v1/tuning-jobs", content=b"{}", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["errors"][0]["remedy"]


def test_an_overlong_idempotency_key_is_refused(service: Service) -> None:
    with service.http() as http:
        body = job_file(upload(http))
        answer = http.post("/v1/tuning-jobs", json=body, headers={"Idempotency-Key": "x" * 300})
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == ["idempotency-key"]
        assert "200" in answer.json()["detail"]
        assert http.get("/v1/tuning-jobs").json()["items"] == []
