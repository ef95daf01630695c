"""Files that describe deployments name only what there is: settings, commands, ports, volumes, files."""

import json
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from tests.deploy import compose
from tuning_service.cli.app import app
from tuning_service.compute.settings import SparkSettings
from tuning_service.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
NEEDED = {"POSTGRES_PASSWORD": "secret", "GPUS": "4", "TUNING_DOMAIN": "tuning.example.org"}
VARIANTS = [(), ("deploy/docker-compose.gpu.yml",), ("deploy/docker-compose.tls.yml",)]
COMMAND = typer.main.get_command(app)
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PAGE = (ROOT / "docs" / "deploy.md").read_text()


def is_command(words: list[str]) -> None:
    """Fails unless the words are a command of ours with options that it has."""
    assert words[0] == "tuning-service"
    command, rest = COMMAND, words[1:]
    while isinstance(command, TyperGroup):
        assert rest[0] in command.commands, words
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("", list(rest), resilient_parsing=False).close()


def knows(environment: dict[str, Any]) -> Settings:
    return Settings.load({key: str(value) for key, value in environment.items()})


@pytest.fixture(params=VARIANTS, ids=["plain", "gpu", "tls"])
def composed(request: pytest.FixtureRequest) -> dict[str, Any]:
    return compose.load("docker-compose.yml", *request.param, **NEEDED)


def test_each_compose_service_runs_a_command_that_exists_with_settings_that_exist(composed):
    ours = {n: s for n, s in composed["services"].items() if s["image"] == "tuning-service"}
    assert set(ours) == {"upgrade", "manager", "controller", "spark-master", "spark-worker"}
    for name, service in ours.items():
        words = service["command"]
        if name.startswith("spark-"):
            assert words[:2][0] == "spark-class"
            assert words[1].startswith("org.apache.spark.deploy.")
        else:
            is_command(words)
            settings = knows(service["environment"])
            assert settings.database == "postgresql://tuning:secret@database:5432/tuning"


def test_compose_services_wait_for_what_exists_and_use_what_is_declared(composed):
    services = composed["services"]
    assert set(compose.in_order(services)) == set(services)
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[needed]["healthcheck"]
        named = [v.partition(":")[0] for v in service.get("volumes", ()) if not v.startswith((".", "/"))]
        assert set(named) <= set(composed["volumes"])
        mounted = [v.partition(":")[0] for v in service.get("volumes", ()) if v.startswith("./deploy")]
        assert [m for m in mounted if not (ROOT / m).exists()] == []
        assert set(service["networks"]) <= set(composed["networks"])


def test_compose_publishes_nothing_but_the_proxy(composed):
    assert {name for name, service in composed["services"].items() if "ports" in service} == {"proxy"}


def test_compose_wants_a_password_and_explains_all_variables():
    with pytest.raises(KeyError, match="POSTGRES_PASSWORD"):
        compose.load()
    texts = [(ROOT / "docker-compose.yml").read_text(), *(p.read_text() for p in DEPLOY.glob("docker-compose.*.yml"))]
    used = {m for text in texts for m in re.findall(r"\$\{([A-Z_]+)", text)}
    explained = set(re.findall(r"^(?:# )?([A-Z_]+)=", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE))
    assert used == explained


def test_with_gpus_workers_offer_them_and_executors_take_them():
    services = compose.load("docker-compose.yml", "deploy/docker-compose.gpu.yml", **NEEDED)["services"]
    assert "-Dspark.worker.resource.gpu.amount=4 " in services["spark-worker"]["environment"]["SPARK_WORKER_OPTS"]
    assert services["spark-worker"]["deploy"]["replicas"] == 1
    conf = knows(services["controller"]["environment"]).spark_conf
    made = SparkSettings(master="spark://spark-master:7077", conf=conf).spark_conf("pools.xml")
    assert made["spark.executor.resource.gpu.amount"] == "4"


def test_the_proxy_asks_the_managers_where_they_listen():
    managers = compose.load(**NEEDED)["services"]["manager"]["command"]
    caddy = (DEPLOY / "Caddyfile").read_text()
    assert f"{{$TUNING_MANAGERS_PORT:{managers[managers.index('--port') + 1]}}}" in caddy
    assert "{$TUNING_MANAGERS:manager}" in caddy
    assert knows(compose.load(**NEEDED)["services"]["controller"]["environment"]).service_url == "http://proxy:8080"
    assert re.search(r"^:8080 ", caddy, re.MULTILINE)


def test_the_image_copies_what_exists_and_what_is_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)", DOCKERFILE, re.MULTILINE)
        for source in [word for word in line.split() if not word.startswith("--")][:-1]
    ]
    assert {"pyproject.toml", "migrations", "tuning_service", "deploy/entrypoint.py"} <= set(copied)
    assert [c for c in copied if not (ROOT / c).exists() or f"!{c}" not in ignored] == []


def test_the_image_gets_all_that_the_package_is_built_from():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for folder in (*build["packages"], *build["force-include"]):
        assert f"\nCOPY {folder} {folder}\n" in DOCKERFILE, folder


