"""A look at job files before they are submitted."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.rest_service import Driver, Service, job_file, upload
from tuning_service.domain.space import Space

CAFFE = {
    "solver.prototxt": b'net: "net.prototxt" base_lr: BASE_LR max_iter: 10 lr_policy: "fixed"',
    "net.prototxt": b'layer { name: "d" type: "DummyData" top: "d"',
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all: looking changes nothing."""
    service = Service(tmp_path_factory.mktemp("previews"))
    with service.served():
        yield service
    service.close()


def preview(service: Service, source: Any, key: str | None = None, **wish: Any) -> dict[str, Any]:
    body = {"yaml" if isinstance(source, str) else "file": source, **wish}
    with service.http(key) as http:
        answer = http.post("/v1/tuning-jobs/preview", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def uploaded(service: Service, files: dict[str, bytes] | None = None) -> str:
    with service.http() as http:
        return upload(http, files)


def refusal(service: Service, document: dict[str, Any]) -> list[dict[str, str]]:
    with service.http() as http:
        answer = http.post("/v1/tuning-jobs", json=document)
    assert answer.status_code == 422, answer.text
    errors: list[dict[str, str]] = answer.json()["errors"]
    return errors


def unplaced(problems: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{name: p[name] for name in ("field", "message", "remedy")} for p in problems]


def test_a_job_file_that_is_right(service: Service) -> None:
    document = job_file(uploaded(service), budget={"trials": 4, "failures": 10, "parallel": 2}, seed=0)
    found = preview(service, document)
    assert found["problems"] == []
    assert found["file"]["budget"] == {
        "trials": 4,
        "parallel": 2,
        "minutes": None,
        "trial_minutes": None,
        "failures": 10,
    }
    assert list(found["file"])[:6] == ["name", "framework", "program", "command", "arguments", "space"]
    assert found["file"]["arguments"] == "flags"
    lean = yaml.safe_load(found["yaml"])
    assert list(lean) == ["name", "framework", "program", "command", "space", "objective", "algorithm", "budget"]
    assert lean["budget"] == {"trials": 4, "parallel": 2}
    space = Space.from_dict(document["space"])
    assert len(found["samples"]) == 8
    for params in found["samples"]:
        space.check(params)
    assert len({json.dumps(params) for params in found["samples"]}) == 8
    # Spread over the range as its scale has it: no half of the decades is empty.
    rates = sorted(params["lr"] for params in found["samples"])
    assert rates[1] < 0.0055 < rates[-2]
    assert found["grid_size"] is None
    with service.http() as http:
        assert http.get("/v1/tuning-jobs").json()["items"] == []


def test_yaml_and_json_of_the_same_job_say_the_same(service: Service) -> None:
    document = job_file(uploaded(service))
    as_json = preview(service, document, samples=3, seed=5)
    as_yaml = preview(service, yaml.safe_dump(document, sort_keys=False), samples=3, seed=5)
    again = preview(service, as_json["yaml"], samples=3, seed=5)
    for name in ("samples", "file", "yaml", "problems"):
        assert as_yaml[name] == as_json[name] == again[name], name
    assert preview(service, document, samples=3, seed=6)["samples"] != as_json["samples"]


@pytest.mark.parametrize(
    "change",
    [
        {"space": {"lr": {"type": "float", "min": 2, "max": 1}}, "budget": {"trials": 0}},
        {"budgett": 1, "space": {"lr": {"type": "real"}}},
        {"name": 1, "framework": "theano"},
        {"framework": "theano", "algorithm": {"name": "tpee"}, "budget": {"trials": 2, "parallel": 99}},
        {"constraints": ["lr > 1"]},
        {"points": [{"lr": 5}]},
        {"warm_start": ["job_0"], "pool": "nowhere", "environment": {"name": "none"}},
        {"program": "0" * 64, "command": ""},
        {"space": {}},
        {"objective": []},
    ],
)
def test_the_problems_are_those_of_a_submission(service: Service, change: dict[str, Any]) -> None:
    document = job_file(uploaded(service)) | change
    told = unplaced(preview(service, document)["problems"])
    refused = refusal(service, document)
    assert refused
    assert [problem for problem in refused if problem not in told] == []


def test_what_a_submission_finds_step_by_step_comes_at_once(service: Service) -> None:
    document = job_file("", framework="theano", space={"lr": {"type": "float", "min": 1, "max": 2}}) | {
        "constraints": ["lr > 3"]
    }
    del document["program"]
    found = preview(service, document)
    assert {problem["field"] for problem in found["problems"]} == {"program", "framework", "constraints.0"}
    assert [p["message"] for p in found["problems"] if p["field"] == "program"] == ["is missing."]
    assert found["file"]["framework"] == "theano"


def test_a_space_is_shown_though_the_rest_is_missing(service: Service) -> None:
    found = preview(service, "space:\n  n: {type: int, min: 1, max: 3}\n  b: {type: bool, when: {n: [1, 2]}}\n")
    assert {problem["field"] for problem in found["problems"]} >= {"name", "program", "objective", "budget"}
    assert found["file"] is None
    assert found["document"] == {
        "space": {"n": {"type": "int", "min": 1, "max": 3}, "b": {"type": "bool", "when": {"n": [1, 2]}}}
    }
    assert found["grid_size"] == 5
    every = [{"n": 1, "b": False}, {"n": 1, "b": True}, {"n": 2, "b": False}, {"n": 2, "b": True}, {"n": 3}]
    assert sorted(found["samples"], key=str) == sorted(every, key=str)
    assert "No more than 5" in " ".join(found["notes"])


def test_problems_of_a_text_have_the_line_of_their_field(service: Service) -> None:
    text = (
        "name: x\nframework: pytorch\nprogram: p\ncommand: python train.py\n"
        "space:\n  lr:\n    type: float\n    min: 2\n    max: 1\n  o: {type: categorical, valuess: [a]}\n"
        "objective: {metric: loss, goal: minimize}\nbudget:\n  parallel: 2\n"
    )
    at = {p["field"]: (p["line"], p["column"]) for p in preview(service, text)["problems"]}
    assert at["space.o.valuess"] == (10, 26)
    assert at["budget.trials"] == (12, 1)  # where it would stand
    right = text.replace("valuess", "values").replace("parallel: 2", "trials: 2")
    at = {p["field"]: (p["line"], p["column"]) for p in preview(service, right)["problems"]}
    assert at == {"space.lr.min": (8, 5)}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: x\nspace: {a: 1\nbudget: 2\n", 3, "closing }"),
        ("name: 'x\n\n", 3, "a quote is opened and never closed"),
        ("name: x\n\tframework: y\n", 2, "tab"),
        ("name: a: b\n", 1, "The line: name: a: b"),
        ("name: @x", 1, "quotes"),
        ("name: x\nseed: 1\nname: y\n", 3, "name stands here again; it stands in line 1 already"),
        ("space:\n  lr: {min: 1, min: 2}\n", 2, "min stands here again"),
        ("a: !!python/name:os.system x", 1, "tag"),
        ("a: *b", 1, "*"),
        ("a: &a [*a]", 1, "10,000 values"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{n}: &{n} [{','.join([f'*{p}'] * 10)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)),
            None,
            "10,000 values",
        ),
        ("[" * 5000, 1, "nested too deeply"),
        ("a: \x07", 1, "cannot be seen"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("just words", None, "holds no fields"),
        ("", None, "holds no fields"),
    ],
)
def test_a_text_that_is_no_job_file(service: Service, text: str, line: int | None, words: str) -> None:
    found = preview(service, text)
    (problem,) = found["problems"]
    assert problem["field"] == "yaml"
    assert words in problem["message"] + problem["remedy"]
    assert line is None or problem["line"] == line
    assert found["file"] is found["yaml"] is None


