"""What Prometheus is told."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector


class Metrics:
    """Counts of one application. All names begin with `tuning_`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """`registry` may hold more, such as an embedded controller's."""
        self.registry = registry or CollectorRegistry()
        if registry is None:
            ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "tuning_http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.latency = Histogram(
            "tuning_http_request_seconds",
            "From the request's head to the answer's end; streams are left out",
            ["method", "route"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self.open_requests = Gauge("tuning_http_open_requests", "Requests being answered", registry=self.registry)
        self.open_streams = Gauge("tuning_http_open_streams", "Event and log streams open", registry=self.registry)
        self.jobs_started = Counter("tuning_jobs_started", "Tuning jobs accepted", registry=self.registry)
        self.program_bytes = Counter("tuning_program_bytes", "Bytes of programs uploaded", registry=self.registry)
        self.claims = Counter("tuning_task_claims", "Tasks handed to runners", registry=self.registry)
        self.reports = Counter("tuning_task_reports", "Reports of runners", registry=self.registry)
        self.measurements = Counter(
            "tuning_task_measurements", "Measurements in reports, with those delivered again", registry=self.registry
        )
        self.outcomes = Counter("tuning_task_outcomes", "Tasks that runners ended", ["status"], registry=self.registry)
