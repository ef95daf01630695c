"""One SparkContext with its JVM. Everything that uses Spark's or PySpark's private names is here.

Why private names: `collectAsync` starts a Spark job without a thread that waits for it, and PySpark does not offer
it; PySpark keeps one JVM per Python process for ever, and a service whose cluster was away needs a new one.
"""
# ruff: noqa: SLF001

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext, accumulators
from pyspark.accumulators import AccumulatorParam, AddingAccumulatorParam
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests
from pyspark.serializers import CloudPickleSerializer, CPickleSerializer

from tuning_service.compute.java import java_home
from tuning_service.compute.settings import FAIR_SCHEDULER, SparkSettings
from tuning_service.compute.shipping import TaskEnd, task_function, write_runner_zip
from tuning_service.domain.errors import GiveUp, TryAgain
from tuning_service.domain.job import Resources
from tuning_service.runner.protocol import TaskTicket

# What talking to a JVM that is gone, or to a SparkContext that has been stopped, raises.
CONNECTION_ERRORS = (Py4JError, OSError)

_SECRET = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)
_LONGEST_REASON = 300
_ABORTED = "Job aborted due to stage failure: "
_LOST_TASK = re.compile(r"^Lost task [\d.]+ in stage [\d.]+ \(TID \d+\) \([^)]*\): ")
_STOP_S = 15.0  # after it, the JVM is killed
_log = logging.getLogger(__name__)


def words_of(error: Exception) -> str:
    """The error's text: that of a Java exception is the JVM's to tell, and with it gone, only the kind is left."""
    try:
        return str(error)
    except CONNECTION_ERRORS:
        return type(error).__name__


def _reason(error: Exception) -> str:
    """The first line of what a Java exception says; "" for other errors, and when the JVM is gone."""
    try:
        java = getattr(error, "java_exception", None)
        said = str(java.getMessage() or "").strip() if java is not None else ""
    except CONNECTION_ERRORS:
        return ""
    return said.splitlines()[0][:_LONGEST_REASON] if said else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    cpus: int
    gpus: int


class JobFailure(NamedTuple):
    """Why a Spark job failed. `by_tasks`: its tasks cannot be run; else Spark has let go of it."""

    words: str
    by_tasks: bool


def _told(message: str) -> JobFailure:
    """Of what Spark says of a job that failed, the error of the task that failed last."""
    aborted = message.startswith(_ABORTED)
    text = message.removeprefix(_ABORTED).rpartition(", most recent failure: ")[2]
    error = _LOST_TASK.sub("", text).split("\n\tat ")[0].split("\nDriver stacktrace:")[0]
    # A traceback from Python ends with what went wrong.
    lines = [line for line in error.splitlines() if line.strip() and not line[0].isspace()]
    return JobFailure(lines[-1][:_LONGEST_REASON] if lines else "unknown", by_tasks=aborted)


class SparkJob:
    """A Spark job that was handed over."""

    def __init__(self, future: Any) -> None:
        self._future = future

    def is_done(self) -> bool:
        """True when it has ended in any way."""
        return bool(self._future.isDone())

    def failure(self) -> JobFailure | None:
        """Why it failed, None when it did not. For jobs that are done."""
        try:
            self._future.get()
        except Py4JError as error:
            java = getattr(error, "java_exception", None)
            # The future's own exception says no more than that there was one.
            cause = java and (java.getCause() or java)
            return _told(str((cause and cause.getMessage()) or error).strip())
        return None

    def cancel(self) -> None:
        """Asks Spark to kill what still runs of it."""
        self._future.cancel(True)


class _Ends(AccumulatorParam[tuple[TaskEnd, ...]]):
    """The driver's side of an accumulator that is told of each task that ended, as Spark learns of it.

    Spark's event loop waits for `on_end`, so that must be quick and must not call Spark. Executors get the plain
    accumulator that adds up tuples.
    """

    def __init__(self, on_end: Callable[[TaskEnd], None]) -> None:
        self._on_end = on_end

    def zero(self, value: tuple[TaskEnd, ...]) -> tuple[TaskEnd, ...]:  # noqa: ARG002  # Spark's signature
        return ()

    def addInPlace(  # noqa: N802  # Spark's name
        self, value1: tuple[TaskEnd, ...], value2: tuple[TaskEnd, ...]
    ) -> tuple[TaskEnd, ...]:
        for end in value2:
            self._on_end(TaskEnd(*end))
        return value1

    def __reduce__(self) -> tuple[Any, ...]:
        return AddingAccumulatorParam, ((),)


