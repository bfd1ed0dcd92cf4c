"""Logs as a training loop does, and measures what that costs.

Runs as ``python -m benchmarks.hands.driver ORDER OUT`` in the environment of one tool, so it and the modules
``with_*`` import the standard library and that tool, and nothing else. Each of these modules has

- ``open_hand(folder, url)``: starts a run and gives a `Hand`;
- ``read(folder, url, where, keys)``: a `Found` for each of these keys;
- ``waiting()``, if it has it: further folders where this machine keeps points that wait to be sent.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import stat
import statistics
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

TOKEN = "MUNIMENT_HANDS_TOKEN"
"""The environment variable that tells the processes of one measurement from all others, however they were started."""
_LOOK = 255  # how often, in calls, a loop asks whether its time is over


class Hand(Protocol):
    """A run that is being recorded by one tool."""

    where: str
    """What `read` finds the run by."""

    def one(self, value: float, step: int) -> None:
        """Log one scalar, called ``loss``."""

    def many(self, values: dict[str, float], step: int) -> None:
        """Log several scalars in one call."""

    def finish(self) -> None:
        """End the run, as a script does before it ends."""

    def sent(self, points: int, seconds: float) -> bool:
        """Wait until so many points have arrived where they are kept; whether they have."""


class Found:
    """The points of one series that came back: ten millions of them in little memory."""

    def __init__(self) -> None:
        self.count = 0
        """Distinct steps."""
        self.total = 0.0
        """The sum of the values."""
        self._seen = bytearray()

    def add(self, step: int, value: float) -> None:
        """One more point."""
        if step >= len(self._seen):
            self._seen.extend(bytes(step + 1))
        self.count += not self._seen[step]
        self._seen[step] = 1
        self.total += value


def keys_of(count: int) -> list[str]:
    """The names of the metrics of one call."""
    return ["loss"] if count == 1 else [f"loss{at:02}" for at in range(count)]


def busy(turns: int) -> float:
    """A bit of work that allocates nothing."""
    value = 1.0
    for _ in range(turns):
        value = value * 1.000_000_1 + 1e-9
    return value


def turns_for(microseconds: float) -> int:
    """How many turns of `busy` take so long, when nothing disturbs them."""
    if not microseconds:
        return 0
    best = min(_seconds(lambda: busy(20_000)) for _ in range(9))
    return max(1, round(20_000 * microseconds / 1e6 / best))


def clock_cost() -> float:
    """Nanoseconds that a measurement of nothing takes: subtracted from every latency."""
    clock = time.perf_counter_ns
    taken = []
    for _ in range(20_000):
        before = clock()
        taken.append(clock() - before)
    return statistics.median(taken)


def paced(call: Callable[[Any, int], None], order: dict[str, Any], turns: int, calls: int) -> tuple[array[int], int]:
    """(nanoseconds of each call, nanoseconds of the whole loop) of calls with some work before each."""
    clock, keys = time.perf_counter_ns, keys_of(order["keys"])
    single = len(keys) == 1
    taken = array("q", bytes(8 * calls))
    begun = clock()
    end = begun + int(order["seconds"] * 1e9)
    made = calls
    for at in range(calls):
        if turns:
            busy(turns)
        value: Any = 1.0 / (at + 1)
        if not single:
            value = dict.fromkeys(keys, value)
        before = clock()
        call(value, at)
        taken[at] = clock() - before
        if not at & _LOOK and clock() > end:
            made = at + 1
            break
    return taken[:made], clock() - begun


def latencies(hand: Callable[[], Hand], order: dict[str, Any]) -> dict[str, Any]:
    """Every call timed, and the whole loop beside the same loop that logs nothing.

    The second figure holds what the first cannot see: work that a tool's threads do between the calls.
    """
    turns, cost, calls = turns_for(order["work"]), clock_cost(), order["calls"]
    plain = [_mean(*paced(_nothing, order, turns, calls))]
    with opened(hand, order) as (made, told):
        call = made.one if order["keys"] == 1 else made.many
        taken, whole = paced(call, order, turns, calls)
        told["logged"] = len(taken)
    plain.append(_mean(*paced(_nothing, order, turns, calls)))
    ordered = sorted(taken)
    for name, share in (("median", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
        found = ordered[min(len(ordered) - 1, int(share * len(ordered)))]
        told[name] = max(0.0, found - cost) / 1e3
    told["whole"] = (_mean(taken, whole) - statistics.mean(plain)) / 1e3
    told["clock"] = cost
    return told


def _nothing(_value: object, _step: int) -> None:
    pass


def _mean(taken: array[int], whole: int) -> float:
    """Nanoseconds of a turn of a loop."""
    return whole / len(taken)


def steady(hand: Callable[[], Hand], order: dict[str, Any]) -> dict[str, Any]:
    """Many points without a pause: memory at every quarter, time, processor time, the longest call."""
    calls, token = order["calls"], order["token"]
    with opened(hand, order) as (made, told):
        memory, files = [(0, *resident(token))], [sizes(told["folders"])]
        at = spent = worst = 0
        for quarter in (1, 2, 3, 4):
            until = calls * quarter // 4
            at, took, longest = stretch(made.one, at, until, int(order["seconds"] * 1e9) - spent)
            spent, worst = spent + took, max(worst, longest)
            memory.append((at, *resident(token)))
            files.append(sizes(told["folders"]))
            if at < until:
                break
        told |= {"logged": at, "seconds": spent / 1e9, "worst": worst / 1e3, "threads": threads()}
        told |= {"memory": memory, "files": files}
    return told


def stretch(log: Callable[[float, int], None], first: int, until: int, most: int) -> tuple[int, int, int]:
    """(the step after the last that was logged, nanoseconds it took, nanoseconds of the longest call).

    Args:
        log: takes a value and a step.
        first: step.
        until: the step before which it ends.
        most: nanoseconds after which it ends earlier.
    """
    clock = time.perf_counter_ns
    begun = before = clock()
    worst = 0
    for at in range(first, until):
        log(1.0 / (at + 1), at)
        now = clock()
        if now - before > worst:  # noqa: PLR1730 - max() would be a call in the loop that is measured
            worst = now - before
        before = now
        if now - begun > most:
            return at + 1, now - begun, worst
    return until, before - begun, worst


@contextlib.contextmanager
def opened(hand: Callable[[], Hand], order: dict[str, Any]) -> Iterator[tuple[Hand, dict[str, Any]]]:
    """A run, and what is told of its start and its end; the block says how many calls it ``logged``."""
    told: dict[str, Any] = {}
    begun = time.perf_counter()
    made = hand()
    told["start"] = time.perf_counter() - begun
    further = getattr(importlib.import_module(order["module"]), "waiting", list)()
    told["waiting"] = [str(folder) for folder in further]
    told["folders"] = [*order["local"], *told["waiting"]]
    told["began"] = time.monotonic()
    processor = time.process_time()
    yield made, told
    begun = time.perf_counter()
    made.finish()
    told["finish"] = time.perf_counter() - begun
    told["processor"] = time.process_time() - processor  # asking whether all has arrived is our own work
    there = made.sent(told["logged"] * order["keys"], order["patience"])
    told["sent"] = time.perf_counter() - begun if there else None
    told["after"] = resident(order["token"])
    told["where"] = made.where


def resident(token: str) -> tuple[float, float]:
    """MiB of memory of (this process, the others of this measurement)."""
    own, others = 0.0, 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mine = int(folder.name) == os.getpid()
            if mine or f"{TOKEN}={token}".encode() in (folder / "environ").read_bytes():
                pages = int((folder / "statm").read_text().split()[1])
                mebibytes = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
                own, others = (mebibytes, others) if mine else (own, others + mebibytes)
    return own, others


def sizes(folders: list[str]) -> float:
    """MiB that all files below some folders take; what was reserved and never written takes nothing."""
    total = 0
    for folder in folders:
        for path in Path(folder).rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                found = path.lstat()
                total += found.st_blocks * 512 * stat.S_ISREG(found.st_mode)
    return total / 2**20


def threads() -> int:
    """How many threads this process has, those of libraries included."""
    return len(list(Path("/proc/self/task").iterdir()))


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def main() -> None:
    """Do what the order says and write what was found."""
    order = json.loads(sys.argv[1])
    module = importlib.import_module(order["module"])
    folder, url = Path(order["folder"]), order["url"]
    if order["do"] == "read":
        found = module.read(folder, url, order["where"], keys_of(order["keys"]))
        told = {"points": sum(each.count for each in found), "total": sum(each.total for each in found)}
    else:
        measure = {"latencies": latencies, "steady": steady}[order["do"]]
        told = measure(lambda: module.open_hand(folder, url), order)
    Path(sys.argv[2]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
