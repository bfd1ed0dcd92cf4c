"""Clients that write everything a run can have, and know exactly what was acknowledged.

Every request of a `Writer` changes something, so it is one entry of the history (a batch with points is two), and its
answer names the position. So the positions that all writers were told must tile 1..head: a lost write leaves a hole,
a write recorded twice a position that nobody was told.
"""

from __future__ import annotations

import http.client
import math
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from muniment.model.ids import new_id
from robustness.server import DEFAULT, JSON, MSGPACK, Reply, Wire

EXPERIMENT = "load"
BROKEN = (OSError, http.client.HTTPException)
"""What a request raises when the server dies under it: nobody knows whether it was done."""
_VALUES = (1.5, -0.0, 1e308, 5e-324, math.nan, math.inf, -math.inf)
_COLUMNS = (("step", "q"), ("timestamp", "q"), ("value", "d"))

Point = tuple[int, int, bytes]
"""(step, timestamp, the value's bits)."""


@dataclass
class RunModel:
    """What a run must hold."""

    id: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: dict[str, set[Point]] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    description: str | None = None

    def add(self, key: str, points: list[Point]) -> None:
        """Points that were recorded."""
        self.points.setdefault(key, set()).update(points)
        self.received[key] = self.received.get(key, 0) + len(points)


@dataclass
class Request:
    """One request that may be sent again as it is, and what it does once."""

    method: str
    path: str
    body: bytes
    effect: Callable[[Any], None]
    """What is true once it was acknowledged; given the answer."""
    key: str | None = None
    media: str = JSON
    entries: int = 1

    def send(self, wire: Wire) -> Reply:
        """Send it, now or again."""
        return wire.call(self.method, self.path, self.body, key=self.key, headers={"Content-Type": self.media})