class SparkConnection:
    """A started driver. Methods may be called from any thread, and raise CONNECTION_ERRORS when it is gone."""

    def __init__(self, settings: SparkSettings, runner: str, on_end: Callable[[TaskEnd], None]) -> None:
        """`runner` is "module:function" on executors; `on_end` is called from a thread of its own.

        Raises:
            TryAgain: the master cannot be reached, or does not answer.
            GiveUp: there is no Java, or it does not start.
        """
        _knock(settings)
        self._settings = settings
        self._runner = runner
        self._folder = Path(tempfile.mkdtemp(prefix="tuning-service-spark-"))
        self._gateway: Any = None
        self._sc: Any = None
        self._lock = threading.Lock()
        self._partitions: dict[int, Any] = {}
        self._profiles: dict[Resources, Any] = {}
        try:
            self._connect()
            self._prepare(on_end)
        except CONNECTION_ERRORS as error:
            why, detail = _reason(error), words_of(error)  # while there is a JVM to ask
            self.close()
            told = f"refused to start: {why}" if why else f"did not start{_within(settings.connect_s)} or refused to."
            raise TryAgain(f"Spark at {settings.master} {told}", retry_after_s=10, detail=detail) from error
        except BaseException:
            self.close()
            raise

    def is_alive(self) -> bool:
        """False when tasks can no longer be submitted, ever."""
        try:
            return not self._scala_context.isStopped()
        except CONNECTION_ERRORS:
            return False

    def submit(self, tickets: Sequence[TaskTicket], resources: Resources) -> SparkJob:
        """One Spark job with a task for each ticket. Costs about 1 ms of this process's CPU time."""
        count = len(tickets)
        function = task_function(tickets, self._runner, self._ends.add)
        # Each call below is a message to the JVM and back: what is the same in every job has been sent before.
        python = self._jvm_function(
            bytearray(self._pickle((function, None, self._serializer, self._serializer))),
            self._environment,
            self._includes,
            self._python,
            self._sc.pythonVer,
            self._no_broadcasts,
            self._sc._javaAccumulator,
        )
        rdd = self._jvm_rdd(self._empty(count), python, False, False).asJavaRDD()
        if profile := self._profile(resources):
            rdd = rdd.withResources(profile)
        return SparkJob(rdd.collectAsync())

    def executors(self) -> list[Executor]:
        """Those that are there now; in local mode one, without GPUs."""
        listed = json.loads(self._json.writeValueAsString(self._status.executorList(True)))
        return [
            Executor(cpus=entry["totalCores"], gpus=len(entry["resources"].get("gpu", {}).get("addresses", ())))
            for entry in listed
            if entry["totalCores"]  # on a cluster the driver itself is listed, with none
        ]

    def close(self) -> None:
        """Ends the driver with all its tasks, and the JVM with it. May be called twice."""
        gateway, self._gateway = self._gateway, None
        if gateway:
            try:
                with _killed_after(_STOP_S, gateway.proc):
                    self._stop_context()
            finally:
                _end_jvm(gateway)
                _forget_gateway()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self) -> None:
        scheduler = self._folder / "fairscheduler.xml"
        scheduler.write_text(FAIR_SCHEDULER)
        values = self._settings.spark_conf(str(scheduler))
        os.environ["JAVA_HOME"] = str(java_home())
        # The JVM's command line can be read by everybody on the machine.
        public = SparkConf(loadDefaults=False).setAll([(k, v) for k, v in values.items() if not _SECRET.search(k)])
        try:
            with _output(self._settings.output) as streams, warnings.catch_warnings():
                # From Python 3.12 on, a preexec_fn beside threads warns; PySpark's does no more than ignore a signal.
                warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
                self._gateway = launch_gateway(public, streams)  # type: ignore[no-untyped-call]
        except PySparkRuntimeError as error:
            raise GiveUp(
                "Spark's JVM ended while it started: its own output says why. Look at Spark's settings.",
                detail=str(error),
            ) from error
        # Spark itself waits a minute for a master that took the connection and never answers.
        with _killed_after(self._settings.connect_s, self._gateway.proc), _signals_and_path_kept():
            conf = SparkConf(loadDefaults=False).setAll(list(values.items()))
            self._sc = SparkContext(conf=conf, gateway=self._gateway)
            self._sc.addPyFile(str(write_runner_zip(self._folder)))

    def _prepare(self, on_end: Callable[[TaskEnd], None]) -> None:
        sc, jvm = self._sc, self._gateway.jvm
        default = sys.executable if self._settings.is_local else os.environ.get("PYSPARK_PYTHON", "python3")
        self._python = self._settings.python or default
        self._ends = sc.accumulator((), _Ends(on_end))
        pickler: Any = CloudPickleSerializer
        self._serializer, self._pickle = CPickleSerializer(), pickler().dumps
        self._scala_context = sc._jsc.sc()
        self._status = self._scala_context.statusStore()
        self._json = jvm.com.fasterxml.jackson.databind.ObjectMapper()
        self._json.registerModule(jvm.com.fasterxml.jackson.module.scala.DefaultScalaModule())
        self._jvm_function, self._jvm_rdd = jvm.SimplePythonFunction, jvm.PythonRDD
        self._environment, self._includes = jvm.java.util.HashMap(), jvm.java.util.ArrayList()
        self._no_broadcasts = jvm.java.util.ArrayList()
        for name, value in sc.environment.items():
            self._environment.put(name, value)
        for name in sc._python_includes:
            self._includes.add(name)
        self._default_cpus = int(self._settings.conf.get("spark.task.cpus", "1"))

    def _empty(self, partitions: int) -> Any:
        """An RDD of so many empty partitions; as many are kept as there have been sizes of jobs."""
        with self._lock:
            if partitions not in self._partitions:
                self._partitions[partitions] = self._sc._jsc.parallelize([], partitions).rdd()
            return self._partitions[partitions]

    def _profile(self, resources: Resources) -> Any:
        """The JVM's profile for tasks of this size; None where Spark takes none, or needs none."""
        if self._settings.is_local or (resources.cpus == self._default_cpus and not resources.gpus):
            return None
        with self._lock:
            if resources not in self._profiles:
                requests = TaskResourceRequests().cpus(resources.cpus)
                if resources.gpus:
                    requests = requests.resource("gpu", resources.gpus)
                profile: Any = ResourceProfileBuilder().require(requests).build
                self._profiles[resources] = profile._java_resource_profile
            return self._profiles[resources]

    def _stop_context(self) -> None:
        if self._sc is None:
            return
        if ends := getattr(self, "_ends", None):
            accumulators._accumulatorRegistry.pop(ends.aid, None)
        with warnings.catch_warnings(), suppress(*CONNECTION_ERRORS):
            warnings.simplefilter("ignore", RuntimeWarning)  # that the JVM is gone already
            self._sc.stop()
        self._sc = None


