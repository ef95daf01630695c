"""The image's entry: a command as it stands, or an executor's JVM out of its pod's environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
POD = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.0.0.7:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "4",
    "SPARK_EXECUTOR_MEMORY": "1g",
    "SPARK_APPLICATION_ID": "spark-17",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.9",
    "SPARK_EXECUTOR_POD_NAME": "tuning-exec-3",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_JAVA_OPT_10": "-Dlast=10",
    "SPARK_JAVA_OPT_2": "-Dwith=a space",
}


def entry(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The entry, run where `java` prints its arguments."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True, exist_ok=True)
    java.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    java.chmod(0o755)
    image = {"JAVA_HOME": str(folder), "SPARK_HOME": "/opt/spark", "PATH": os.environ["PATH"]}
    command = [sys.executable, str(DEPLOY / "entrypoint.py"), *arguments]
    return subprocess.run(command, env=image | environment, capture_output=True, text=True, timeout=60)


def test_executor_becomes_the_jvm_that_the_pod_describes(tmp_path):
    told = json.loads(entry(tmp_path, "executor", **POD).stdout)
    backend = told.index("org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend")
    options, arguments = told[:backend], told[backend + 1 :]
    assert options[:4] == ["-Dwith=a space", "-Dlast=10", "-Xms1g", "-Xmx1g"]
    assert options[-1] == "/opt/spark/conf:/opt/spark/jars/*"
    assert dict(zip(arguments[::2], arguments[1::2], strict=True)) == {
        "--driver-url": "spark://CoarseGrainedScheduler@10.0.0.7:7078",
        "--executor-id": "3",
        "--cores": "4",
        "--app-id": "spark-17",
        "--hostname": "10.0.0.9",
        "--podName": "tuning-exec-3",
        "--resourceProfileId": "0",
    }


def test_executor_outside_a_pod_says_what_is_missing(tmp_path):
    done = entry(tmp_path, "executor")
    assert done.returncode == 1
    assert "SPARK_EXECUTOR_MEMORY is not set" in done.stderr


def test_anything_else_is_a_command(tmp_path):
    assert entry(tmp_path, "printf", "%s-", "a b", "c").stdout == "a b-c-"


def test_gpus_are_listed_as_spark_reads_them(tmp_path):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\nprintf '0\\n1\\n10\\n'\n")
    smi.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([DEPLOY / "gpus.sh"], env=path, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": ["0", "1", "10"]}
    smi.write_text("#!/bin/sh\nexit 9\n")
    done = subprocess.run([DEPLOY / "gpus.sh"], env=path, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert done.stdout == ""
