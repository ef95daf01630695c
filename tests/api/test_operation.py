"""Health, metrics, OpenAPI, the log."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.rest_service import Driver, Service, submit
from tests.waiting import wait_for
from tuning_service import observability


def test_readiness_tells_the_truth_and_no_secrets(service: Service) -> None:
    with service.http(key="") as anyone:
        assert anyone.get("/healthz").text == "ok"
        assert anyone.get("/readyz").text == "ok"
        service.not_ready.append("postgresql://user:password@db")
        answer = anyone.get("/readyz")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "password" not in answer.text
        assert anyone.get("/healthz").status_code == 200


def test_metrics_count_by_route_and_are_for_operators(service: Service, driver: Driver) -> None:
    driver.add_trial(0).complete(0.5)
    with service.http() as http:
        http.get(f"/v1/tuning-jobs/{driver.job_id}")
        http.get("/v1/no-such-thing")
        assert http.get("/metrics").status_code == 403
    with service.http(service.operator_key) as operator:
        text = operator.get("/metrics").text
    for line in (
        'tuning_http_requests_total{method="GET",route="/v1/tuning-jobs/{job_id}",status="200"} 1.0',
        'tuning_http_requests_total{method="POST",route="/v1/tasks/{task_id}/claim",status="200"} 1.0',
        'tuning_http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        "tuning_jobs_started_total 1.0",
        "tuning_task_measurements_total 1.0",
        'tuning_task_outcomes_total{status="succeeded"} 1.0',
    ):
        assert line in text, line
    assert driver.job_id not in text


def test_openapi_describes_every_route(service: Service) -> None:
    with service.http() as http:
        document = http.get("/openapi.json").json()
    assert document["components"]["securitySchemes"].keys() == {"Bearer", "Header", "Session"}
    assert "HTTPValidationError" not in json.dumps(document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["description"], where
            assert operation["summary"], where
            if path not in {"/healthz", "/readyz"}:
                assert bool(operation.get("security")) == (where != "post /v1/session"), where
                example = operation["responses"]["401"]["content"]["application/problem+json"]["example"]
                assert example["status"] == 401, where
    schemas = document["components"]["schemas"]
    assert schemas["JobFile"]["examples"][0]["objective"]["goal"] == "maximize"
    assert "Problem" in schemas
    references = {part.split('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]}
    assert references <= schemas.keys()
    for name, schema in schemas.items():
        if name.endswith("Out") and not name.startswith("Page"):
            assert "example" in json.dumps(schema) or "$ref" in json.dumps(schema), name


def test_the_catalogue_names_algorithms_and_frameworks(service: Service) -> None:
    with service.http() as http:
        algorithms = {item["name"]: item for item in http.get("/v1/algorithms").json()["items"]}
        frameworks = {item["name"] for item in http.get("/v1/frameworks").json()["items"]}
    assert {"random", "tpe", "bayesian"} <= algorithms.keys()
    assert algorithms["tpe"]["options"]["properties"]
    assert "pytorch" in frameworks


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    observability.configure("json", stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)


def test_log_lines_carry_tenant_job_and_trial(log_lines: io.StringIO, service: Service, driver: Driver) -> None:
    driver.add_trial(0)
    with service.http() as http:
        assert http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/0").status_code == 200
        answer = http.get(f"/v1/tuning-jobs/{driver.job_id}/trials/7")
    request_id = answer.headers["x-request-id"]

    def written() -> list[dict[str, object]]:
        lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
        return [item for item in lines if item.get("request_id") == request_id]

    line = wait_for(written)[0]  # it is written after the answer has been sent
    assert line["tenant"] == service.principal().tenant_id
    assert line["job"] == driver.job_id
    assert line["trial"] == "7"
    assert (line["status"], line["level"], line["logger"]) == (404, "info", "tuning_service.api")
    # Whoever watches a job asks twice a second: what went well is not worth a line.
    assert '"status": 200' not in log_lines.getvalue()


def test_what_changes_something_has_a_log_line(log_lines: io.StringIO, service: Service, driver: Driver) -> None:
    with service.http() as http:
        answer = http.post(f"/v1/tuning-jobs/{driver.job_id}/stop")
    request_id = answer.headers["x-request-id"]
    line = wait_for(lambda: [text for text in log_lines.getvalue().splitlines() if request_id in text])[0]
    assert json.loads(line)["job"] == driver.job_id
    lines = [json.loads(text) for text in log_lines.getvalue().splitlines()]
    submitted = next(item for item in lines if item.get("path") == "/v1/tuning-jobs")
    assert submitted["job"] == driver.job_id


def test_an_unexpected_error_shows_an_id_that_is_in_the_log(
    log_lines: io.StringIO, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service.managers.listing, "jobs", broken)
    with service.http() as http:
        answer = http.get("/v1/tuning-jobs")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret detail" not in answer.text
    request_id = answer.json()["request_id"]
    assert request_id == answer.headers["x-request-id"]
    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    failure = next(line for line in lines if line["event"] == "request failed")
    assert failure["request_id"] == request_id
    assert "secret detail" in json.dumps(failure["exception"])


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_tracebacks_in_the_log_show_no_local_variables(log_lines: io.StringIO, log_format: str) -> None:
    observability.configure(log_format, stream=log_lines)
    api_key = "tsk_key_1.hush"
    try:
        raise RuntimeError(f"length {len(api_key)}")  # noqa: TRY301
    except RuntimeError:
        structlog.stdlib.get_logger("x").exception("failed")
    assert "length 14" in log_lines.getvalue()
    assert "hush" not in log_lines.getvalue().replace('api_key = "tsk_key_1.hush"', "")


def test_library_logs_get_the_same_form(log_lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(job="job_1"):
        logging.getLogger("some.library").warning("%d tries", 3)
    line = json.loads(log_lines.getvalue())
    assert (line["event"], line["job"], line["logger"]) == ("3 tries", "job_1", "some.library")


def test_unknown_log_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="xml"):
        observability.configure("xml")


def test_a_long_job_file_is_no_problem(service: Service) -> None:
    values = [f"value {i}" for i in range(5000)]
    with service.http() as http:
        space = {"c": {"type": "categorical", "values": values}}
        assert submit(http, space=space).status_code == 201