def test_words_and_numbers_are_read_as_json_has_them(service: Service) -> None:
    text = "space:\n  o: {type: categorical, values: [on, no, 1e-4, 2001-01-01, =]}\n  1: {type: bool}\n"
    space = preview(service, text)["document"]["space"]
    assert space == {
        "o": {"type": "categorical", "values": ["on", "no", 0.0001, "2001-01-01", "="]},
        "1": {"type": "bool"},
    }


def test_constraints_are_kept_in_samples_however_little_they_leave(service: Service) -> None:
    line = {"type": "float", "min": 0, "max": 1}
    document = job_file(uploaded(service), space={"a": line, "b": line}, constraints=["abs(a - b) < 1e-4"])
    found = preview(service, document, samples=20)
    assert len(found["samples"]) == 20
    assert all(abs(params["a"] - params["b"]) < 1e-4 for params in found["samples"])


def test_constraints_that_leave_nothing_do_not_hang(service: Service) -> None:
    line = {"type": "float", "min": 0, "max": 1}
    space = {f"p{i}": line for i in range(40)}
    hopeless = [f"p0 + p{i} + exp(p2) > 9" for i in range(40)]
    found = preview(service, {"space": space, "constraints": hopeless})
    assert found["samples"] == []
    assert "4,096 tries" in found["notes"][-1]


def test_a_chain_of_as_many_conditions_as_there_may_be_is_looked_at(service: Service) -> None:
    chain: dict[str, Any] = {"p0": {"type": "bool"}}
    chain |= {f"p{i}": {"type": "bool", "when": {f"p{i - 1}": [True]}} for i in range(1, 501)}
    (told,) = [p["message"] for p in preview(service, {"space": chain})["problems"] if p["field"] == "space"]
    assert "at most 500" in told
    del chain["p500"]
    found = preview(service, {"space": chain, "constraints": ["p499 or not p250"]}, samples=5)
    assert len(found["samples"]) == 5


