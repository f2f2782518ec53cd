"""What the service counts, in Prometheus' words."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.answered = cache(self._answered)
        self.requests = Counter("requests", "Requests", ["route", "method", "status"], registry=registry)
        self.seconds = Histogram("request_seconds", "Until the answer", ["route"], buckets=BUCKETS, registry=registry)
        self.predictions = Counter("predictions", "Rows predicted", ["model_version", "predicted"], registry=registry)
        self.labels = Counter("labels", "Labels that were new", registry=registry)
        self.model = Gauge("model", "1 for the model that answers", ["version"], registry=registry)
        self.refused = Counter("models_refused", "Candidates that were not taken", registry=registry)

    def _answered(self, route: str, method: str, status: int) -> tuple[Counter, Histogram]:
        """The counter and the seconds of requests of one kind, found once."""
        return self.requests.labels(route, method, status), self.seconds.labels(route)
