"""What a writer has written is read back exactly, whenever and from wherever it is read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.model.ids import new_id
from muniment.spool import layout, writer
from muniment.spool.reader import Entry, Reader
from muniment.spool.writer import RunSeries, Writer

Point = tuple[str, str, int, int, str]
"""Run, metric, step, timestamp, and the value's repr, since NaN is not equal to itself."""
NAMES = ["a", "b", "loss/train", "é" * 250]
INT64 = st.integers(-(2**63), 2**63 - 1)
METRICS = st.dictionaries(st.sampled_from(NAMES), st.floats(), max_size=4)
ACTS = st.one_of(
    st.tuples(st.just("points"), st.integers(0, 2), METRICS, INT64, INT64),
    st.tuples(st.just("command"), st.integers(0, 300)),
    st.tuples(st.just("file"), st.integers(0, 50)),
    st.tuples(st.just("need"), st.integers(0, 2)),
    st.tuples(st.just("sync")),
)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FIRST_BYTES", layout.HEADER + 8 * layout.SLOT)
    monkeypatch.setattr(writer, "MOST_BYTES", layout.HEADER + 32 * layout.SLOT)


def read(entries: Iterator[Entry]) -> Iterator[tuple[int, str, list[object]]]:
    """Each entry: where it ends, its kind, and what it says."""
    for entry in entries:
        if entry.need:
            yield entry.end, "need", [entry.need]
        elif entry.file is not None:
            yield entry.end, "file", [entry.file.path]
        elif entry.command:
            said = msgspec.json.decode(entry.command)
            if said["do"] != "run.log":
                yield entry.end, "command", [said["text"]]
                continue
            columns = zip(said["key"], said["step"], said["timestamp"], said["value"], strict=True)
            yield (
                entry.end,
                "points",
                [(said["run"], said["series"][key], step, at, repr(float(value))) for key, step, at, value in columns],
            )


def folded(entries: Iterator[Entry]) -> list[tuple[str, object]]:
    """What entries say, however the points are cut into lines."""
    return [(kind, item) for _, kind, items in read(entries) for item in items]


def writing(folder: Path) -> Writer:
    told: list[str] = []

    def complain(kind: str, line: str) -> None:
        told.append(f"{kind}: {line}")
        raise AssertionError(told)

    return Writer("http://127.0.0.1:9", "default", folder, complain)


def act(made: Writer, runs: list[RunSeries], what: tuple[object, ...], known: set[str]) -> list[tuple[str, object]]:
    """Do one thing; what has to be read of it."""
    match what:
        case ("points", int(run), dict(metrics), int(step), int(at)):
            made.points(runs[run], metrics, step, at)
            before = [("need", runs[run].run)] if metrics and runs[run].run not in known else []
            known |= {runs[run].run for _ in before}
            return [*before, *(("points", (runs[run].run, name, step, at, repr(metrics[name]))) for name in metrics)]
        case ("command", int(size)):
            assert made.entry(layout.COMMAND, msgspec.json.encode({"do": "x", "text": "x" * size}))
            return [("command", "x" * size)]
        case ("file", int(size)):
            file = layout.File(run=runs[0].run, path="x" * size, name=new_id())
            assert made.entry(layout.FILE, msgspec.json.encode(file))
            return [("file", "x" * size)]
        case ("need", int(run)):
            made.needs(runs[run].run)
            new = runs[run].run not in known
            known.add(runs[run].run)
            return [("need", runs[run].run)] if new else []
        case _:
            made.sync()
            return []


@settings(
    max_examples=80, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(st.lists(ACTS, max_size=40))
def test_everything_is_read_from_every_mark(tmp_path_factory: pytest.TempPathFactory, acts: list) -> None:
    made = writing(tmp_path_factory.mktemp("spool"))
    runs = [RunSeries(new_id()) for _ in range(3)]
    known: set[str] = set()
    wanted = [item for what in acts for item in act(made, runs, what, known)]
    places = [made.folder]
    assert folded(Reader(places).entries(0)) == wanted
    assert Reader(places).extent()[0] == made.committed
    whole = list(Reader(places).entries(0))
    one = Reader(places)
    for entry in whole[::3]:  # a fresh reader, and one that has been elsewhere
        behind = [later for later in whole if later.end > entry.end]
        assert folded(Reader(places).entries(entry.end)) == folded(iter(behind))
        assert folded(one.entries(entry.end)) == folded(iter(behind))
        assert folded(one.entries(0, entry.end)) == folded(later for later in whole if later.end <= entry.end)
    made.close()


def test_read_while_it_is_written(tmp_path: Path) -> None:
    made = writing(tmp_path / "spool")
    runs = [RunSeries(new_id()) for _ in range(3)]
    rounds = 3_000

    def write() -> None:
        for step in range(rounds):
            made.points(runs[step % 3], {"a": step, "b": -step}, step, step)
            if step % 7 == 0:
                made.entry(layout.COMMAND, b'{"do":"x","text":"%d"}' % step)

    thread = threading.Thread(target=write)
    reader, done = Reader([made.folder]), 0
    seen: list[tuple[str, object]] = []
    thread.start()
    while True:
        over = not thread.is_alive()
        entries = list(reader.entries(done))
        seen += folded(iter(entries))
        done = entries[-1].end if entries else done
        if over:
            break
    thread.join()
    assert done == made.committed
    points = [item for kind, item in seen if kind == "points"]
    wanted = [
        (runs[step % 3].run, name, step, step, repr(float(value)))
        for step in range(rounds)
        for name, value in (("a", step), ("b", -step))
    ]
    assert points == wanted
    assert [item for kind, item in seen if kind == "command"] == [str(step) for step in range(0, rounds, 7)]
