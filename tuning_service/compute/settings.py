"""What a deployment says about its Spark."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tuning_service.domain.errors import GiveUp

_LOCAL = re.compile(r"local(?:\[(\d+|\*)(?:,\d+)?\])?")
_STANDALONE = re.compile(r"spark://([^/]+:\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkSettings:
    """`master` is `local`, `local[N]`, `local[*]`, `spark://host:port[,host:port…]`, `yarn` or `k8s://URL`.

    `conf` wins over what the backend would set, but for spark.speculation, which is off. `python` is the interpreter
    that executors start: None means this one in local mode, else PYSPARK_PYTHON or `python3`; its minor version must be
    the service's.
    """

    master: str = "local[*]"
    conf: Mapping[str, str] = field(default_factory=dict)
    app_name: str = "tuning-service"
    local_gpus: tuple[str, ...] = ()  # addresses to share out in local mode; a cluster knows its own
    python: str | None = None
    # File that Spark's JVM, and in local mode the Python workers, append output to; None: where this process's goes.
    output: str | None = None
    # Longest wait for a master to accept this service; not in local mode. None: what suits the kind of master.
    connect_timeout_s: float | None = None
    # A driver that its standalone master has forgotten (one that came back without its state) gets no executors ever
    # again. After so long without a single one, having had some, it connects anew.
    patience_s: float = 60.0

    def __post_init__(self) -> None:
        if self.master.startswith("local") and not _LOCAL.fullmatch(self.master):
            raise GiveUp(f"Spark master {self.master!r} cannot be read. Use local[*], local[4] or spark://host:7077.")
        if self.master.startswith("spark:") and not _STANDALONE.fullmatch(self.master):
            raise GiveUp(f"Spark master {self.master!r} lacks a host or port. Use spark://host:7077.")

    @property
    def is_local(self) -> bool:
        """True when driver and executor are one JVM on this machine."""
        return self.master.startswith("local")

    @property
    def connect_s(self) -> float | None:
        """Longest wait until the driver has started; None: for ever."""
        if self.is_local:
            return None
        if self.connect_timeout_s is not None:
            return self.connect_timeout_s
        # A standalone master answers at once. YARN first gets 400 MB of Spark's own files, unless spark.yarn.archive
        # or spark.yarn.jars says where they are, and then may keep the application waiting in its queue.
        return 30.0 if self.addresses else 300.0

    @property
    def may_be_forgotten(self) -> bool:
        """True when a driver without executors may have been forgotten by its master.

        YARN and Kubernetes end the driver, or give it new executors; and executors that come on demand are gone
        whenever there is nothing to do.
        """
        return bool(self.addresses) and self.conf.get("spark.dynamicAllocation.enabled") != "true"

    @property
    def spark_master(self) -> str:
        """`master` as Spark gets it.

        In local mode Spark takes the number of failures that a task may have from here alone, and from nowhere
        else: with its default of 1, one killed Python worker would end all tasks of its Spark job.
        """
        match = _LOCAL.fullmatch(self.master)
        return f"local[{match[1] or 1},{TASK_FAILURES}]" if match else self.master

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each standalone master; empty for other kinds."""
        match = _STANDALONE.fullmatch(self.master)
        if not match:
            return ()
        pairs = (address.rpartition(":") for address in match[1].split(","))
        return tuple((host.strip("[]"), int(port)) for host, _, port in pairs)

    def spark_conf(self, scheduler_file: str) -> dict[str, str]:
        """All Spark properties for the driver; `scheduler_file` is the path of `FAIR_SCHEDULER`, written out."""
        defaults = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
            # Spark jobs share the slots evenly instead of queueing behind each other.
            "spark.scheduler.mode": "FAIR",
            "spark.scheduler.allocation.file": scheduler_file,
            # Unrelated tasks share a Spark job, and the service itself counts attempts: losing an executor, even
            # many, must never end the others.
            "spark.task.maxFailures": str(TASK_FAILURES),
            "spark.stage.maxConsecutiveAttempts": str(TASK_FAILURES),
            "spark.executor.maxNumFailures": str(10 * TASK_FAILURES),
            # On YARN and Kubernetes a driver else waits for most of its executors before it counts as started: half a
            # minute, while images are fetched, in which nobody can tell it from a cluster that does not answer.
            "spark.scheduler.minRegisteredResourcesRatio": "0",
            "spark.python.worker.reuse": "true",
            "spark.python.task.killTimeout": "100ms",
            # The driver's JVM only schedules: with the small compiler and the small collector it takes half the CPU
            # in its first minutes, and later no more.
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            # What the driver remembers of the past: nobody asks it.
            "spark.ui.retainedJobs": "50",
            "spark.ui.retainedStages": "50",
            "spark.ui.retainedTasks": "1000",
            "spark.ui.retainedDeadExecutors": "10",
        }
        if self.is_local:
            defaults |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        ours = {
            "spark.master": self.spark_master,
            "spark.app.name": self.app_name,
            # A second copy of a slow training would take over from the first, and be killed with it.
            "spark.speculation": "false",
        }
        return defaults | dict(self.conf) | ours


TASK_FAILURES = 100

# Without it all jobs are in one pool, and within a pool it is first come, first served.
FAIR_SCHEDULER = """<?xml version="1.0"?>
<allocations>
  <pool name="default"><schedulingMode>FAIR</schedulingMode><weight>1</weight><minShare>0</minShare></pool>
</allocations>
"""
