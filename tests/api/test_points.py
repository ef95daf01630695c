"""Spaces of all kinds over REST, given back as they were written; points before and while a job runs."""

import json
from typing import Any

import pytest

from tests.rest_service import Driver, Service, submit, upload
from tuning_service.domain.state import JobStatus

# Written as a person would: in no particular order, whole numbers for floats, a null here and there.
SPACE: dict[str, Any] = {
    "values": {"values": ["sgd", "adam", 1, True, 0.5], "type": "categorical", "default": "adam"},
    "lr": {"max": 1, "min": 0.0001, "scale": "log", "type": "float", "when": None},
    "dropout": {"type": "float", "min": 0, "max": 0.5, "step": 0.1, "default": 0.2},
    "width": {"type": "int", "step": 16, "min": 16, "max": 512},
    "nesterov": {"when": {"values": ["sgd"]}, "default": False, "type": "bool"},
    "size": {"type": "ordinal", "values": ["small", "medium", 3]},
    "arch": {"value": "cnn", "type": "fixed"},
    "float": {"type": "float", "min": -1, "max": 1e22, "when": {"nesterov": [True], "arch": ["cnn"]}},
}
CONSTRAINTS = [" width * lr <= 300 ", "values != 'sgd' or dropout < 0.25"]


def test_a_space_is_given_back_as_it_was_written(service: Service) -> None:
    with service.http() as http:
        made = submit(http, space=SPACE, constraints=CONSTRAINTS)
        assert made.status_code == 201, made.text
        found = http.get(made.headers["location"]).json()["spec"]
        assert json.dumps(found["space"]) == json.dumps(SPACE)
        assert found["constraints"] == CONSTRAINTS
        listed = http.get("/v1/tuning-jobs").json()["items"][0]["spec"]
        assert json.dumps(listed["space"]) == json.dumps(SPACE)


def test_points_are_completed_and_queued_behind_the_defaults(service: Service) -> None:
    points = [{"lr": 0.25, "values": "sgd", "dropout": 0.1 + 0.1 - 0.1}, {"nesterov": True, "values": "sgd"}]
    with service.http() as http:
        made = submit(http, space=SPACE, constraints=CONSTRAINTS, points=points)
        assert made.status_code == 201, made.text
        job = made.json()
        assert job["queued_points"] == 3
        queue = http.get(f"/v1/tuning-jobs/{job['id']}/points").json()["items"]
        assert [(p["position"], p["source"], p["trial"]) for p in queue] == [
            (0, "default", None),
            (1, "point 1", None),
            (2, "point 2", None),
        ]
        default, first, second = (p["params"] for p in queue)
        assert default == {"values": "adam", "lr": 0.01, "dropout": 0.2, "width": 272, "size": "medium", "arch": "cnn"}
        assert first["dropout"] == 0.1
        assert first["nesterov"] is False
        assert "float" not in first
        assert second["float"] == pytest.approx(5e21)
        assert job["spec"]["points"] == [first, second]
        again = http.get(f"/v1/tuning-jobs/{job['id']}/points", params={"limit": 2}).json()
        rest = http.get(f"/v1/tuning-jobs/{job['id']}/points", params={"cursor": again["next_cursor"]}).json()
        assert again["items"] + rest["items"] == queue
        assert rest["next_cursor"] is None


