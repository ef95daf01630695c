#!/opt/tuning/bin/python
"""The image's entry: a command as it stands, or `executor`, which is all that Spark on Kubernetes says.

Spark's driver describes an executor in the pod's environment; here that becomes the command of its JVM.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

_BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
_ARGUMENTS = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
}


def executor_command(environment: Mapping[str, str]) -> list[str]:
    """The JVM that the environment of an executor's pod asks for. Raises KeyError when it is none."""
    home = environment["SPARK_HOME"]
    numbered = sorted((int(m[1]), value) for name, value in environment.items() if (m := _OPTION.fullmatch(name)))
    memory = environment["SPARK_EXECUTOR_MEMORY"]
    arguments = [part for name, variable in _ARGUMENTS.items() for part in (name, environment[variable])]
    # What a pod template mounts goes before Spark's own files.
    places = [environment.get("SPARK_EXTRA_CLASSPATH", ""), f"{home}/conf", f"{home}/jars/*"]
    return [
        str(Path(environment["JAVA_HOME"], "bin", "java")),
        *(value for _, value in numbered),
        f"-Xms{memory}",
        f"-Xmx{memory}",
        "-cp",
        ":".join(place for place in places if place),
        _BACKEND,
        *arguments,
    ]


_OPTION = re.compile(r"SPARK_JAVA_OPT_(\d+)")


def main(arguments: list[str]) -> None:
    """Becomes the command; does not return."""
    try:
        command = executor_command(os.environ) if arguments == ["executor"] else arguments
    except KeyError as missing:
        sys.exit(f"{missing.args[0]} is not set: 'executor' is for pods that Spark's driver makes.")
    os.execvp(command[0], command)  # noqa: S606  # nothing is to stand between tini and the process


if __name__ == "__main__":
    main(sys.argv[1:] or ["tuning-service", "--help"])
