"""What the service counts, for Prometheus."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.of_route = cache(self._of_route)
        self.requests = self._counter("requests", "Requests", ["route", "method", "status"])
        self.seconds = Histogram(
            "request_seconds",
            "Seconds until the answer",
            ["route"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.predictions = self._counter(
            "predictions", "Rows predicted", ["model_version", "predicted"]
        )
        self.unfamiliar = self._counter(
            "prediction_warnings", "Inputs unlike those of the training", ["input", "reason"]
        )
        self.labels = self._counter("labels", "New labels", [])
        self.model = Gauge(
            "model", "1 for the model that answers", ["version"], registry=self.registry
        )
        self.monitor_score = Gauge(
            "monitor_score",
            "Scores of the last window that has one, as nb monitor found them",
            ["score", "kind"],
            registry=self.registry,
        )
        self.monitor_alarm = Gauge(
            "monitor_alarm",
            "1 for a score that has fallen below its threshold",
            ["score"],
            registry=self.registry,
        )
        self.monitor_time = Gauge(
            "monitor_timestamp_seconds", "When nb monitor looked last", registry=self.registry
        )
        self.refused = self._counter("models_refused", "Candidates that were refused", [])

    def show_report(self, made_at: datetime, monitoring: Mapping[str, Any]) -> None:
        """Sets the gauges to what the monitor found."""
        self.monitor_time.set(made_at.timestamp())
        for name, one in monitoring["criteria"].items():
            self.monitor_alarm.labels(name).set(one["is_alarm"])
            for kind in ("threshold", "training"):
                if kind in one:
                    self.monitor_score.labels(name, kind).set(one[kind])
            for window in monitoring.get("windows", ()):
                for kind in ("measured", "estimated"):
                    if name in window[kind]:
                        self.monitor_score.labels(name, kind).set(window[kind][name]["score"])

    def _counter(self, name: str, description: str, labels: list[str]) -> Counter:
        return Counter(name, description, labels, registry=self.registry)

    def _of_route(self, route: str, method: str, status: int) -> tuple[Counter, Histogram]:
        """The counter and the histogram of requests of one kind; looking them up takes longer than
        counting.
        """
        return self.requests.labels(route, method, status), self.seconds.labels(route)
