"""Algorithms of many jobs in a few child processes, behind futures.

A session belongs to one job and sticks to one child, which holds its algorithm. Each child has a thread here that
does the blocking part, so `ask` returns at once. A child may die at any time: what its algorithms knew is rebuilt
from the history that comes with each question.
"""

import itertools
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from tuning_service.domain.errors import InvalidRequest, TryAgain, TuningError
from tuning_service.domain.trial import Observation, Recommendation, Suggestion
from tuning_service.search import messages
from tuning_service.search.base import PendingTrial
from tuning_service.search.messages import AlgorithmSetup
from tuning_service.search.plugins.limits import PluginLimits
from tuning_service.search.process import ChildDied, ChildProcess, ChildTimedOut

if TYPE_CHECKING:
    from tuning_service.search.plugins.cache import PreparedPlugin

__all__ = ["AlgorithmFailed", "AlgorithmHost", "AlgorithmSession", "AlgorithmSetup"]

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_TIMES = {1: "once", 2: "twice", 3: "three times"}


class AlgorithmFailed(TuningError):
    """The search algorithm failed. The same question would fail again."""

    def __init__(self, message: str, *, detail: str = "", explanation: str = "") -> None:
        """`explanation`: further lines for the user, whose own code failed."""
        super().__init__(message, detail=detail)
        self.explanation = explanation


class AlgorithmProcess(Protocol):
    """What sessions need of a child process: `process.ChildProcess`, or `plugins.process.PluginProcess`."""

    starts: int

    @property
    def pid(self) -> int | None: ...

    def start(self) -> None: ...
    def ask(self, question: Mapping[str, Any], timeout_s: float) -> dict[str, Any]: ...
    def close(self) -> None: ...
    def release(self) -> None: ...
    def last_words(self) -> str: ...


_Job = Callable[[AlgorithmProcess], None]


class AlgorithmHost:
    """Owns the child processes. Thread-safe. Children start with the first question that needs them."""

    def __init__(
        self,
        *,
        children: int = 2,
        timeout_s: float = 300.0,
        opinion_s: float = 30.0,
        plugin_limits: PluginLimits | None = None,
    ) -> None:
        """`timeout_s` bounds one answer, the time in which the child answers others not counted; `opinion_s` does where
        a job can do without. Plug-ins, each in a child of its own beside these, are bounded by `plugin_limits`.
        """
        if children < 1:
            raise ValueError(f"children must be at least 1, not {children}")
        self._timeout_s = timeout_s
        self.opinion_s = min(opinion_s, timeout_s)
        self._lock = threading.Lock()
        self._serial = itertools.count()
        self._workers = [Worker(f"algorithms-{i}", ChildProcess()) for i in range(children)]
        self._plugin_limits = plugin_limits or PluginLimits()
        self._plugin_workers: list[Worker] = []
        self._is_closed = False

    def open(
        self, key: str, setup: AlgorithmSetup, plugin: "Callable[[], PreparedPlugin] | None" = None
    ) -> "AlgorithmSession":
        """A session for the job `key`, on the child that has fewest. Close it when the job ends.

        A plug-in has a child of its own. `plugin` makes it ready to start: it is called in the thread of that child,
        may take minutes, and may raise GiveUp, NotFound, TryAgain and OSError.

        Raises:
            TryAgain: this host is closed.
        """
        with self._lock:
            if self._is_closed:
                raise TryAgain("The service is stopping.")
            if plugin is not None:
                return self._open_plugin(key, setup, plugin)
            worker = min(self._workers, key=lambda w: w.sessions)
            worker.sessions += 1
            # Two sessions of one job, one of them about to be closed, must not meet in the child.
            return AlgorithmSession(self, worker, f"{key}#{next(self._serial)}", setup, self._timeout_s)

    def _open_plugin(
        self, key: str, setup: AlgorithmSetup, plugin: "Callable[[], PreparedPlugin]"
    ) -> "AlgorithmSession":
        from tuning_service.search.plugins.process import PluginProcess
        from tuning_service.search.plugins.session import PluginSession

        self._plugin_workers = [w for w in self._plugin_workers if not w.has_ended]
        worker = Worker(f"plugin-{key}", PluginProcess(plugin, self._plugin_limits))
        self._plugin_workers.append(worker)
        worker.sessions += 1
        return PluginSession(self, worker, key, setup, self._plugin_limits)

    def close(self) -> None:
        """All children have ended; questions without an answer fail with TryAgain. May be called twice."""
        with self._lock:
            self._is_closed = True
        workers = [*self._workers, *self._plugin_workers]
        for worker in workers:
            worker.close()
        for worker in workers:
            worker.join()

    def pids(self) -> list[int]:
        """Process ids of the children that were started."""
        return [w.process.pid for w in [*self._workers, *self._plugin_workers] if w.process.pid is not None]

    def release(self, worker: "Worker") -> None:
        """For a session: it counts no more."""
        with self._lock:
            worker.sessions -= 1