def test_the_image_runs_a_command_of_ours_as_nobody_special():
    is_command(json.loads(re.search(r"^CMD (.*)", DOCKERFILE, re.MULTILINE)[1]))
    assert re.search(r"^USER (\d+)", DOCKERFILE, re.MULTILINE)[1] == "10001"
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", DOCKERFILE))
    assert named <= {PREFIX + field.name.upper() for field in fields(Settings)}
    # What the image's entry and Spark need of it.
    for variable in ("SPARK_HOME", "JAVA_HOME", "PYSPARK_PYTHON"):
        assert f"{variable}=" in DOCKERFILE


# -- Kubernetes


def manifests(*folders: str) -> list[dict[str, Any]]:
    files = [file for folder in folders for file in sorted((KUBERNETES / folder).glob("*.yaml"))]
    return [m for f in files for m in yaml.safe_load_all(f.read_text()) if "metadata" in m and m["kind"] != "Pod"]


ALL = manifests("service", "controller", "shared-volume", "example")
WORKLOADS = [m for m in ALL if m["kind"] in {"Deployment", "StatefulSet", "Job"}]


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = workload["spec"]["template"]
    return pod


def generated() -> dict[str, dict[str, str]]:
    """ConfigMaps that kustomizations make: name to values."""
    found: dict[str, dict[str, str]] = {}
    for file in KUBERNETES.rglob("kustomization.yaml"):
        for made in yaml.safe_load(file.read_text()).get("configMapGenerator", ()):
            values = dict(literal.split("=", 1) for literal in made.get("literals", ()))
            values |= {name: (file.parent / name).read_text() for name in made.get("files", ())}
            found.setdefault(made["name"], {}).update(values)
    return found


def test_kustomizations_name_files_that_exist():
    for file in KUBERNETES.rglob("kustomization.yaml"):
        told = yaml.safe_load(file.read_text())
        for name in [*told.get("resources", ()), *told.get("components", ()), *told.get("configurations", ())]:
            assert (file.parent / name).exists(), f"{file}: {name}"


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w["metadata"]["name"])
def test_a_workload_runs_what_exists_with_what_exists(workload):
    pod, maps = pod_of(workload), generated()
    if "selector" in workload["spec"]:
        assert workload["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    # A service called `tuning` would else set TUNING_SERVICE_PORT, which is a setting, in all pods.
    assert pod["spec"]["enableServiceLinks"] is False
    volumes = {v["name"] for v in pod["spec"].get("volumes", ())}
    volumes |= {c["metadata"]["name"] for c in workload["spec"].get("volumeClaimTemplates", ())}
    for volume in pod["spec"].get("volumes", ()):
        assert volume.get("configMap", {}).get("name", "executor") in maps
    for container in pod["spec"]["containers"]:
        assert {m["name"] for m in container.get("volumeMounts", ())} <= volumes
        assert container["resources"]["requests"]
        if container["image"] != "tuning-service":
            continue
        is_command(container["args"])
        given = {e["name"]: e.get("value", "x") for e in container["env"]}
        for source in container.get("envFrom", ()):
            if "configMapRef" in source:
                given |= maps[source["configMapRef"]["name"]]
        given.pop("TUNING_SERVICE_SPARK_CONF", None)
        assert knows({k: v for k, v in given.items() if k.startswith(PREFIX)}).database == "x"
        assert pod["spec"]["securityContext"]["runAsUser"] == 10001
        secrets = {e["valueFrom"]["secretKeyRef"]["name"] for e in container["env"] if "secretKeyRef" in str(e)}
        assert all(f"create secret generic {name}" in PAGE for name in secrets)


def test_services_budgets_and_scalers_find_their_pods():
    labels = [pod_of(w)["metadata"]["labels"] for w in WORKLOADS]
    ports = {p["name"] for w in WORKLOADS for c in pod_of(w)["spec"]["containers"] for p in c.get("ports", ())}
    names = {(m["kind"], m["metadata"]["name"]) for m in ALL}
    for manifest in ALL:
        spec = manifest.get("spec", {})
        match manifest["kind"]:
            case "Service":
                assert any(spec["selector"].items() <= each.items() for each in labels)
                assert {p["targetPort"] for p in spec["ports"]} <= ports
            case "PodDisruptionBudget":
                assert any(spec["selector"]["matchLabels"].items() <= each.items() for each in labels)
            case "HorizontalPodAutoscaler":
                assert (spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]) in names
            case "RoleBinding":
                assert ("Role", manifest["roleRef"]["name"]) in names
                assert all(("ServiceAccount", s["name"]) in names for s in manifest["subjects"])


def test_executors_reach_the_managers_at_their_service():
    [service] = [m for m in ALL if m["kind"] == "Service" and m["metadata"]["name"] == "manager"]
    url = generated()["settings"]["TUNING_SERVICE_SERVICE_URL"]
    assert url == f"http://manager.{service['metadata']['namespace']}.svc:{service['spec']['ports'][0]['port']}"


# -- the page


def test_every_command_of_the_page_exists():
    lines = re.findall(
        r"(?:^|-- |exec \S+ )(tuning-service (?:[a-z]).*?)(?:\s+#.*)?$", PAGE.replace("\\\n", " "), re.MULTILINE
    )
    assert len(lines) >= 8
    for line in lines:
        is_command(shlex.split(line))


def test_the_page_names_files_and_settings_that_exist():
    for file in set(re.findall(r"\bdeploy/[\w./-]*\w", PAGE)) - {"deploy/manager"}:
        assert (ROOT / file).exists(), file
    named = set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", PAGE))
    assert named <= {PREFIX + field.name.upper() for field in fields(Settings)}