BAD: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    # changes, then part of the message by field
    "out of range": ({"points": [{"lr": 0.1}, {"lr": 2}]}, {"points.1.lr": "2 is outside"}),
    "off the grid": ({"points": [{"dropout": 0.15}]}, {"points.0.dropout": "0.15 is outside"}),
    "wrong kind": ({"points": [{"width": "16"}]}, {"points.0.width": "'16' is outside"}),
    "inactive": ({"points": [{"values": "adam", "nesterov": True}]}, {"points.0.nesterov": "not active"}),
    "unknown": ({"points": [{"learning_rate": 1}]}, {"points.0.learning_rate": "not in the space"}),
    "no value": ({"points": [{"float": None}]}, {"points.0.float": "must be a text, a number"}),
    "constraint": (
        {"constraints": CONSTRAINTS, "points": [{"values": "sgd", "dropout": 0.5}]},
        {"points.0": "does not hold for values = 'sgd', dropout = 0.5"},
    ),
    "all at once": ({"points": [{"lr": 2}, {"width": 1}]}, {"points.0.lr": "2", "points.1.width": "1"}),
    "twice": ({"points": [{"lr": 0.1}, {"lr": 0.1, "dropout": 0.2}]}, {"points.1": "same configuration as points.0"}),
    "too many": (
        {"points": [{"lr": 0.1}, {"lr": 0.2}], "budget": {"trials": 2}},
        {"points": "2 points and the defaults"},
    ),
    "no list": ({"points": {"lr": 1}}, {"points": "valid list"}),
    "defaults against a constraint": (
        {"constraints": ["dropout > 0.3"]},
        {"constraints.0": "does not hold for the defaults, which are tried first: dropout = 0.2"},
    ),
    "constraint of nobody": ({"constraints": ["depth < 3"]}, {"constraints.0": "no parameter 'depth'"}),
    "constraint that is no text": ({"constraints": [3]}, {"constraints.0": "valid string"}),
    "too many constraints": ({"constraints": ["lr < 1"] * 51}, {"constraints": "at most 50"}),
    "infeasible": (
        {"space": {"x": {"type": "float", "min": 0, "max": 1}}, "constraints": ["x < 0.5", "x > 0.6"]},
        {"constraints.": "together with the others"},
    ),
    "true for a number": ({"space": {"x": {"type": "float", "min": True, "max": 2}}}, {"space.x.min": "a number"}),
    "step of a log scale": (
        {"space": {"x": {"type": "float", "min": 1, "max": 2, "scale": "log", "step": 0.1}}},
        {"space.x.step": "has no step"},
    ),
    "step below what doubles tell apart": (
        {"space": {"x": {"type": "float", "min": 1e15, "max": 1e15 + 8, "step": 0.01}}},
        {"space.x.step": "too fine"},
    ),
    "numbers that no store holds": (
        {"space": {"x": {"type": "categorical", "values": [10**30]}}},
        {"space.x.values": "is beyond"},
    ),
    "a text that no program can be given": (
        {"space": {"x": {"type": "categorical", "values": ["a\0b"]}, "y": {"type": "bool"}}},
        {"space.x.values": "no program can be given"},
    ),
    "half a character": (
        {"space": {"x": {"type": "fixed", "value": "\ud800"}}},
        {"space.x.value": "no program can be given"},
    ),
    "a text that fits into no argument": (
        {"space": {"x": {"type": "ordinal", "values": ["a", "b" * 200_000]}}},
        {"space.x.values": "has 200000 characters"},
    ),
    "type of another library": ({"space": {"x": {"type": "choice", "values": [1]}}}, {"space.x": "no known type"}),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named_and_nothing_is_stored(service: Service, case: str) -> None:
    changes, expected = BAD[case]
    with service.http() as http:
        answer = submit(http, **({"space": SPACE} | changes))
        assert answer.status_code == 422, answer.text
        found = {error["field"]: error for error in answer.json()["errors"]}
        for field, message in expected.items():
            matching = [e for name, e in found.items() if name == field or (field[-1] == "." and field in name)]
            assert matching, found
            assert all(message in error["message"] and error["remedy"] for error in matching)
        assert http.get("/v1/tuning-jobs").json()["items"] == []


def test_points_are_added_while_a_job_runs(service: Service, driver: Driver) -> None:
    path = f"/v1/tuning-jobs/{driver.job_id}/points"
    service.notified.clear()
    with service.http() as http:
        headers = {"Idempotency-Key": "once"}
        body = {"points": [{"lr": 0.1}, {"lr": 0.1}]}
        made = http.post(path, json=body, headers=headers)
        assert made.status_code == 201, made.text
        assert [(p["source"], p["params"]["lr"]) for p in made.json()["items"]] == [("point 1", 0.1), ("point 2", 0.1)]
        assert http.post(path, json=body, headers=headers).json() == made.json()
        assert http.get(path).json()["items"] == made.json()["items"]
        assert http.get(f"/v1/tuning-jobs/{driver.job_id}").json()["queued_points"] == 2
        assert service.notified == [driver.job_id]
        driver.add_trial(0)
        for body, field, message in (
            (
                {"points": [{"lr": 0.1}, {"lr": 0.1}]},
                "points",
                "1 of 4 are left: 1 are trials already and 2 are queued",
            ),
            ({"points": [{"lr": 9}]}, "points.0.lr", "outside"),
            ({"points": [{"lr": [9]}]}, "points.0.lr", "must be a text"),
            ({"points": []}, "points", "none"),
            ({"point": []}, "point", "not a known field"),
            (None, "points", "none"),
        ):
            answer = http.post(path, json=body) if body is not None else http.post(path)
            assert answer.status_code == 422, answer.text
            assert message in {e["field"]: e["message"] for e in answer.json()["errors"]}[field]
        assert len(http.get(path).json()["items"]) == 2
        assert http.get(path, params={"cursor": "x"}).status_code == 422
        driver.set_status(JobStatus.COMPLETED)
        ended = http.post(path, json={"points": [{"lr": 0.1}]})
        assert ended.status_code == 409
        assert "has completed; raise budget.trials" in ended.json()["detail"]
    with service.http(service.keys["vision/viewer"]) as viewer:
        assert viewer.post(path, json={"points": [{"lr": 0.1}]}).status_code == 403
        assert len(viewer.get(path).json()["items"]) == 2
    with service.http(service.keys["speech/member"]) as stranger:
        assert stranger.post(path, json={"points": [{"lr": 0.1}]}).status_code == 404
        assert stranger.get(path).status_code == 404


def test_the_example_of_a_job_file_in_the_openapi_document_is_accepted(service: Service) -> None:
    with service.http() as http:
        schema = http.get("/openapi.json").json()["components"]["schemas"]["JobFile"]
        program = upload(http)
        made = http.post("/v1/tuning-jobs", json=schema["examples"][0] | {"program": program})
        assert made.status_code == 201, made.text
