"""Prototxt jobs over REST: texts come from the uploaded program, and the command has a default."""

import pytest

from tests.frameworks.test_caffe import NET, SOLVER
from tests.rest_service import Service, job_file, upload

SPACE = {
    "BASE_LR": {"type": "float", "min": 1e-4, "max": 0.1, "scale": "log"},
    "KERNEL": {"type": "int", "min": 3, "max": 15},
}


def submit(http, net=NET, solver=SOLVER, **changes):
    program = upload(http, {"solver.prototxt": solver.encode(), "net.prototxt": net.encode()})
    file = job_file(program, framework="caffe", space=SPACE)
    file["objective"] = {"metric": "loss", "goal": "minimize"}
    del file["command"]
    return http.post("/v1/tuning-jobs", json=file | changes)


def test_the_command_may_be_left_out_where_the_framework_has_one(service: Service) -> None:
    with service.http() as http:
        answer = submit(http)
        assert answer.status_code == 201, answer.text
        assert answer.json()["spec"]["command"] == "caffe train --solver=solver.prototxt"
        schema = http.get("/openapi.json").json()["components"]["schemas"]["JobFile"]
        assert "command" not in schema["required"]
        assert "program" in schema["required"]


def test_elsewhere_it_is_missing_as_it_was(service: Service) -> None:
    with service.http() as http:
        file = job_file(upload(http))
        del file["command"]
        answer = http.post("/v1/tuning-jobs", json=file)
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": "command", "message": "is missing.", "remedy": "Add it."}]


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"net": NET + "layer {"}, "program", "net.prototxt, line 8, column"),
        (
            {"net": NET.replace('bottom: "pool1"', 'bottom: "p"')},
            "program",
            "layer ip: bottom p is the top of no layer",
        ),
        ({"solver": SOLVER.replace('net: "net.prototxt"', "")}, "program", "the solver names no net to train"),
        (
            {"objective": {"metric": "accuracy", "goal": "maximize"}},
            "objective.metric",
            "accuracy is no output of the nets",
        ),
        (
            {"space": {**SPACE, "WIDTH": SPACE["KERNEL"]}},
            "space.WIDTH",
            "stands in none of the program's prototxt files",
        ),
        (
            {"space": {**SPACE, "KERNEL": {"type": "int", "min": 13, "max": 15}}},
            "program",
            "layer conv1: kernel of 14 is larger than its input of 12",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_with_its_place(service: Service, changes, field, told) -> None:
    with service.http() as http:
        answer = submit(http, **changes)
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error["field"] == field
        assert told in error["message"]
        assert http.get("/v1/tuning-jobs").json()["items"] == []
