"""What `/metrics` tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from muniment_server.services.workspace import Workspace

REGISTRY = CollectorRegistry()
_REQUESTS = Counter("muniment_requests", "Requests answered", ["route", "status"], registry=REGISTRY)
_SECONDS = Histogram(
    "muniment_request_seconds",
    "Seconds to answer a request",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
_WRITES = Gauge("muniment_writes_total", "Writes committed by this process", registry=REGISTRY)
_GROUPS = Gauge("muniment_groups_total", "Transactions committed by this process", registry=REGISTRY)
_WAITING = Gauge("muniment_writes_waiting", "Writes that wait for their turn", registry=REGISTRY)


def observe(route: str, status: int, seconds: float) -> None:
    """Count one request."""
    _REQUESTS.labels(route, str(status)).inc()
    _SECONDS.labels(route).observe(seconds)


def exposition(workspace: Workspace) -> str:
    """The text that Prometheus scrapes."""
    _WRITES.set(workspace.writer.writes)
    _GROUPS.set(workspace.writer.groups)
    _WAITING.set(workspace.writer.waiting)
    return generate_latest(REGISTRY).decode()