class Worker:
    """A thread, the queue of what it has to do, and the child process that it does it with."""

    def __init__(self, name: str, process: AlgorithmProcess) -> None:
        self.sessions = 0
        self.process = process
        self._closed = threading.Event()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._lock = threading.Lock()

    @property
    def is_closed(self) -> bool:
        """True when it takes nothing more."""
        return self._closed.is_set()

    @property
    def has_ended(self) -> bool:
        """True when it was closed and nothing of it runs any more."""
        return self.is_closed and not self._thread.is_alive()

    def put(self, job: _Job) -> bool:
        """True when `job`, which must not raise, will be called in this worker's thread; False when that is closed."""
        with self._lock:
            if self.is_closed:
                return False
            if self._thread.ident is None:
                self._thread.start()
            self._jobs.put(job)
            return True

    def pause(self, seconds: float) -> None:
        """Returns after that time, or when this is closed. In the worker's own thread."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """What is under way or waiting fails soon; the process and its files go by themselves."""
        with self._lock:
            self._closed.set()
        self.process.close()
        self._jobs.put(None)

    def join(self) -> None:
        """The thread has ended."""
        if self._thread.ident is not None:
            self._thread.join()
        self.process.release()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job(self.process)
        self.process.release()


class AlgorithmSession:
    """One job's algorithm. `ask` and `close` may be called from any thread; answers come in the order of questions."""

    # How often a child may die or be silent over one question before the algorithm has failed, and the pause after the
    # first time, which grows.
    _most_deaths: ClassVar[int] = 1
    _most_silences: ClassVar[int] = 0
    _pause_s = 0.0

    def __init__(self, host: AlgorithmHost, worker: Worker, key: str, setup: AlgorithmSetup, timeout_s: float) -> None:
        self._host = host
        self._worker = worker
        self._key = key
        self._setup = setup
        self._timeout_s = timeout_s
        self._is_closed = False
        # Below: touched by the worker's thread only.
        self._answer_s = timeout_s  # bounds the answer that is being waited for
        self._opened_in = 0  # which start of the child knows this session; 0: none
        self._seen = 0  # how many observations it was shown

    def ask(
        self, count: int, history: Sequence[Observation], pending: Sequence[PendingTrial]
    ) -> "Future[list[Suggestion]]":
        """A future of up to `count` suggestions; fewer when the space is exhausted. Never blocks.

        `history` is the whole list of ended trials, to which a later call may only append; what the child has seen
        of it is not sent again.

        The future's errors:
            AlgorithmFailed: it raised, proposed what is not in the space, took too long, or its process died twice.
            TryAgain: the host was closed meanwhile, or the machine could not start a process.
        """
        waiting = [messages.pending_to_json(p) for p in pending]
        question = {"do": "ask", "count": count, "pending": waiting}
        return self._put(question, history, lambda answer: self._suggestions(answer, count), self._timeout_s)

    def recommend(self, history: Sequence[Observation]) -> "Future[Recommendation | None]":
        """A future of the trial that is best by the algorithm's model; None when it has no model. Never blocks.

        `history` and the future's errors are as for `ask`; the time for an answer is the host's `opinion_s`, because
        other jobs wait for the same child meanwhile.
        """
        return self._put(
            {"do": "recommend"},
            history,
            self._recommendation,
            min(self._timeout_s, self._host.opinion_s),
        )

    def _put(
        self,
        question: dict[str, Any],
        history: Sequence[Observation],
        read: Callable[[dict[str, Any]], _Answer],
        timeout_s: float,
    ) -> "Future[_Answer]":
        """A future of what `read` makes of the answer to `question`."""
        future: Future[_Answer] = Future()
        observed = list(history)

        def job(process: AlgorithmProcess) -> None:
            if not future.set_running_or_notify_cancel():
                return
            self._answer_s = timeout_s
            try:
                future.set_result(read(self._ask(process, question, observed)))
            except Exception as error:  # noqa: BLE001  # whatever it is belongs to the caller
                future.set_exception(error)

        if self._is_closed or not self._worker.put(job):
            future.set_exception(TryAgain("The search for this job is closed."))
        return future

    def close(self) -> None:
        """The child forgets this job. May be called twice; questions asked before are still answered."""
        if self._is_closed:
            return
        self._is_closed = True
        self._host.release(self._worker)
        self._worker.put(self._forget)

    def _forget(self, process: AlgorithmProcess) -> None:
        if self._opened_in == process.starts and self._opened_in and not self._worker.is_closed:
            try:
                process.ask({"do": "close", "session": self._key}, self._timeout_s)
            except (ChildDied, ChildTimedOut):
                _log.debug("session %s ended with its child process", self._key)

    def _ask(self, process: AlgorithmProcess, question: dict[str, Any], history: list[Observation]) -> dict[str, Any]:
        deaths = silences = 0
        while True:
            try:
                return self._converse(process, question, history)
            except ChildDied as error:
                if self._worker.is_closed:
                    raise TryAgain("The service is stopping.") from None
                deaths += 1
                how = f"its process died {_TIMES[deaths]}: {error}."
                is_last = deaths > self._most_deaths
            except ChildTimedOut:
                silences += 1
                how = f"it gave no answer within {self._answer_s:g} s" + (
                    f", {_TIMES[silences]}." if silences > 1 else "."
                )
                is_last = silences > self._most_silences
            if is_last:
                raise self._failed(how, detail=process.last_words())
            _log.warning("algorithm is asked again: %s\n%s", how, process.last_words())
            self._worker.pause(self._pause_s * 4 ** (deaths + silences - 1))

    def _suggestions(self, answer: dict[str, Any], count: int) -> list[Suggestion]:
        suggestions = [messages.suggestion_from_json(s) for s in answer["suggestions"]]
        for suggestion in suggestions:
            try:
                self._setup.space.check(suggestion.params)
            except InvalidRequest as error:
                raise self._failed(f"it proposed what is not in the space: {error.message}") from None
        return suggestions[:count]

    def _recommendation(self, answer: dict[str, Any]) -> Recommendation | None:
        return messages.recommendation_from_json(answer["recommendation"])

    def _converse(
        self, process: AlgorithmProcess, question: dict[str, Any], history: list[Observation]
    ) -> dict[str, Any]:
        try:
            process.start()
        except OSError as error:
            why = f": {error.strerror}" if error.strerror else ""
            raise TryAgain(f"no process can be started for it{why}.", detail=str(error)) from error
        if self._opened_in != process.starts:
            self._send(process, self._opening())
            self._opened_in, self._seen = process.starts, 0
        unseen = [messages.observation_to_json(o) for o in history[self._seen :]]
        answer = self._send(process, question | {"session": self._key, "observe": unseen})
        self._seen = max(self._seen, len(history))
        return answer

    def _opening(self) -> dict[str, Any]:
        return {"do": "open", "session": self._key, "setup": messages.setup_to_json(self._setup)}

    def _send(self, process: AlgorithmProcess, question: dict[str, Any]) -> dict[str, Any]:
        answer = process.ask(question, self._answer_s)
        if "error" in answer:
            self._opened_in = 0
            raise self._failed(answer["error"]["reason"], detail=answer["error"]["detail"])
        return answer

    def _failed(self, reason: str, *, detail: str = "") -> AlgorithmFailed:
        return AlgorithmFailed(f"Algorithm {self._setup.algorithm.name} failed: {reason}", detail=detail)
