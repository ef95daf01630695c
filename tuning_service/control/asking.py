"""The algorithm's side of a job: what it was told, what it owes, what it gave."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import structlog

from tuning_service.domain.errors import TryAgain, TuningError
from tuning_service.domain.job import TuningJob
from tuning_service.domain.state import TrialStatus
from tuning_service.domain.trial import (
    NOT_ITS_OWN,
    FaultKind,
    Observation,
    QueuedPoint,
    Recommendation,
    Suggestion,
    Trial,
)
from tuning_service.search.base import PendingTrial, algorithms
from tuning_service.search.host import AlgorithmFailed, AlgorithmSession

OpenSession = Callable[[TuningJob], AlgorithmSession]

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# How long a step waits for the algorithm before it lets other jobs have their turn: a cheap algorithm answers
# sooner, and then its suggestion is launched in the step that asked for it.
_PROMPT_S = 0.02
# A job whose algorithm has been asked for so long says that it waits for that.
_SLOW_S = 5.0
# How long the end of a job waits for the algorithm to say which trial is best.
_LAST_WORD_S = 10.0
# While a job runs, that is asked after so many ended trials, and then each time after so many times as many.
_FIRST_OPINION = 10
_NEXT_OPINION = 1.5


@dataclass(slots=True)
class Search:
    """A job's algorithm, as its controller sees it. Used by one thread."""

    history: list[Observation]  # those of earlier jobs, then those of this one
    failures: list[str] = field(default_factory=list)  # reasons of the failures that end the history
    infeasible: int = 0  # configurations in a row, up to the end of the history, that could not be trained
    last_failure: str = ""  # reason of the last trial that failed
    warm: int = 0  # observations of earlier jobs
    ended: Counter[TrialStatus] = field(default_factory=Counter)  # trials of this job that ended for good
    cut: set[int] = field(default_factory=set)  # numbers of those that their user stopped
    points: Sequence[QueuedPoint] = ()  # the user's that are tried next, as of the last look
    ready: list[Suggestion] = field(default_factory=list)
    asked: int = 0
    exhausted: bool = False
    ending: str = ""  # what to say when exhausted
    plugin: str = ""  # name and version, when the algorithm is one
    error: str = ""
    trouble: str = ""  # why it could not be asked the last time; it is asked again
    _session: AlgorithmSession | None = None
    _answer: Future[list[Suggestion]] | None = None
    _asked_at: float = 0.0  # monotonic
    _opinion: Future[Recommendation | None] | None = None
    _opinion_on: int = 0  # length of the history that it is, or was last, asked about
    _opinion_until: float = 0.0  # monotonic; when the end of the job waits no longer
    _opinion_given: Recommendation | None = None
    _opinion_failed: bool = False  # then it is asked no more: it may hang, and other jobs wait for the same process

    @classmethod
    def of(cls, job: TuningJob, warm: Sequence[Observation], settled: Sequence[Trial]) -> "Search":
        """Of a job that a controller takes up, from what is stored of it."""
        chosen = job.spec.algorithm
        search = cls(
            history=[*warm, *(observation(trial, job) for trial in settled)],
            warm=len(warm),
            plugin=f"Plug-in {chosen.name} {chosen.version}" if chosen.version else "",
        )
        search.ended.update(trial.status for trial in settled)
        for trial in settled[job.forgiven :]:
            search._count_failure(trial)
        return search

    @property
    def settled(self) -> int:
        """Trials of this job in the history."""
        return len(self.history) - self.warm

    def take(self, trial: Trial, job: TuningJob) -> None:
        """A trial's end was stored."""
        self.history.append(observation(trial, job))
        self.ended[trial.status] += 1
        self._count_failure(trial)

    def _count_failure(self, trial: Trial) -> None:
        if trial.status is TrialStatus.STOPPED:
            self.cut.add(trial.number)
            return  # its user's doing
        if trial.fault is FaultKind.INFEASIBLE:
            self.infeasible += 1
            self.last_failure = trial.reason
            return  # neither for nor against the program
        self.infeasible = 0
        if trial.status is TrialStatus.FAILED:
            self.failures.append(trial.reason)
            self.last_failure = trial.reason
        else:
            self.failures.clear()

    def forgive(self) -> None:
        """What failed before a resume is not held against the job."""
        self.failures.clear()
        self.infeasible, self.last_failure = 0, ""

    def collect(self) -> None:
        """Take the answers in that are there."""
        if self._answer is not None and self._answer.done():
            try:
                suggestions = self._answer.result()
            except TryAgain as error:
                self.trouble = f"Waits: the search algorithm cannot be asked: {error.message}"
                log.warning("algorithm is asked again", reason=error.message, detail=error.detail)
            except TuningError as error:
                explanation = error.explanation if isinstance(error, AlgorithmFailed) else ""
                self.error = "\n".join(filter(None, [error.message, explanation]))
                log.warning("algorithm failed", reason=error.message, detail=error.detail)
            else:
                self.trouble = ""
                self.exhausted = len(suggestions) < self.asked
                if self.exhausted and self.plugin:
                    self.ending = f"{self.plugin} suggests no more: asked for {self.asked}, it gave {len(suggestions)}."
                self.ready += suggestions
            self._answer, self.asked = None, 0
        if self._opinion is not None and self._opinion.done():
            try:
                self._opinion_given = self._opinion.result()
            except TryAgain as error:
                log.warning("algorithm did not say which trial is best", reason=error.message, detail=error.detail)
            except TuningError as error:
                self._opinion_failed = True
                log.warning("algorithm did not say which trial is best", reason=error.message, detail=error.detail)
            self._opinion = None

    def state(self, left: int) -> dict[str, Any]:
        """What a decision depends on: fields of `JobState`, while `left` trials of the budget are not stored yet.

        The user's points are tried first. Suggestions that are left over, because points came in between, come to
        nothing.
        """
        points = [Suggestion(params=p.params, source=p.source) for p in self.points]
        return {
            "ready": (*points, *self.ready)[:left],
            "asked": self.asked,
            "exhausted": self.exhausted,
            "ending": self.ending,
            "algorithm_error": self.error,
            "algorithm_trouble": self.trouble or self._slowness(),
        }

    def ask(
        self,
        job: TuningJob,
        count: int,
        ended: Sequence[Trial],
        pending: Sequence[PendingTrial],
        open_session: OpenSession,
        notify: Callable[[str], None],
    ) -> None:
        """Ask for suggestions, given what is about to be stored as `ended`, and wait a moment for a prompt answer."""
        history = self.history + [observation(trial, job) for trial in ended]
        self.asked, self._asked_at = count, time.monotonic()
        self._answer = self._opened(job, open_session).ask(count, history, pending)
        _wait(self._answer, job, notify)
        self.collect()

    def _slowness(self) -> str:
        """What a job says whose algorithm takes its time, as a plug-in does that is being installed."""
        if self._answer is None or time.monotonic() - self._asked_at < _SLOW_S:
            return ""
        return "Waits for suggestions of its search algorithm."

    # -- which trial is best, by the algorithm's model

    def opinion_of(self, job: TuningJob) -> TuningJob:
        """`job` with the last opinion on its best trial, when a new one was given."""
        given = self._opinion_given
        self._opinion_given = None
        # Rubbish from a plug-in must not be stored: only a trial that was trained to its end, and met the metric
        # constraints, is best.
        if given is None or not any(
            o.number == given.number and o.losses is not None and o.is_feasible and o.number not in self.cut
            for o in self.history[self.warm :]
        ):
            return job
        value = job.spec.objective.loss(given.loss) + 0.0  # twice turned is as it was; and no -0
        if (given.number, value) == (job.model_best_trial, job.model_best_value):
            return job
        return dataclasses.replace(job, model_best_trial=given.number, model_best_value=value)

    def wonder(self, job: TuningJob, open_session: OpenSession, notify: Callable[[str], None]) -> None:
        """Ask for an opinion while the algorithm has nothing else to do, ever more rarely."""
        enough = max(_FIRST_OPINION, self._opinion_on * _NEXT_OPINION)
        if self.settled >= enough and self._answer is None and self._opinion is None and self._has_opinions(job):
            self._ask_opinion(job, (), open_session)
            _tell(self._opinion, job, notify)

    def considers_end(
        self, job: TuningJob, ended: Sequence[Trial], open_session: OpenSession, notify: Callable[[str], None]
    ) -> bool:
        """True while the algorithm looks at the whole history, `ended` included, of a job that would end now.

        It is given some time for that, and not for ever.
        """
        if self.error or not (self._has_opinions(job) and self._has_values(ended)):
            return False
        if self._opinion is None and self._opinion_on != self.settled + len(ended):
            self._ask_opinion(job, ended, open_session)
            _wait(self._opinion, job, notify)
            return True  # the next step takes the answer in
        if self._opinion is None:
            return False
        if time.monotonic() < self._opinion_until:
            return True
        log.warning("algorithm did not say in time which trial is best", waited_s=_LAST_WORD_S)
        return False

    @property
    def has_news(self) -> bool:
        """True when an opinion is there to be collected."""
        return self._opinion is not None and self._opinion.done()

    def _has_opinions(self, job: TuningJob) -> bool:
        found = algorithms().get(job.spec.algorithm.name)
        # A plug-in's class is known to its own process only: that answers, at the cost of a message.
        has_model = found is None or found.has_model()
        return len(job.spec.objectives) == 1 and has_model and not self._opinion_failed

    def _has_values(self, ended: Sequence[Trial]) -> bool:
        return any(t.values for t in ended) or any(o.losses for o in self.history[self.warm :])

    def _ask_opinion(self, job: TuningJob, ended: Sequence[Trial], open_session: OpenSession) -> None:
        self._opinion_on, self._opinion_until = self.settled + len(ended), time.monotonic() + _LAST_WORD_S
        history = self.history + [observation(trial, job) for trial in ended]
        self._opinion = self._opened(job, open_session).recommend(history)

    # -- the session

    def _opened(self, job: TuningJob, open_session: OpenSession) -> AlgorithmSession:
        if self._session is None:
            self._session = open_session(job)
        return self._session

    def close(self) -> None:
        """The algorithm is not needed any more."""
        if self._session is not None:
            self._session.close()


def observation(trial: Trial, job: TuningJob) -> Observation:
    """What the algorithm learns of a trial that ended for good.

    Of one that its user stopped: what it had measured by then, or else only that it was tried.
    """
    if not trial.values:
        telling = trial.fault not in NOT_ITS_OWN and trial.status is not TrialStatus.STOPPED
        return Observation(number=trial.number, params=trial.params, losses=None, telling=telling)
    spec = job.spec
    return Observation(
        number=trial.number,
        params=trial.params,
        losses=spec.losses(trial.values),
        violations=spec.violations(trial.values),
    )


def _wait(answer: "Future[Any] | None", job: TuningJob, notify: Callable[[str], None]) -> None:
    """Until the answer is there, or a moment has passed."""
    assert answer is not None
    try:
        answer.exception(timeout=_PROMPT_S)
    except TimeoutError:
        _tell(answer, job, notify)


def _tell(answer: "Future[Any] | None", job: TuningJob, notify: Callable[[str], None]) -> None:
    """When the answer comes, the job is to be looked at."""
    assert answer is not None
    answer.add_done_callback(lambda _: notify(job.id))
