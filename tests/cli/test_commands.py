"""The commands against a real service, as a shell sees them: output, errors, exit codes."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from tests.rest_service import TRAIN, Driver, Service
from tests.waiting import wait_for
from tuning_service.cli import output
from tuning_service.cli.app import app
from tuning_service.domain.resources import ResourceSample, ResourceUse
from tuning_service.domain.state import JobStatus, TrialStatus
from tuning_service.domain.trial import FaultKind
from tuning_service.runner.protocol import Report

JOB = """
name: from-yaml
framework: pytorch
program: .
command: python train.py
space: {lr: {type: float, min: 1e-4, max: 0.3, scale: log}}
objective: {metric: val_accuracy, goal: maximize}
algorithm: {name: random}
budget: {trials: 2}
"""


class Shell:
    def __init__(self, service: Service, key: str | None = None) -> None:
        self.environment = {"TUNING_URL": service.url, "TUNING_API_KEY": key or service.key, "COLUMNS": "200"}

    def run(self, *arguments: str, code: int = 0, **options: Any) -> Any:
        result = CliRunner().invoke(app, arguments, env=self.environment, **options)
        assert result.exit_code == code, (result.output, result.exception)
        assert "Traceback" not in result.output
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)


@pytest.fixture
def shell(service: Service) -> Shell:
    return Shell(service)


@pytest.fixture
def job_yaml(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "train.py").write_bytes(TRAIN)
    (folder / "job.yaml").write_text(JOB)
    return folder / "job.yaml"


def test_a_job_from_submission_to_deletion(service: Service, shell: Shell, job_yaml: Path) -> None:
    submitted = shell.run("submit", str(job_yaml))
    job_id = submitted.stdout.strip()
    assert job_id.startswith("job_")
    assert "budget." not in submitted.stderr
    driver = Driver(service, job_id)
    driver.set_status(JobStatus.RUNNING)
    driver.add_trial(0).complete(0.5, log="val_accuracy=0.5\n")
    driver.add_trial(1).complete(None)
    assert [job["id"] for job in shell.json("list")] == [job_id]
    assert "2/2" in shell.run("list", "--status", "running").stdout
    assert shell.json("list", "--status", "failed") == []
    shown = shell.run("show", job_id).stdout
    assert "2/2 trials · 0 running · 1 failed · best 0.5 (trial 0)" in shown
    assert "maximize val_accuracy" in shown
    assert shell.json("show", job_id)["progress"]["failed"] == 1
    assert "exit code 1" in shell.run("trials", job_id).stdout
    assert [t["number"] for t in shell.json("trials", job_id, "--sort", "-number", "--limit", "1")] == [1]
    assert "worker-1" in shell.run("trials", job_id, "0").stdout
    assert "Task 0 printed at its end:\nval_accuracy=0.5\n" in shell.run("trials", job_id, "0").stdout
    assert "Task 0" not in shell.run("trials", job_id, "0", "--no-log").stdout
    assert "lr" in shell.run("best", job_id).stdout
    assert shell.json("best", job_id)["by_observation"]["value"] == 0.5
    assert shell.run("logs", job_id).stdout == "val_accuracy=0.5\n"
    assert shell.run("logs", job_id, "0", "--follow").stdout == "val_accuracy=0.5\n"
    assert shell.json("logs", job_id, "0") == {"trial": 0, "log": "val_accuracy=0.5\n"}
    assert shell.json("list", "--search", "FROM", "--sort", "-name", "--limit", "3")[0]["id"] == job_id
    assert shell.json("list", "--algorithm", "tpe") == []
    assert shell.run("trials", job_id, "--csv").stdout.startswith("number,status,value,values.val_accuracy,params.lr")
    changed = shell.json("change", job_id, "--trials", "3", "--minutes", "2.5", "--name", "longer")
    assert (changed["name"], changed["spec"]["budget"]["trials"], changed["spec"]["budget"]["minutes"]) == (
        *("longer", 3, 2.5),
    )
    assert "budget: trials=3 parallel=1 failures=10\n" in shell.run("change", job_id, "--minutes", "none").stdout
    assert "takes a number or 'none'" in shell.run("change", job_id, "--minutes", "long", code=2).stderr
    assert "at least one thing" in shell.run("change", job_id, code=2).stderr
    driver.add_trial(2).claim()
    assert shell.json("stop", job_id, "2")["stop_requested"]
    assert "has ended" in shell.run("stop", job_id, "0", code=5).stderr
    assert shell.json("stop", job_id)["target"] == "stopped"
    assert "goes on" in shell.run("resume", job_id).stdout
    shell.run("delete", job_id, input="n\n", code=2)
    assert shell.json("show", job_id)["target"] == "running"
    shell.run("delete", job_id, "--yes")
    assert shell.json("show", job_id)["target"] == "deleted"


@pytest.mark.parametrize(("status", "code"), [(JobStatus.COMPLETED, 0), (JobStatus.FAILED, 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_watching_ends_with_the_job(
    service: Service, shell: Shell, job_yaml: Path, status: JobStatus, code: int, as_json: bool
) -> None:
    results: list[Any] = []
    flags = ["--json"] if as_json else []
    watching = threading.Thread(
        daemon=True, target=lambda: results.append(shell.run("submit", str(job_yaml), "--watch", *flags, code=code))
    )
    watching.start()
    with service.client() as client:
        job_id = wait_for(client.jobs)[0]["id"]
    driver = Driver(service, job_id)
    driver.set_status(JobStatus.RUNNING)
    driver.add_trial(0).complete(0.75)
    driver.set_status(status, "because" if code else "")
    watching.join(30)
    output = results[0].stdout
    if as_json:
        ended = json.loads(output)
        assert ended["job"]["status"] == status
        assert ended["best"]["by_observation"]["number"] == 0
    else:
        assert f"{status}: 1/2 trials" in output
        assert "Best configuration (trial 0, val_accuracy 0.75)" in output
        assert ("because" in output) == bool(code)
    shell.run("show", job_id, "--exit-code", code=code)


def test_watching_says_what_a_job_waits_for_that_nobody_has_begun(driver: Driver, capsys: Any) -> None:
    with driver.service.client() as client:
        job = client.job(driver.job_id) | {"status": "created", "reason": "Waits: no controller."}

    class Client:
        def wait(self, _: str, on_change: Any) -> dict[str, Any]:
            on_change(job)
            return job

    output.watch(Client(), driver.job_id, quiet=False)  # type: ignore[arg-type]
    assert " · Waits: no controller." in capsys.readouterr().err


def test_exit_codes_and_plain_words(service: Service, shell: Shell, job_yaml: Path, driver: Driver) -> None:
    job_yaml.write_text(JOB.replace("trials: 2", "trials: 0").replace("0.3", "0.00001"))
    refused = shell.run("submit", str(job_yaml), code=2)
    assert "budget.trials: must be at least 1, not 0. Raise it." in refused.stderr
    assert "space.lr.min: min" in refused.stderr
    assert refused.stdout == ""
    job_yaml.write_text("space: [")
    assert "line 1" in shell.run("submit", str(job_yaml), code=2).stderr
    shell.run("submit", "nowhere.yaml", code=2)
    shell.run("submit", code=2)
    shell.run("no-such-command", code=2)
    assert "no tuning job" in shell.run("show", "job_none", code=4).stderr
    driver.set_status(JobStatus.COMPLETED)
    assert "has completed" in shell.run("stop", driver.job_id, code=5).stderr
    shell.run("tenant", "list", code=3)
    assert "id: is empty. Name what is meant." in shell.run("show", "", code=2).stderr
    assert "leave out TRIAL" in shell.run("trials", driver.job_id, "--csv", "--limit", "1", code=2).stderr
    assert "takes a number or 'none'" in shell.run("change", driver.job_id, "--minutes", "nan", code=2).stderr
    assert "No job matches." in shell.run("list", "--status", "failed").stderr
    assert "no key has" in Shell(service, "tsk_ü").run("list", code=3).stderr
    stranger = Shell(service, "tsk_x.y").run("list", code=3).stderr
    assert "not known" in stranger
    assert "TUNING_API_KEY" in stranger


def test_nobody_there_has_a_code_of_its_own(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuning_service.client import client as module

    monkeypatch.setattr(module.TuningClient.__init__, "__kwdefaults__", {"timeout_s": 1.0, "retry_s": 0.1})
    shell = Shell(service)
    result = shell.run("list", "--url", "http://127.0.0.1:9", code=6)
    assert "cannot be reached" in result.stderr
    assert "tuning-service serve" in result.stderr


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("PORTT", "1", "TUNING_SERVICE_PORTT is no setting of this service; see deploy/env.example."),
        ("PORT", "x", "TUNING_SERVICE_PORT='x' cannot be read"),
        ("PORT", "99999", "use 0 to 65535"),
        ("HEARTBEAT_S", "0", "use a number above zero"),
        ("LOG_LIMIT_BYTES", "9000000000", "use at most 2147483647"),
        ("SILENT_S", "nan", "use a number above zero"),
        ("ALGORITHM_PROCESSES", "-1", "use a number above zero"),
        ("ARTIFACT_LIMIT_BYTES", "-1", "use 0 or more"),
        ("SPARK_CONF", "[]", "it is no JSON object"),
        ("SPARK_CONF", "{", "cannot be read"),
        ("SERVICE_URL", "tuning:8765", "begin it with http:// or https://"),
        ("LOG_FORMAT", "xml", "use one of console, json"),
    ],
)
def test_a_service_that_cannot_start_says_what_to_set(tmp_path: Path, name: str, text: str, told: str) -> None:
    result = CliRunner().invoke(app, ["serve", "--data-dir", str(tmp_path)], env={f"TUNING_SERVICE_{name}": text})
    assert (result.exit_code, told in result.stderr) == (1, True), (result.output, result.exception)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("nonsense", "URL cannot be read; use sqlite:///FILE or postgresql://"),
        ("mysql://a", "The database 'mysql' is not supported"),
        ("sqlite:////dev/null/a", "The database cannot be reached"),
    ],
)
def test_a_database_that_is_none_is_told(option: str, told: str) -> None:
    result = CliRunner().invoke(app, ["db", "upgrade", "--database-url", option])
    assert (result.exit_code, told in result.stderr) == (1, True), (result.output, result.exception)


def test_show_says_where_a_job_is_going_only_when_it_is_going_somewhere(shell: Shell, driver: Driver) -> None:
    def status() -> str:
        lines: list[str] = shell.run("show", driver.job_id).stdout.splitlines()
        return next(line.partition(" ")[2].strip() for line in lines if line.startswith("status"))

    driver.set_status(JobStatus.RUNNING)
    assert status() == "running"
    shell.run("stop", driver.job_id)
    assert status() == "running → stopped"
    driver.set_status(JobStatus.STOPPED)
    assert status() == "stopped"
    shell.run("resume", driver.job_id)
    assert status() == "stopped → running"
    assert "There are no trials yet." in shell.run("trials", driver.job_id).stderr


def test_a_job_is_shown_as_a_job_file_that_can_be_submitted_again(shell: Shell, job_yaml: Path, tmp_path: Path) -> None:
    more = "environment: {requirements: train.py}\nlog_files: [a.log, b/*]\n"
    job_yaml.write_text(JOB + "constraints: [lr < 0.2]\npoints: [{lr: 1e-3}]\n" + more)
    job_id = shell.run("submit", str(job_yaml)).stdout.strip()
    shown = shell.run("show", job_id).stdout
    assert "constraints   lr < 0.2" in shown
    assert "points        1 queued" in shown
    assert "environment   requirements=train.py" in shown
    assert "log files     a.log\n" in shown
    written = shell.run("show", job_id, "--yaml").stdout
    assert "  lr: {type: float, min: 0.0001, max: 0.3, scale: log}\n" in written
    assert "- lr < 0.2\n" in written
    again = tmp_path / "again.yaml"
    again.write_text(written)
    assert shell.json("submit", str(again))["spec"] == shell.json("show", job_id)["spec"]


def test_points_are_added_from_options_and_from_a_file(shell: Shell, driver: Driver, tmp_path: Path) -> None:
    added = shell.run("add-points", driver.job_id, "--param", "lr=1e-3", "-p", "optimizer=adam").stdout
    assert "point 1" in added
    assert "lr=0.001 optimizer=adam" in added
    (tmp_path / "points.yaml").write_text("points:\n- {lr: 0.1, optimizer: adam}\n- {momentum: 0.5}\n")
    queued = shell.json("add-points", driver.job_id, str(tmp_path / "points.yaml"))
    assert [(p["source"], p["params"].get("momentum")) for p in queued] == [("point 2", None), ("point 3", 0.5)]
    refused = shell.run("add-points", driver.job_id, "-p", "lr=7", code=2).stderr
    assert "points.0.lr: 7 is outside the space" in refused
    assert "Write --param lr=0.1." in shell.run("add-points", driver.job_id, "-p", "lr", code=2).stderr
    assert "points" in shell.run("add-points", driver.job_id, code=2).stderr
    (tmp_path / "points.yaml").write_text("lr: 0.1\n")
    assert (
        "has no list of points" in shell.run("add-points", driver.job_id, str(tmp_path / "points.yaml"), code=2).stderr
    )


SEVERAL = JOB.replace(
    "objective: {metric: val_accuracy, goal: maximize}",
    "objective: [{metric: acc, goal: maximize}, {metric: mb, goal: minimize}]\n"
    "metric_constraints: [ms <= 20]\nstored_metrics: [train_loss]",
)


def test_several_objectives_are_shown_as_a_front(service: Service, shell: Shell, job_yaml: Path) -> None:
    job_yaml.write_text(SEVERAL)
    driver = Driver(service, shell.run("submit", str(job_yaml)).stdout.strip())
    driver.set_status(JobStatus.RUNNING)
    assert "No completed trial meets the metric_constraints" in shell.run("best", driver.job_id).stderr
    for number, (acc, mb, ms) in enumerate([(0.9, 7, 1), (0.8, 3, 1), (0.7, 9, 1), (0.99, 1, 30)]):
        run = driver.add_trial(number)
        run.claim()
        run.finish(acc, values={"acc": acc, "mb": mb, "ms": ms}, violation=max(0.0, ms / 20 - 1))
    table = [line.split() for line in shell.run("best", driver.job_id).stdout.splitlines()]
    assert [line[:3] for line in table] == [["trial", "acc", "mb"], ["0", "0.9", "7"], ["1", "0.8", "3"]]
    assert shell.json("best", driver.job_id)["total"] == 2
    assert "1 of 2 trials on the front" in shell.run("best", driver.job_id, "--limit", "1").stderr
    shown = shell.run("show", driver.job_id).stdout
    assert "2 on the front" in shown
    assert "maximize acc\n              minimize mb\n" in shown
    assert "ms <= 20.0" in shown
    assert "train_loss" in shown
    assert "2 on the front" in shell.run("list").stdout
    rows = shell.run("trials", driver.job_id).stdout.splitlines()
    assert ["exceeded" in row for row in rows[1:]] == [False, False, False, True]
    assert "acc=0.9 mb=7 ms=1" in rows[1]
    assert "violates a metric constraint" in shell.run("trials", driver.job_id, "3").stdout


def test_the_best_by_model_is_shown_when_it_is_another(shell: Shell, driver: Driver) -> None:
    for number, value in enumerate((0.9, 0.8)):
        driver.add_trial(number).complete(value)

    def say(trial: int, value: float) -> None:
        def store(control: Any) -> None:
            job = control.job(driver.job_id)
            control.set_model_best(replace(job, model_best_trial=trial, model_best_value=value))

        driver._write(store)

    say(0, 0.88)
    assert "Best configuration (trial 0, val_accuracy 0.9):" in shell.run("best", driver.job_id).stdout
    assert "by model" not in shell.run("show", driver.job_id).stdout
    say(1, 0.85)
    both = shell.run("best", driver.job_id).stdout
    assert "Best configuration by observation (trial 0, val_accuracy 0.9):" in both
    assert "by model, which allows for noise (trial 1, val_accuracy 0.85 expected, 0.8 observed):" in both
    assert "0.85 (trial 1), which allows for noise" in shell.run("show", driver.job_id).stdout


def test_a_submission_tells_what_was_learned_of_earlier_jobs(shell: Shell, job_yaml: Path, driver: Driver) -> None:
    driver.add_trial(0, {"lr": 0.01, "optimizer": "adam"}).complete(0.9)
    driver.add_trial(1, {"lr": 0.02, "optimizer": "adam"}).complete(0.8)
    space = "space: {lr: {type: float, min: 0.015, max: 1.0}, depth: {type: int, min: 1, max: 3}}"
    lines = [space if line.startswith("space") else line for line in JOB.replace("random", "tpe").splitlines()]
    job_yaml.write_text("\n".join([*lines, f"warm_start: [{driver.job_id}]"]))
    submitted = shell.run("submit", str(job_yaml))
    assert submitted.stdout.startswith("job_")
    for told in (
        f"Learned from 1 trial of {driver.job_id} (digits).",
        "1 not used: lr was out of range.",
        "Assumed, since those trials did not have it: depth=2.",
        "left out: momentum, optimizer.",
    ):
        assert told in submitted.stderr


def test_administration(service: Service) -> None:
    operator = Shell(service, service.operator_key)
    assert operator.run("tenant", "create", "audio", "--max-parallel", "3").stdout.startswith("ten_")
    assert {t["name"]: t["max_parallel"] for t in operator.json("tenant", "list")}["audio"] == 3
    made = operator.run("key", "create", "first", "--tenant", "audio", "--role", "admin")
    secret = made.stdout.strip()
    assert secret.startswith("tsk_")
    admin = Shell(service, secret)
    key = admin.json("key", "create", "second", "--expires-in-days", "2")
    assert key["role"] == "member"
    assert "second" in admin.run("key", "list").stdout
    admin.run("key", "revoke", key["id"])
    Shell(service, key["secret"]).run("list", code=3)
    operator.run("tenant", "create", "audio", code=5)
    assert "takes a number or 'none'" in operator.run("tenant", "set", "audio", "--max-gpus", "inf", code=2).stderr


def test_users_are_added_listed_changed_and_removed(service: Service, weak_passwords: None) -> None:
    operator, admin = Shell(service, service.operator_key), Shell(service, service.keys["vision/admin"])
    secret = "correct horse battery"
    user_id = operator.run("user", "add", "ada", "--tenant", "vision", "--role", "viewer", input=secret).stdout.strip()
    assert user_id.startswith("user_")
    assert service.sessions.sign_in("vision", "ada", secret).principal.key_id == user_id
    assert "viewer" in admin.run("user", "list").stdout
    admin.run("user", "add", "ada", code=5, input=secret)
    assert "password: has 5 characters" in admin.run("user", "add", "bob", code=2, input="short\n").stderr
    assert admin.json("user", "set", "ada", "--role", "member")["role"] == "member"
    admin.run("user", "set", user_id, "--password", input="another horse battery\n")
    assert service.sessions.sign_in("vision", "ada", "another horse battery").principal.name == "ada"
    assert admin.json("user", "set", "ada", "--disable")["disabled_at"] is not None
    assert admin.json("user", "set", "ada", "--enable")["disabled_at"] is None
    assert "name what to change" in admin.run("user", "set", "ada", code=2).stderr
    assert "no user 'eve'" in admin.run("user", "remove", "eve", code=4).stderr
    Shell(service).run("user", "list", code=3)
    admin.run("user", "remove", "ada")
    assert admin.json("user", "list") == []


def test_the_first_operator_who_signs_in_is_made_where_the_database_is(tmp_path: Path, weak_passwords: None) -> None:
    service = Service(tmp_path)
    try:
        made = CliRunner().invoke(
            app, ["user", "add", "root", "--operator", "--data-dir", str(tmp_path)], input="correct horse battery"
        )
        assert made.exit_code == 0, made.output
        who = service.sessions.sign_in("", "root", "correct horse battery").principal
        assert (who.key_id, who.role) == (made.stdout.strip(), "operator")
    finally:
        service.close()


def test_quotas_are_set_and_shown_beside_what_is_used(service: Service) -> None:
    operator = Shell(service, service.operator_key)
    operator.run("tenant", "create", "audio", "--weight", "2", "--max-gpus", "0.5", "--max-jobs", "3")
    changed = operator.json("tenant", "set", "audio", "--max-gpus", "none", "--max-gpu-hours", "100")
    assert (changed["weight"], changed["max_gpus"], changed["max_gpu_hours"], changed["max_jobs"]) == (2, None, 100, 3)
    shown = operator.run("tenant", "show", "audio").stdout
    assert "audio, weight 2" in shown
    assert [line.split() for line in shown.splitlines() if "GPU" in line] == [
        ["GPUs", "at", "once", "0", "no", "limit"],
        ["GPU-hours", "a", "month", "0", "100"],
    ]
    own = Shell(service, service.keys["vision/viewer"])
    assert own.run("tenant", "show").stdout.startswith("vision, weight 1")
    own.run("tenant", "set", "vision", "--weight", "9", code=3)
    assert "takes a number or 'none'" in operator.run("tenant", "set", "audio", "--max-gpus", "some", code=2).stderr
    assert "takes a number or 'none'" in operator.run("tenant", "set", "audio", "--max-gpus", "inf", code=2).stderr
    assert "a number is needed" in operator.run("tenant", "set", "audio", "--weight", "nan", code=2).stderr
    assert "name what to change" in operator.run("tenant", "set", "audio", code=2).stderr


def test_pools_are_made_changed_drained_shown_and_deleted(service: Service) -> None:
    operator = Shell(service, service.operator_key)
    made = operator.json(
        "pool",
        "create",
        "h100",
        "--master",
        "yarn",
        "--conf",
        "spark.executor.memory=8g",
        "--slots",
        "4",
        "--tenants",
        "vision",
    )
    assert (made["conf"], made["slots"]) == ({"spark.executor.memory": "8g"}, 4)
    for_whom = [line for line in operator.run("pool", "show", "h100").stdout.splitlines() if line.startswith("tenants")]
    assert for_whom[0].split() == ["tenants", "vision"]
    changed = operator.json("pool", "set", "h100", "--price", "2.5", "--slots", "none", "--tenants", "all")
    assert (changed["price"], changed["slots"], changed["tenants"]) == (2.5, None, None)
    operator.run("pool", "drain", "h100")
    member = Shell(service, service.keys["vision/member"])
    [line] = [row.rstrip() for row in member.run("pool", "list").stdout.splitlines() if row.startswith("h100")]
    assert line.endswith("drained")
    operator.run("pool", "undrain", "h100")
    [line] = [row.rstrip() for row in member.run("pool", "list").stdout.splitlines() if row.startswith("h100")]
    assert line.endswith("no controller serves the pool 'h100' at present.")
    assert "yarn" in operator.run("pool", "show", "h100").stdout
    assert "yarn" not in member.run("pool", "show", "h100").stdout
    member.run("pool", "drain", "h100", code=3)
    assert operator.run("pool", "cordon", "h100", "node7", "--reason", "new disk").stdout == "node7 is cordoned.\n"
    operator.run("pool", "cordon", "h100", "node8", "--minutes", "5")
    shown = operator.run("pool", "show", "h100").stdout
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("node")] == ["node7", "node8"]
    assert "new disk" in shown
    assert "node7" not in member.run("pool", "show", "h100").stdout
    member.run("pool", "cordon", "h100", "node9", code=3)
    operator.run("pool", "uncordon", "h100", "node7")
    assert "node7" not in operator.run("pool", "show", "h100").stdout
    operator.run("pool", "uncordon", "h100", "node7", code=4)
    assert "--conf takes NAME=VALUE" in operator.run("pool", "set", "h100", "--conf", "x", code=2).stderr
    operator.run("pool", "delete", "h100")
    operator.run("pool", "show", "h100", code=4)


def test_the_catalogue(shell: Shell) -> None:
    assert "tpe" in shell.run("algorithms").stdout
    assert {"random", "tpe"} <= {item["name"] for item in shell.json("algorithms")}
    assert shell.json("algorithms", "tpe")["options"]["properties"]
    shell.run("algorithms", "tep", code=4)
    assert "pytorch" in shell.run("frameworks").stdout
    assert shell.json("version")["version"] == shell.run("version").stdout.strip()


def test_every_command_explains_itself(shell: Shell) -> None:
    top = shell.run("--help").stdout
    assert "Exit codes" in top
    for command in (
        *(
            "submit",
            "list",
            "show",
            "trials",
            "best",
            "logs",
            "add-points",
            "stop",
            "resume",
            "delete",
            "algorithms",
            "frameworks",
        ),
        *("serve", "manager", "controller"),
    ):
        assert command in top
        assert "Example: tuning-service" in shell.run(command, "--help").stdout
    for group, commands in (
        ("db", ["upgrade"]),
        ("tenant", ["create", "list", "set", "show"]),
        ("pool", ["list", "show", "create", "set", "drain", "undrain", "cordon", "uncordon", "delete"]),
        ("key", ["create", "list", "revoke"]),
    ):
        for command in commands:
            shell.run(group, command, "--help")


def test_help_loads_nothing_heavy() -> None:
    script = "import sys, tuning_service.cli.app; print([m for m in ('httpx', 'fastapi', 'sqlalchemy', 'pyspark',"
    script += " 'numpy', 'yaml', 'pydantic') if m in sys.modules])"
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert found.stdout.strip() == "[]"


def test_a_trial_that_could_not_be_trained_says_so(shell: "Shell", driver: Driver) -> None:
    stored = driver.add_trial(0)
    reason = "net.prototxt, line 3, layer conv1: kernel of 15 is larger than its input of 12"
    failed = replace(stored.trial, status=TrialStatus.FAILED, fault=FaultKind.INFEASIBLE, reason=reason, ended_at=1.0)
    driver._write(lambda control: control.set_trial(failed, 1.0, settled=0))
    driver.add_trial(1).complete(None)
    assert [trial["fault"] for trial in shell.json("trials", driver.job_id)] == ["infeasible", "none"]
    assert "infeasible" in shell.run("trials", driver.job_id).stdout
    assert "layer conv1" in shell.run("trials", driver.job_id, "0").stdout
    assert "infeasible" not in shell.run("trials", driver.job_id, "1").stdout


def test_a_job_file_is_checked_without_being_submitted(shell: Shell, job_yaml: Path) -> None:
    right = shell.run("job", "check", str(job_yaml), "--samples", "3").stdout
    assert right.startswith("Nothing is wrong.\n")
    assert right.count("  lr=") == 3
    job_yaml.write_text(JOB.replace("max: 0.3", "max: 1e-5").replace("random", "randm"))
    wrong = shell.run("job", "check", str(job_yaml), code=2).stdout
    assert "line 6: space.lr.min: min 0.0001 is greater than max 1e-05. Swap them." in wrong
    problems = shell.json("job", "check", str(job_yaml), code=2)["problems"]
    assert [(problem["field"], problem["line"]) for problem in problems] == [("space.lr.min", 6)]
    job_yaml.write_text(JOB + "name: again\n")
    assert "name stands here again" in shell.run("job", "check", str(job_yaml), code=2).stderr
    assert shell.json("list") == []
    job_yaml.write_text(JOB.replace("trials: 2", "trials: 2, parallel: 3"))
    note = "budget.parallel is 3, which is more than budget.trials, 2."
    assert note in shell.run("job", "check", str(job_yaml)).stdout
    assert note in shell.run("submit", str(job_yaml)).stderr


def test_usage_and_a_search_in_a_log(shell: Shell, service: Service, driver: Driver) -> None:
    driver.add_trial(0).complete(0.5, log="epoch 1\nloss=NaN\nepoch 2\n")
    assert shell.run("logs", "search", driver.job_id, "0", "EPOCH").stdout == "1: epoch 1\n3: epoch 2\n"
    assert shell.run("logs", "search", driver.job_id, "0", "EPOCH", "--case").stdout == ""
    limited = shell.run("logs", "search", driver.job_id, "0", "epoch", "--limit", "1")
    assert "1 of 2 lines." in limited.stderr
    assert shell.json("logs", "search", driver.job_id, "0", "nan")["matches"][0]["line"] == 2
    (own,) = shell.json("usage", "--months", "1")
    assert own["tenant"]["name"] == "vision"
    assert Shell(service, service.operator_key).json("usage", "--tenant", "speech")[0]["tenant"]["name"] == "speech"
    shell.run("usage")


def test_a_trials_files_and_use_are_shown_and_downloaded(
    service: Service, shell: Shell, driver: Driver, tmp_path: Path
) -> None:
    run = driver.add_trial(0)
    run.claim()
    assert "left no files" in shell.run("trial", "artifacts", driver.job_id, "0").stderr
    url = f"{service.url}/v1/tasks/{run.task_id}/artifacts/deep/model.pt"
    headers = {"Authorization": f"Bearer {service.token(run.task_id)}"}
    assert httpx.put(url, content=b"x" * 3000, headers=headers).status_code == 200
    sample = ResourceSample(elapsed_s=65.0, cpu=1.5, memory_bytes=3 * 2**30, threads=7)
    use = ResourceUse(samples=(sample,), peak_memory_bytes=4 * 2**30, cpu_s=90.0)
    assert run.post("report", Report(resources=use).to_json()).status_code == 200
    listed = shell.run("trial", "artifacts", driver.job_id, "0", "--download", str(tmp_path / "out")).stdout
    assert "deep/model.pt" in listed
    assert "2.9 KiB" in listed
    assert (tmp_path / "out/deep/model.pt").read_bytes() == b"x" * 3000
    assert shell.json("trial", "artifacts", driver.job_id, "0")[0]["bytes"] == 3000
    shown = shell.run("trial", "resources", driver.job_id, "0").stdout
    assert "4.0 GiB" in shown
    assert "1 min 30 s" in shown
    assert "3.0 GiB" in shown
    assert shell.json("trial", "resources", driver.job_id, "0")["threads"] == [7]
