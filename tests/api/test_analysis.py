"""What charts are made of, over a real server."""

from typing import Any

import httpx

from tests.rest_service import Driver, Service, running

CHARTS = {
    "history": {},
    "curves": {},
    "parallel": {},
    "importance": {"method": "ped-anova"},
    "slice": {"parameter": "lr"},
    "contour": {"x": "lr", "y": "momentum"},
    "front": {},
    "slots": {},
}


def ask(http: httpx.Client, driver: Driver, chart: str, **query: Any) -> dict[str, Any]:
    answer = http.get(f"/v1/tuning-jobs/{driver.job_id}/analysis/{chart}", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def trained(driver: Driver, number: int, values: list[float], best: float | None, **params: Any) -> None:
    run = driver.add_trial(number, {"lr": 0.01 * (number + 1), "optimizer": "adam"} | params)
    assert run.claim().status_code == 200
    assert run.report(*((step, "val_accuracy", value) for step, value in enumerate(values, 1))).status_code == 200
    run.finish(best)


def test_every_chart_has_an_answer_before_anything_ran(service: Service, driver: Driver) -> None:
    with service.http() as http:
        for chart, query in CHARTS.items():
            answer = ask(http, driver, chart, **query)
            assert answer["question"].endswith("?")
            assert answer["note"], chart
        assert http.get("/v1/analysis/compare", params={"jobs": driver.job_id}).json()["jobs"][0]["best_value"] is None


def test_whoever_would_keep_all_others_waiting_is_told_to_come_again(service: Service, driver: Driver) -> None:
    path, query = f"/v1/tuning-jobs/{driver.job_id}/analysis/importance", {"method": "ped-anova"}
    room = service.analysis._room
    taken = 0
    while room.acquire(blocking=False):
        taken += 1
    with service.http() as http:
        refused = http.get(path, params=query)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        room.release(taken)
        assert http.get(path, params=query).status_code == 200
        while room.acquire(blocking=False):
            taken -= 1
        assert http.get(path, params=query).status_code == 200, "what is known already needs no room"
    assert taken == 0


def test_charts_follow_the_job(service: Service, driver: Driver) -> None:
    with service.http() as http:
        trained(driver, 0, [0.2, 0.5], 0.5)
        assert ask(http, driver, "history")["columns"]["best"] == [0.5]
        trained(driver, 1, [0.3, float("nan"), 0.7], 0.7, optimizer="sgd", momentum=0.9)
        trained(driver, 2, [], None)
        history = ask(http, driver, "history")
        assert history["columns"]["number"] == [0, 1, 2]
        assert history["columns"]["value"] == [0.5, 0.7, None]
        assert history["columns"]["best"] == [0.5, 0.7, 0.7]
        assert history["statuses"] == ["completed", "failed"]
        curves = ask(http, driver, "curves")
        assert [(c["trial"], c["x"], c["y"]) for c in curves["curves"]] == [
            (0, [1, 2], [0.2, 0.5]),
            (1, [1, 2, 3], [0.3, "nan", 0.7]),
        ]
        assert curves["metrics"] == ["val_accuracy"]
        assert "1 trial measured nothing" in curves["note"]
        assert ask(http, driver, "parallel")["parameters"][2]["values"] == [None, 0.9, None]
        assert ask(http, driver, "slice", parameter="momentum")["columns"]["x"] == [0.9]
        assert ask(http, driver, "slots")["hosts"] == ["worker-1"]
        assert len(ask(http, driver, "slots")["columns"]["trial"]) == 3


def test_a_running_trials_curve_grows(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    run.claim()
    with service.http() as http:
        run.report((1, "val_accuracy", 0.1))
        assert ask(http, driver, "curves")["curves"][0]["y"] == [0.1]
        run.report((2, "val_accuracy", 0.2))
        assert ask(http, driver, "curves", trials="0", x="time")["curves"][0]["y"] == [0.1, 0.2]


def test_a_running_trial_tells_what_it_has_measured_so_far(service: Service, driver: Driver) -> None:
    run = driver.add_trial(0)
    run.claim()
    trials = f"/v1/tuning-jobs/{driver.job_id}/trials"
    with service.http() as http:
        assert http.get(f"{trials}/0").json()["metrics"] == {}
        run.report((1, "val_accuracy", 0.25), (1, "loss", float("nan")))
        run.report((2, "val_accuracy", 0.5))
        so_far = {"val_accuracy": 0.5, "loss": "nan"}
        alone, listed = http.get(f"{trials}/0").json(), http.get(trials).json()["items"][0]
        assert (alone["metrics"], listed["metrics"]) == (so_far, so_far)
        assert (alone["status"], alone["value"], alone["values"]) == ("running", None, {})
        assert http.get(f"{trials}.csv").text.splitlines()[0].count("metrics.") == 2
        run.finish(0.5)
        assert http.get(f"{trials}/0").json()["metrics"] == {"val_accuracy": 0.5}  # what the controller concluded


def test_a_long_curve_is_reduced_when_its_training_ends(service: Service, driver: Driver) -> None:
    values = [step / 3000 for step in range(3000)]
    values[1234] = 7.0  # a spike
    trained(driver, 0, values, 0.9)
    service.analysis._keeper.settle()
    with service.store.read() as unit:
        task = unit.outlines_for(service.principal()).tasks(driver.job_id, ended_since=0.0)[0]
        kept = unit.outlines_for(service.principal()).kept([task.id], "val_accuracy")
    assert 0 < len(kept[task.id]) < 20_000
    with service.http() as http:
        answer = ask(http, driver, "curves", points=20)
        assert answer["total_measurements"] == 3000
        assert len(answer["curves"][0]["y"]) == 20
        assert max(answer["curves"][0]["y"]) == 7.0
        assert "LTTB" in answer["method"]
        exact = ask(http, driver, "curves", points=2000, trials="0")["curves"][0]
        assert len(exact["y"]) == 2000
        smooth = ask(http, driver, "curves", points=20, smooth=0.9)["curves"][0]
        assert max(smooth["y"]) < 2.0


def test_compared_jobs_keep_their_order(service: Service, driver: Driver) -> None:
    trained(driver, 0, [0.4], 0.4)
    with service.http() as http:
        other = running(service, name="other")
        trained(other, 0, [0.6], 0.6)
        answer = http.get("/v1/analysis/compare", params={"jobs": f"{other.job_id},{driver.job_id}"}).json()
        assert [job["name"] for job in answer["jobs"]] == ["other", "digits"]
        assert [job["columns"]["best"] for job in answer["jobs"]] == [[0.6], [0.4]]
        assert answer["parameters"][0] == {"name": "lr", "best": [0.01, 0.01]}


def test_sparklines_of_a_list(service: Service, driver: Driver) -> None:
    who = service.principal()
    assert service.analysis.sparklines(who, [driver.job_id, "job_nobody"]) == {driver.job_id: []}
    for number, value in enumerate([0.3, 0.2, 0.6]):
        trained(driver, number, [value], value)
    assert service.analysis.sparklines(who, [driver.job_id]) == {driver.job_id: [0.3, 0.3, 0.6]}
    trained(driver, 3, [0.7], 0.7)
    assert service.analysis.sparklines(who, [driver.job_id]) == {driver.job_id: [0.3, 0.3, 0.6, 0.7]}
    assert service.analysis.sparklines(service.principal(service.keys["speech/admin"]), [driver.job_id]) == {}


def test_another_tenant_finds_nothing_although_it_is_remembered(service: Service, driver: Driver) -> None:
    trained(driver, 0, [0.4], 0.4)
    with service.http() as http, service.http(service.keys["speech/admin"]) as stranger:
        for chart, query in CHARTS.items():
            ask(http, driver, chart, **query)
            refused = stranger.get(f"/v1/tuning-jobs/{driver.job_id}/analysis/{chart}", params=query)
            assert refused.status_code == 404
        assert stranger.get("/v1/analysis/compare", params={"jobs": driver.job_id}).status_code == 404
        assert http.get("/v1/analysis/compare", params={"jobs": f"{driver.job_id},job_x"}).status_code == 404


def test_a_deleted_job_is_gone_from_memory_too(service: Service, driver: Driver) -> None:
    trained(driver, 0, [0.4], 0.4)
    with service.http() as http:
        for chart, query in CHARTS.items():
            ask(http, driver, chart, **query)
        driver.delete()
        for chart, query in CHARTS.items():
            assert http.get(f"/v1/tuning-jobs/{driver.job_id}/analysis/{chart}", params=query).status_code == 404


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("slice", {}, "parameter"),
    ("slice", {"parameter": "decay"}, "parameter"),
    ("contour", {"x": "lr", "y": "lr"}, "y"),
    ("contour", {"x": "lr", "y": "decay"}, "y"),
    ("history", {"objective": "loss"}, "objective"),
    ("importance", {"objective": "loss"}, "objective"),
    ("importance", {"method": "magic"}, "method"),
    ("curves", {"trials": "worst:3"}, "trials"),
    ("curves", {"trials": ",".join(map(str, range(300)))}, "trials"),
    ("curves", {"points": 1}, "points"),
    ("curves", {"smooth": 1.0}, "smooth"),
    ("curves", {"smooth": "nan"}, "smooth"),
    ("curves", {"x": "cost"}, "x"),
]


def test_bad_questions_name_the_field(service: Service, driver: Driver) -> None:
    with service.http() as http:
        for chart, query, field in BAD:
            answer = http.get(f"/v1/tuning-jobs/{driver.job_id}/analysis/{chart}", params=query)
            assert answer.status_code == 422, answer.text
            assert [e["field"] for e in answer.json()["errors"]] == [field]


def test_too_many_jobs_are_not_compared(service: Service) -> None:
    with service.http() as http:
        for jobs in ("", ",".join(f"job_{i}" for i in range(11))):
            answer = http.get("/v1/analysis/compare", params={"jobs": jobs})
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["field"] == "jobs"
