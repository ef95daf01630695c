"""What a decision depends on, and what it can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tuning_service.compute.base import HandleStatus
from tuning_service.domain.job import TuningJob
from tuning_service.domain.state import TrialStatus
from tuning_service.domain.trial import Outcome, Suggestion, Trial, TuningTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an ended task measured, and how often its trial was lost so far, this time included.

    `values` has what counts of the required metrics, as far as that is finite; `metrics` the last value of each. `lost`
    counts losses by the cluster, `again` those by the service, too, but for cordons.
    """

    values: Mapping[str, float]
    metrics: Mapping[str, float]
    lost: int = 0
    again: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """All that a decision may depend on."""

    now: float
    hearing_since: float = 0.0  # silence from before does not count: nobody could have heard
    job: TuningJob
    counts: Mapping[TrialStatus, int]
    cut: int = 0  # of the stopped ones, those that were stopped by themselves, for good
    trials: Sequence[Trial]  # queued and running
    tasks: Sequence[TuningTask]  # open, and ended but unsettled
    results: Mapping[str, Result]  # by id of an ended, unsettled task
    handles: Mapping[str, HandleStatus]  # what the backend said before `tasks` was read
    spark_failures: Mapping[str, str] = field(default_factory=dict)  # by handle that is FAILED: why
    failed_in_row: int = 0  # up to the end of the history, without those forgiven
    last_failure: str = ""
    ready: Sequence[Suggestion] = ()  # suggested, not stored yet
    asked: int = 0  # asked of the algorithm, not answered yet
    exhausted: bool = False
    ending: str = ""  # what to say of that, instead of that every configuration has been tried
    algorithm_error: str = ""
    algorithm_trouble: str = ""  # why it could not be asked the last time
    slots: int = 0  # further tasks that may be launched now
    waiting: str = ""  # why `slots` is 0
    refusal: str = ""  # why Spark did not take what was launched last
    service_url: str = ""  # as executors are told it
    price: float = 0.0  # of a GPU for an hour, in the job's pool
    infeasible: Sequence[str] = ()  # for each of `ready`: why it cannot be trained; "" or nothing when it can
    infeasible_in_row: int = 0  # up to the end of the history
    silent_s: float = 60.0
    # By id of a queued trial that had tasks: how often it was lost, and when last.
    losses: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    retry_pause_s: float = 2.0  # after the second loss; after each further one three times as long


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """Where a trial goes because its task ended. `outcome` is set when the runner did not end the task itself."""

    task: TuningTask
    trial: Trial
    outcome: Outcome | None = None
    final: bool = False  # the trial enters the history


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """What shall be stored (first) and done (then)."""

    job: TuningJob | None = None  # as it shall be from now on; None: unchanged
    conclusions: Sequence[Conclusion] = ()
    stop: Sequence[TuningTask] = ()
    shelve: Sequence[Trial] = ()  # queued trials that will not run now
    dropped: Sequence[Trial] = ()  # queued trials that will never run, since their user stopped them
    store: Sequence[Trial] = ()  # new ones: queued, and failed when their configuration is infeasible
    launch: Sequence[TuningTask] = ()
    cancel: Sequence[str] = ()  # handles
    ask: int = 0
    requeue_stopped: bool = False
    delete: bool = False

    @property
    def infeasible(self) -> list[Trial]:
        """Of `store`, those that enter the history at once."""
        return [trial for trial in self.store if trial.status is TrialStatus.FAILED]

    @property
    def unrun(self) -> list[Trial]:
        """Trials that enter the history, after those of `conclusions`, without a task's end."""
        return [*self.dropped, *self.infeasible]

    @property
    def writes(self) -> bool:
        """True when there is anything to store."""
        return bool(
            self.job
            or self.conclusions
            or self.stop
            or self.shelve
            or self.dropped
            or self.store
            or self.launch
            or self.requeue_stopped
            or self.delete
        )
