"""What all pages of one job have in common: its header, its controls and the tabs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tuning_service.domain.job import TuningJob
from tuning_service.domain.state import OPEN_JOBS, JobStatus, JobTarget, TrialStatus
from tuning_service.manager.views import JobView
from tuning_service.portal.view import Page, View

TABS = (
    ("Overview", ""),
    ("Trials", "/trials"),
    ("Curves", "/curves"),
    ("Parameters", "/parameters"),
    ("Cluster", "/slots"),
    ("Job file", "/file"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHead:
    """What the header says beside what the job itself does."""

    job: TuningJob
    shown: JobView
    used_s: float | None  # running time
    may_act: bool

    @property
    def is_deleting(self) -> bool:
        """True once nothing can be done with it any more."""
        return self.job.target is JobTarget.DELETED

    @property
    def can_stop(self) -> bool:
        """True while it goes on, or is about to: one that has ended by itself is no longer wanted to run."""
        return self.may_act and self.job.target is JobTarget.RUNNING

    @property
    def can_resume(self) -> bool:
        """True when it has ended and has something left to do."""
        job, progress = self.job, self.shown.progress
        if not self.may_act or job.target is not JobTarget.STOPPED or job.status in OPEN_JOBS:
            return False
        return job.status is not JobStatus.COMPLETED or progress.done < progress.total

    @property
    def can_add(self) -> bool:
        """True while further trials may begin."""
        return self.can_stop and self.shown.progress.done < self.shown.progress.total

    @property
    def is_waiting(self) -> bool:
        """True when `reason` tells what it waits for."""
        goes_on = self.job.status in OPEN_JOBS or self.job.target is JobTarget.RUNNING
        return goes_on and self.job.reason.startswith("Waits")

    @property
    def model_differs(self) -> bool:
        """True when the algorithm's model holds another trial for the best than the values say."""
        return self.job.model_best_trial not in {None, self.shown.progress.best_trial}

    @property
    def trials(self) -> Mapping[str, int]:
        """How many trials are in each state; those without any are left out."""
        progress = self.shown.progress
        counts = {str(status): getattr(progress, str(status)) for status in TrialStatus}
        return {status: count for status, count in counts.items() if count}


def head_of(view: View, shown: JobView) -> JobHead:
    """The header for who looks at the page."""
    job = shown.job
    ran = 0.0 if job.running_since is None else max(0.0, view.managers.tuning.now() - job.running_since)
    used_s = job.used_s + ran
    return JobHead(job=job, shown=shown, used_s=used_s or None, may_act=view.may("member"))


def job_page(
    view: View, shown: JobView, tab: str, template: str, context: Mapping[str, Any], scripts: tuple[str, ...] = ()
) -> Page:
    """One of the job's pages. `tab` is a path of TABS."""
    job = shown.job
    label = next(label for label, path in TABS if path == tab)
    return Page(
        template=template,
        title=job.spec.name if not tab else f"{label} · {job.spec.name}",
        here="jobs",
        live=job.id,
        scripts=("job.js", *scripts),
        context={"head": head_of(view, shown), "job": job, "tab": tab, "tabs": TABS, **context},
    )