class Writer:
    """One client.

    Args:
        seed: of its choices.
        project: where it writes.
    """

    def __init__(self, seed: int, project: str = "default") -> None:
        self.random = random.Random(seed)
        self.base = DEFAULT.replace("default", project)
        self.runs: list[RunModel] = []
        self.touched: dict[str, RunModel] = {}
        self.positions: list[int] = []
        self.pending: Request | None = None
        self.refused: list[tuple[Request, Reply]] = []
        self._writer, self._sequence, self._count = new_id(), 0, 0

    def work(self, wire: Wire, until: Callable[[], bool]) -> None:
        """Write until told to stop, the connection breaks, or a request is refused."""
        try:
            while not until() and not self.refused:
                self.step(wire)
        except BROKEN:
            return

    def step(self, wire: Wire) -> None:
        """One request. If the connection breaks, it stays pending."""
        self.pending = self._next()
        self.settle(self.pending.send(wire))

    def retry(self, wire: Wire) -> bool:
        """Send what was never answered again, twice: the second is certainly a replay. Whether there was any."""
        request = self.pending
        if request is None:
            return False
        first = request.send(wire)
        self.settle(first)
        again = request.send(wire)
        assert again.status == first.status, (request, again)
        assert _position(again) == _position(first), f"recorded twice: {request} {first} {again}"
        return True

    def settle(self, reply: Reply) -> None:
        """The pending request was answered."""
        request = self.pending
        assert request is not None
        if reply.status not in {200, 201}:
            self.refused.append((request, reply))
            return
        self.pending = None
        position = _position(reply)
        self.positions += range(position - request.entries + 1, position + 1)
        request.effect(reply.json())

    def _next(self) -> Request:
        self._count += 1
        if not self.runs:
            return self._create()
        return self.random.choice(
            (self._create, self._create_keyed, self._points, self._points, self._points, self._packed, self._packed,
             self._params, self._tags, self._batch, self._describe)
        )()  # fmt: skip

    def _pick(self) -> RunModel:
        run = self.random.choice(self.runs[-8:])
        self.touched[run.id] = run
        return run

    def _began(self, run: RunModel) -> None:
        self.runs.append(run)
        self.touched[run.id] = run

    def _of(self, run: RunModel, tail: str) -> str:
        return f"{self.base}/runs/{run.id}{tail}"

    def _create(self) -> Request:
        run = RunModel(new_id(), params={"lr": "0.5"}, tags={"team": "risk"})
        body = {"experiment": EXPERIMENT, "id": run.id, "params": {"lr": 0.5}, "tags": run.tags}
        return Request("POST", f"{self.base}/runs", _json(body), lambda _: self._began(run))

    def _create_keyed(self) -> Request:
        body = {"experiment": EXPERIMENT, "params": {"n": self._count}}

        def effect(answer: Any) -> None:
            self._began(RunModel(answer["id"], params={"n": str(body["params"]["n"])}))  # type: ignore[index]

        return Request("POST", f"{self.base}/runs", _json(body), effect, key=new_id())

    def _series(self, count: int) -> list[tuple[int, int, float]]:
        first = self._count * 1_000
        draw = self.random
        values = (draw.choice(_VALUES) if at % 7 == 0 else draw.random() for at in range(count))
        return [(first + at, 1_700_000_000_000 + self._count, value) for at, value in enumerate(values)]

    def _points(self) -> Request:
        """By writer and sequence: JSON."""
        run, series = self._pick(), self._series(self.random.randint(1, 30))
        self._sequence += 1
        body = {
            "series": ["loss"],
            "step": [step for step, _, _ in series],
            "timestamp": [timestamp for _, timestamp, _ in series],
            "value": [_spelled(value) for _, _, value in series],
            "writer": self._writer,
            "sequence": self._sequence,
        }
        points = [_bits(*point) for point in series]
        return Request("POST", self._of(run, "/points"), _json(body), lambda _: run.add("loss", points))

    def _packed(self) -> Request:
        """Known by nothing but its digest: MessagePack."""
        run, series = self._pick(), self._series(self.random.randint(40, 120))
        body = {
            "series": ["auc"],
            "step": struct.pack(f"<{len(series)}q", *(step for step, _, _ in series)),
            "timestamp": struct.pack(f"<{len(series)}q", *(timestamp for _, timestamp, _ in series)),
            "value": struct.pack(f"<{len(series)}d", *(value for _, _, value in series)),
        }
        points, packed = [_bits(*point) for point in series], msgspec.msgpack.encode(body)
        return Request("POST", self._of(run, "/points"), packed, lambda _: run.add("auc", points), media=MSGPACK)

    def _params(self) -> Request:
        run, made = self._pick(), {f"p{self._count}": "ü" * self.random.randint(0, 40)}
        body = _json({"params": made})
        return Request("POST", self._of(run, "/params"), body, lambda _: run.params.update(made), key=new_id())

    def _tags(self) -> Request:
        run = self._pick()
        made: dict[str, str | None] = {"turn": str(self._count)}
        if "team" in run.tags:
            made["team"] = None

        def effect(answer: Any) -> None:
            del answer
            run.tags = {key: value for key, value in {**run.tags, **made}.items() if value is not None}

        return Request("POST", self._of(run, "/tags"), _json({"tags": made}), effect, key=new_id())

    def _batch(self) -> Request:
        run = RunModel(new_id(), params={"b": "true"}, tags={"from": "batch"})
        points = [(step, 7, float(step)) for step in range(5)]
        body = {
            "commands": [
                {"do": "run.create", "experiment": EXPERIMENT, "id": run.id, "params": {"b": True}},
                {"do": "run.tags", "run": run.id, "tags": run.tags},
                {"do": "run.log", "run": run.id, "series": ["loss"], "step": list(range(5)), "timestamp": [7] * 5,
                 "value": [value for _, _, value in points]},
            ]
        }  # fmt: skip

        def effect(answer: Any) -> None:
            del answer
            run.add("loss", [_bits(*point) for point in points])
            self._began(run)

        return Request("POST", f"{self.base}/batch", _json(body), effect, key=new_id(), entries=2)

    def _describe(self) -> Request:
        run, text = self._pick(), f"turn {self._count}"

        def effect(answer: Any) -> None:
            del answer
            run.description = text

        return Request("PATCH", self._of(run, ""), _json({"description": text}), effect, key=new_id())

    def check_touched(self, wire: Wire) -> None:
        """Everything that was touched since the last check is as it must be."""
        for run in self.touched.values():
            self._check(wire, run)
        self.touched.clear()

    def check_all(self, wire: Wire) -> None:
        """Every run is as it must be."""
        for run in self.runs:
            self._check(wire, run)

    def _check(self, wire: Wire, run: RunModel) -> None:
        data = wire.get(self._of(run, ""))
        assert data["run"]["description"] == run.description, (run, data)
        assert data["params"] == run.params, (run, data)
        assert data["tags"] == run.tags, (run, data)
        assert {key: summary["count"] for key, summary in data["metrics"].items()} == run.received
        for key, points in run.points.items():
            reply = wire.call("GET", self._of(run, f"/series?key={key}"), headers={"Accept": MSGPACK})
            assert reply.status == 200, reply
            found = msgspec.msgpack.decode(reply.body)
            assert found["next"] is None
            columns = (_unpacked(found[name], kind) for name, kind in _COLUMNS)
            assert {_bits(*point) for point in zip(*columns, strict=True)} == points, (run.id, key)


def check_tiles(writers: list[Writer], head: int, others: int) -> None:
    """What all writers were told tiles the history from the entry after the first `others` to its head."""
    told = sorted(position for writer in writers for position in writer.positions)
    assert told == list(range(others + 1, head + 1)), (
        f"told {len(told)} positions up to {told[-1] if told else 0}, the head is {head}; "
        f"lost or nameless: {sorted(set(range(others + 1, head + 1)) ^ set(told))[:20]}"
    )


def _json(body: Any) -> bytes:
    return msgspec.json.encode(body)


def _position(reply: Reply) -> int:
    position: int = reply.json()["position"]
    return position


def _spelled(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _bits(step: int, timestamp: int, value: float) -> Point:
    return step, timestamp, b"NaN" if math.isnan(value) else struct.pack("<d", value)


def _unpacked(data: bytes, kind: str) -> tuple[Any, ...]:
    return struct.unpack(f"<{len(data) // 8}{kind}", data)