def _knock(settings: SparkSettings) -> None:
    """Returns when one of the masters takes a connection: Spark would try for a minute, in a JVM started for it."""
    if not settings.addresses:
        return
    reasons = []
    for host, port in settings.addresses:
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError as error:
            reasons.append(f"{host}:{port}: {error}")
        else:
            return
    raise TryAgain(f"No Spark master answers at {settings.master}.", retry_after_s=10, detail="; ".join(reasons))


def _within(seconds: float | None) -> str:
    return "" if seconds is None else f" within {seconds:g} s"


@contextmanager
def _killed_after(seconds: float | None, process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Should the block take longer than so many seconds, `process` is killed: whoever waits for it gets an error."""
    timer = threading.Timer(seconds or 0, process.kill)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _signals_and_path_kept() -> Iterator[None]:
    """PySpark takes over Ctrl-C and puts executors' folders on this process's import path; both are put back."""
    path = list(sys.path)
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if in_main else None
    try:
        yield
    finally:
        sys.path[:] = path
        if in_main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _output(path: str | None) -> Iterator[dict[str, Any]]:
    """Arguments for Popen that send a process's output to the file."""
    if path is None:
        yield {}
        return
    with Path(path).open("ab") as file:
        yield {"stdout": file, "stderr": file}


def _end_jvm(gateway: Any) -> None:
    with suppress(*CONNECTION_ERRORS):
        gateway.shutdown()
    with suppress(OSError):
        gateway.proc.stdin.close()  # the JVM watches the other end
    try:
        gateway.proc.wait(5)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()


def _forget_gateway() -> None:
    with SparkContext._lock:
        SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