def test_the_number_of_configurations(service: Service) -> None:
    whole = {"type": "int", "min": 0, "max": 2**53}
    tangled = {f"p{i}": {"type": "bool"} for i in range(30)}
    tangled |= {f"q{i}": {"type": "bool", "when": {f"p{i}": [True]}} for i in range(30)}
    for space, constraints, size, words in (
        ({"a": {"type": "bool"}, "b": {"type": "int", "min": 8, "max": 64, "scale": "pow2"}}, [], 8, ""),
        ({"a": {"type": "float", "min": 0, "max": 1, "step": 0.25}}, ["a > 0.5"], 5, "includes those"),
        ({"a": whole, "b": whole}, [], None, "more than 9,007"),
        (tangled, [], None, "too many"),
    ):
        found = preview(service, {"space": space, "constraints": constraints}, samples=0)
        assert (found["grid_size"], found["samples"]) == (size, [])
        assert words in " ".join(found["notes"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"yaml": "a: 1", "file": {}},
        {"yaml": "x" * 70_000},
        {"file": {}, "samples": 51},
        {"file": []},
        {"file": {}, "more": 1},
    ],
)
def test_a_request_that_is_wrong_itself(service: Service, body: dict[str, Any]) -> None:
    with service.http() as http:
        assert http.post("/v1/tuning-jobs/preview", json=body).status_code == 422


def test_strange_values_are_shown_and_refused(service: Service) -> None:
    body = (
        b'{"file": {"name": "\\ud800", "seed": NaN, "\\ud801": [[1e999]],'
        b' "space": {"x": {"type": "fixed", "value": "\\udfff"}}}}'
    )
    with service.http() as http:
        answer = http.post("/v1/tuning-jobs/preview", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text
        assert "space.x.value" in {problem["field"] for problem in answer.json()["problems"]}
        deep = {"file": json.loads('{"a":' * 60 + "1" + "}" * 60)}
        answer = http.post("/v1/tuning-jobs/preview", json=deep)
    assert "nested" in answer.json()["problems"][0]["message"]


def test_a_caffe_program_is_looked_into(service: Service) -> None:
    digest = uploaded(service, CAFFE)
    document = job_file(digest, framework="caffe", space={"BASE_RL": {"type": "float", "min": 0, "max": 1}})
    del document["command"]
    for _ in range(2):  # the second time from what was kept of the program
        found = unplaced(preview(service, document)["problems"])
        assert found == refusal(service, document)
        assert "space.BASE_RL" in {problem["field"] for problem in found}
    assert "command" not in yaml.safe_load(
        preview(service, document | {"command": "caffe train --solver=solver.prototxt"})["yaml"]
    )


def test_who_may_look(service: Service, driver: Driver) -> None:
    with service.client() as client:
        document = client.job(driver.job_id)["spec"]
    assert preview(service, document, service.keys["vision/viewer"])["problems"] == []
    # Another tenant's program is not there, and neither are its jobs.
    found = preview(service, document | {"warm_start": [driver.job_id]}, service.keys["speech/member"])
    assert {problem["field"] for problem in found["problems"]} == {"program", "warm_start.0"}
    with service.http(service.operator_key) as http:
        assert http.post("/v1/tuning-jobs/preview", json={"file": document}).status_code == 403


def test_what_may_be_other_than_was_meant_is_a_note(service: Service, driver: Driver) -> None:
    with service.client() as client:
        spec = client.job(driver.job_id)["spec"]
        few = {"optimizer": spec["space"]["optimizer"]}

        def notes(trials: int, parallel: int, **changes: Any) -> list[str]:
            budget = {"trials": trials, "parallel": parallel}
            return client.preview(spec | {"budget": budget} | changes, samples=1)["notes"]

        assert notes(4, 4) == []
        assert notes(2, 4) == ["budget.parallel is 4, which is more than budget.trials, 2."]
        assert notes(3, 1, space=few) == ["budget.trials is 3, and no more than 2 configurations can be tried."]
        room = "budget.parallel is 4, and the pool 'default' has room for 2 such trials."
        assert notes(9, 4, resources={"cpus": 4}) == [room]
        assert notes(9, 4, resources={"gpus": 1}) == [room]
        large = "It would wait now: the pool 'default' has no room for a trial of 9 CPUs and 1 GPUs."
        assert notes(9, 4, resources={"cpus": 9, "gpus": 1}) == [large]
        operator = service.principal(service.operator_key)
        service.pools.change(operator, "default", drained=True)
        assert notes(9, 4) == ["It would wait now: the pool 'default' is drained."]
        service.pools.change(operator, "default", drained=False)
        with service.store.write() as unit:
            unit.pools.forget("controller-1", time.time())
        assert notes(9, 4) == ["It would wait now: no controller serves the pool 'default' at present."]


def test_a_used_up_quota_is_a_note(service: Service, driver: Driver) -> None:
    operator = service.principal(service.operator_key)
    service.access.change_tenant(operator, "vision", max_jobs=1)
    with service.client() as client:
        found = client.preview(client.job(driver.job_id)["spec"])
    assert found["problems"] == []
    service.access.change_tenant(operator, "vision", max_jobs=None)
    assert "quota is " in found["notes"][0]
