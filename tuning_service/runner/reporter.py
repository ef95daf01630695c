"""What a running task tells the service: in batches, in order, once the service can be reached."""

import json
import logging
import os
import time
from dataclasses import replace

from tuning_service.domain.resources import MOST_SAMPLES, ResourceUse
from tuning_service.domain.state import Decision
from tuning_service.domain.trial import LaunchPlan, Measurement, Outcome
from tuning_service.runner.lines import LogWindow
from tuning_service.runner.protocol import Report
from tuning_service.runner.service import Refused, Service, Unreachable
from tuning_service.runner.spool import Spool
from tuning_service.runner.thinning import Thinner

_FIRST_NEWS_S = 0.1  # a training that ends within this time of its first measurement needs one report in all
_NEWS_S = 0.25
_BATCH = 5000  # measurements in one report
_MOST_WAITING = 50_000  # measurements in memory, when the disk takes no more of them
_AT_ONCE = 8  # reports sent before the log is looked at again
_log = logging.getLogger(__name__)


class Backoff:
    """Growing pauses between tries: 0.2 s to 5 s."""

    def __init__(self) -> None:
        self._next_s = 0.2

    def pause_s(self) -> float:
        """How long to wait before the next try."""
        pause, self._next_s = self._next_s, min(self._next_s * 2, 5.0)
        return pause


def delivery_s() -> float:
    """How long to try to reach the service after a training ended: TUNING_DELIVERY_S, 600 s."""
    return float(os.environ.get("TUNING_DELIVERY_S", "600"))


class Reporter:
    """Collects measurements and log; `pump` sends what is due. `decision` is the latest of the service.

    `pump` and `deliver` raise Gone when the service has given this execution up.
    """

    def __init__(self, service: Service, plan: LaunchPlan, spool: Spool) -> None:
        self.decision = Decision.CONTINUE
        self.log = LogWindow(plan.log_limit_bytes)
        self._service = service
        self._plan = plan
        self._spool = spool
        self._thinner = Thinner()
        self._points: dict[tuple[int, str], Measurement] = {}
        self._reported: set[str] = set()  # metrics of earlier reports
        self._withdrawn: dict[str, None] = {}
        self._log_offset = 0
        self._resources: ResourceUse | None = None
        self._news_since: float | None = None
        self._answered_at = time.monotonic()  # the claim's answer
        self._retry_at: float | None = None
        self._backoff = Backoff()

    def measure(self, point: Measurement) -> None:
        """Take note of a measurement. Of several for one step, the last one counts."""
        if self._thinner.keep(point):
            self._add(point)

    def withdraw(self, metric: str) -> None:
        """What was measured of `metric` so far does not count."""
        self._thinner.forget(metric)
        self._points = {key: point for key, point in self._points.items() if point.metric != metric}
        if metric in self._reported:
            self._withdrawn[metric] = None

    def used(self, use: ResourceUse) -> None:
        """Take note of what the training uses: it travels with what is reported next."""
        samples = (*(self._resources.samples if self._resources else ()), *use.samples)
        self._resources = replace(use, samples=samples[-MOST_SAMPLES:])

    def _add(self, point: Measurement) -> None:
        if len(self._points) >= _BATCH and not self._enqueue() and len(self._points) >= _MOST_WAITING:
            return
        self._points[point.step, point.metric] = point
        if self._news_since is None:
            self._news_since = time.monotonic()

    def due_in(self) -> float:
        """Seconds until `pump` has something to do."""
        if self._retry_at is not None:
            due = self._retry_at
        elif self._spool:
            due = 0.0
        elif self._news_since is not None:
            due = max(self._news_since + _FIRST_NEWS_S, self._answered_at + _NEWS_S)
            due = min(due, self._answered_at + max(self._plan.heartbeat_s, _NEWS_S))
        else:
            due = self._answered_at + self._plan.heartbeat_s
        return max(0.0, due - time.monotonic())

    def pump(self) -> None:
        """Send what is due, if anything is."""
        if self.due_in() > 0:
            return
        if not self._spool:
            self._enqueue()
        self._send_waiting()

    def deliver(self, outcome: Outcome) -> bool:
        """Send all the rest and the outcome. False when the service could not be reached for too long."""
        self.log.finish()
        for point in self._thinner.finish():
            self._add(point)
        self._enqueue(outcome)
        deadline = time.monotonic() + delivery_s()
        self._answered()
        while self._spool:
            if self._retry_at is not None:
                if time.monotonic() >= deadline:
                    _log.error("gave up delivering the outcome", extra=dict(self._plan.context))
                    return False
                time.sleep(max(0.0, self._retry_at - time.monotonic()))
            self._send_waiting()
        return True

    def _enqueue(self, outcome: Outcome | None = None) -> bool:
        """Freeze what there is into a report that is sent as it is, however often it takes. False: no room for it."""
        points = tuple(self._points.values())
        report = Report(
            measurements=points,
            withdrawn=tuple(self._withdrawn),
            log_offset=self._log_offset,
            log=self.log.ready(),
            outcome=outcome,
            resources=self._resources,
        )
        text = json.dumps(report.to_json(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # Names of files, and what was said of them, need not be text. No outcome may be lost to that.
        body = text.encode(errors="replace")
        if not self._spool.append(body, last=outcome is not None):
            return False
        self._reported |= {point.metric for point in points}
        self._points.clear()
        self._withdrawn.clear()
        self._resources = None
        self._news_since = None
        self._log_offset += len(report.log.encode())
        self.log.taken()
        return True

    def _send_waiting(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._spool:
                break
            try:
                answer = self._service.report(self._plan.task_id, self._plan.token, self._spool.head())
            except Unreachable as error:
                if self._retry_at is None:
                    _log.warning("the service cannot be reached: %s", error, extra=dict(self._plan.context))
                self._retry_at = time.monotonic() + self._backoff.pause_s()
                return
            except Refused as error:
                # Sending it again would not help; the reports after it may be fine.
                _log.error("the service refused a report: %s", error, extra=dict(self._plan.context))
            else:
                self.decision = answer
            self._spool.pop()
            self._answered()

    def _answered(self) -> None:
        self._retry_at, self._backoff = None, Backoff()
        self._answered_at = time.monotonic()
