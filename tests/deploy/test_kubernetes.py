"""Spark's own scheduler for Kubernetes, driven as our manifests say, with the image's entry in each pod."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compute.probes import RUN, SHIP_PROBES, Probes, probes, run_all, wait_status
from tests.deploy.kubernetes_api import KubernetesApi
from tests.waiting import wait_for
from tuning_service.compute.base import HandleStatus
from tuning_service.compute.spark import SparkBackend, SparkSettings
from tuning_service.domain.job import Resources

__all__ = ["probes"]
pytestmark = [pytest.mark.spark, pytest.mark.heavy]
CONTROLLER = Path(__file__).parents[2] / "deploy" / "kubernetes" / "controller"
FRUGAL = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


def controllers_conf() -> dict[str, str]:
    """The Spark conf of the controller's manifest, as Kubernetes fills it in."""
    [container] = yaml.safe_load((CONTROLLER / "controller.yaml").read_text())["spec"]["template"]["spec"]["containers"]
    text = next(e["value"] for e in container["env"] if e["name"] == "TUNING_SERVICE_SPARK_CONF")
    for name, value in {
        "POD_IP": "127.0.0.1",
        "POD_NAME": "controller-1",
        "POD_NAMESPACE": "tuning",
        "IMAGE": "registry/tuning-service:1",
    }.items():
        text = text.replace(f"$({name})", value)
    conf: dict[str, str] = json.loads(text)
    return conf


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubernetesApi]:
    with KubernetesApi(tmp_path) as api:
        api.create("pods", {"metadata": {"name": "controller-1"}, "spec": {}})
        yield api


@pytest.fixture
def backend(api: KubernetesApi, tmp_path: Path) -> Iterator[SparkBackend]:
    gpus = tmp_path / "gpus"
    gpus.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["0", "1"]}'\n""")
    gpus.chmod(0o755)
    here = {
        # Any ports; files from where they are.
        "spark.driver.port": "0",
        "spark.driver.blockManager.port": "0",
        "spark.kubernetes.executor.podTemplateFile": str(CONTROLLER / "executor.yaml"),
        "spark.kubernetes.executor.apiPollingInterval": "500ms",
        "spark.driver.memory": "512m",
        "spark.driver.extraJavaOptions": FRUGAL,
    }
    pool = {
        # As docs/deploy.md has it for a pool with GPUs.
        "spark.executor.instances": "1",
        "spark.executor.cores": "2",
        "spark.executor.memory": "512m",
        "spark.executor.memoryOverhead": "1g",
        "spark.executor.resource.gpu.amount": "2",
        "spark.executor.resource.gpu.vendor": "nvidia.com",
        "spark.executor.resource.gpu.discoveryScript": str(gpus),
        "spark.executor.extraJavaOptions": FRUGAL,
    }
    conf = controllers_conf() | here | pool | SHIP_PROBES
    # Were this cluster one that forgets drivers, the first moment without an executor would lose all tasks.
    settings = SparkSettings(master=api.master, conf=conf, python=sys.executable, patience_s=0)
    backend = SparkBackend(settings, runner=RUN)
    backend.start()
    yield backend
    backend.stop()


def test_trials_run_in_pods_with_gpus_and_a_lost_pod_costs_an_attempt(
    api: KubernetesApi, backend: SparkBackend, probes: Probes
) -> None:
    wait_for(lambda: backend.capacity().gpus == 2, "an executor")
    [pod] = api.asked
    _is_as_described(pod)

    backend.submit([probes.ticket("a", wait=True), probes.ticket("b", wait=True)], Resources(cpus=1, gpus=1))
    assert sorted(probes.seen(name)["gpus"][0] for name in "ab") == ["0", "1"]

    api.kill(pod["metadata"]["name"])
    wait_for(lambda: backend.capacity().cpus == 0, "the lost pod to be missed")
    assert set(backend.poll(["a", "b"]).values()) == {HandleStatus.PENDING}
    assert probes.seen("a", attempt=1, seconds=90)["gpus"]
    assert len(api.asked) == 2
    probes.release()
    wait_status(backend, ["a", "b"], HandleStatus.ENDED)

    run_all(backend, [probes.ticket("half")], Resources(cpus=1, gpus=0.5))
    backend.stop()
    assert wait_for(lambda: not api.running(), "the pods to be gone")


def _is_as_described(pod: dict[str, Any]) -> None:
    """What the manifests want of an executor is in the pod that Spark asks for."""
    spec, [container] = pod["spec"], pod["spec"]["containers"]
    assert container["image"] == "registry/tuning-service:1"
    assert container["args"] == ["executor"]
    assert container["resources"]["limits"] == {"memory": "1536Mi", "nvidia.com/gpu": "2"}
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]
    assert spec["enableServiceLinks"] is False
    assert spec["serviceAccountName"] == "executor"
    assert spec["securityContext"]["runAsUser"] == 10001
    # So that Kubernetes removes it with its controller, however that ends.
    assert [owner["name"] for owner in pod["metadata"]["ownerReferences"]] == ["controller-1"]
