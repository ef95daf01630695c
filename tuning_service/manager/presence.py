"""Presence: a manager's word that it is here, and whether it can store files."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from tuning_service.domain.clock import Clock, system_clock
from tuning_service.domain.errors import TryAgain
from tuning_service.storage.artifacts import ArtifactStore
from tuning_service.storage.managers import WORD_S
from tuning_service.storage.store import Store

_FAREWELL_S = 5.0  # a database that does not answer must not keep the process from ending
_SILENT = "The service's artifact store does not answer."
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Presence:
    """Controllers count a runner's silence only while managers give their word. Safe from any thread."""

    def __init__(
        self,
        store: Store,
        artifacts: ArtifactStore,
        clock: Clock = system_clock,
        *,
        apart: bool,
        check_s: float = 15.0,
    ) -> None:
        """`apart`: controllers are other processes. The artifact store is tried every `check_s` seconds."""
        self._store, self._artifacts, self._clock, self._apart = store, artifacts, clock, apart
        self._check_s = check_s
        self._id = f"manager-{uuid.uuid4().hex[:12]}"
        self._problem = ""
        self._checking_since: float | None = None
        self._leaving = threading.Event()
        self._is_heard = True  # what is told is that this changes, not each word that is not heard

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While the block lasts the word is given."""
        # A store that hangs must keep neither the word nor the process's end: its thread is not waited for.
        threading.Thread(target=self._keep_checking, name="artifacts", daemon=True).start()
        word = threading.Thread(target=self._keep_word, name="presence", daemon=True)
        if self._apart:
            word.start()
        try:
            yield
        finally:
            self._leaving.set()
            if self._apart:
                word.join(_FAREWELL_S)

    def ready(self) -> str:
        """What is amiss although requests are served, "" for nothing; what the database raises when it is away.

        Without its artifact store a manager still takes measurements and answers questions, so that it is of use
        unless another one can do more.

        Raises:
            TryAgain: this manager cannot store files, and others can.
        """
        with self._store.read() as unit:
            seen = unit.managers.all()
        problem, now = self.problem, self._clock()
        if problem and any(m.is_alive(now) and not m.problem for m in seen if m.id != self._id):
            raise TryAgain(problem)
        return problem

    @property
    def problem(self) -> str:
        """Why files cannot be stored, as of the last try; "" when they can."""
        since = self._checking_since
        return _SILENT if since is not None and time.monotonic() - since > self._check_s else self._problem

    def _keep_word(self) -> None:
        while True:
            self._quietly(self._give_word)
            if self._leaving.wait(WORD_S):
                break
        self._quietly(self._forget)

    def _give_word(self) -> None:
        with self._store.write() as unit:
            unit.managers.heard_of(self._id, self._clock(), self.problem)

    def _forget(self) -> None:
        with self._store.write() as unit:
            unit.managers.forget(self._id, self._clock())

    def _keep_checking(self) -> None:
        while True:
            self._checking_since = time.monotonic()
            self._check()
            self._checking_since = None
            if self._leaving.wait(self._check_s):
                return

    def _check(self) -> None:
        try:
            self._artifacts.check()
        except Exception as error:  # noqa: BLE001  # each kind of store has errors of its own
            problem = error.message if isinstance(error, TryAgain) else _SILENT
            _log.warning("the artifact store is of no use", reason=problem, detail=str(getattr(error, "detail", error)))
            self._problem = problem
        else:
            self._problem = ""

    def _quietly(self, action: Callable[[], None]) -> None:
        """The database may be away for a while; the thread must outlive that."""
        was_heard, self._is_heard = self._is_heard, True
        try:
            action()
        except Exception as error:  # noqa: BLE001  # whatever it is, the next word may get through
            self._is_heard = False
            if was_heard:
                _log.warning("controllers do not hear of this manager", reason=f"{type(error).__name__}: {error}")
