"""Imports as Arrow streams: what NDJSON makes of the same, points as columns, and no harm by bad streams."""

from __future__ import annotations

import math
import resource
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from api.conftest import BASE, Door
from api.test_bulk import everything, stream
from api.test_bulk import take_in as take_in_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.client import Client
from muniment.model.errors import InvalidInput
from muniment.model.ids import new_id
from muniment_server.services import arrowmessages, arrowpoints, arrowvalues, bulk
from muniment_server.services.arrows import MEDIA_TYPE

OLD = pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V4)
A, B, C = ("a" * 32, "b" * 32, "c" * 32)


def arrow(do: str, *batches: Any, options: pa.ipc.IpcWriteOptions | None = None) -> bytes:
    """A stream of record batches of one schema."""
    made = [batch if isinstance(batch, pa.RecordBatch) else pa.RecordBatch.from_pylist(batch) for batch in batches]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made[0].schema.with_metadata({"do": do}), options=options) as writer:
        for batch in made:
            writer.write_batch(batch.replace_schema_metadata({"do": do}))
    return bytes(sink.getvalue())


def columns(**given: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(given)


def send(door: Door, body: bytes, query: str = "") -> tuple[int, Any]:
    answer = door.raw("POST", f"import{query}", body, Content_Type=MEDIA_TYPE)
    return answer.status, msgspec.json.decode(answer.body)


def take_in(door: Door, body: bytes, query: str = "") -> dict[str, Any]:
    status, report = send(door, body, query)
    assert status == 200, report
    return dict(report)


def refused(door: Door, body: bytes, *words: str, query: str = "") -> None:
    status, problem = send(door, body, query)
    assert status in {400, 413}, problem
    assert "\n" not in problem["detail"]
    for word in words:
        assert word in problem["detail"], problem


def point_rows(command: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a command that logs points of one series."""
    return [
        {"run": command["run"], "key": command["series"][0], "step": step, "timestamp": timestamp, "value": value}
        for step, timestamp, value in zip(command["step"], command["timestamp"], command["value"], strict=True)
    ]


def table_of(command: dict[str, Any]) -> bytes:
    """A stream of one row, as Arrow infers its types."""
    do = command["do"]
    if do == "run.log":
        return arrow(do, point_rows(command))
    return arrow(do, [{name: value or None for name, value in command.items() if name != "do"}])


def test_every_noun_is_what_ndjson_makes_of_it(door: Door) -> None:
    run, note = new_id(), new_id()
    lines = everything(run, note)
    for command in lines:
        if command["do"] == "saved_view.create":  # an empty struct has no null to be left out
            command["state"] = {"columns": ["name"], "width": 3}
    first = [take_in(door, table_of(command)) for command in lines]
    assert [(report["new"], report["refused"]) for report in first] == [(1, 0)] * len(lines), first
    head = door.head()
    again = take_in_lines(door, stream(*lines))
    assert (again["equal"], again["new"], again["refused"]) == (len(lines), 0, 0), again
    assert [take_in(door, table_of(command))["equal"] for command in lines] == [1] * len(lines)
    assert door.head() == head
    assert door("POST", f"{BASE}/verify")[1]["ok"]


def test_the_record_of_a_row_is_that_of_a_line(door: Door) -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    fields = {
        "name": ["one"], "experiment": ["churn"], "started_at": pa.array([at], pa.timestamp("ns", "Europe/Berlin")),
        "seeds": pa.array([[("numpy", 7), ("torch", -1)]], pa.map_(pa.string(), pa.int64())),
        "params": [{"depth": 3, "rate": 0.5, "name": "x", "fast": True, "none": None}],
        "tags": pa.array([[("team", "risk")]], pa.map_(pa.large_string(), pa.string_view())),
        "code": [{"commit": "abc", "command": ["python", "train.py"], "branch": None}],
        "environment": [{"hardware": {"gpus": [{"name": "a", "memory": None}, None], "loss": math.nan}}],
        "description": pa.array([None], pa.null()),
    }  # fmt: skip
    assert take_in(door, arrow("run.create", columns(id=[A], **fields)))["new"] == 1
    line = {
        "do": "run.create", "id": B, "name": "one", "experiment": "churn", "started_at": "2026-01-31T12:00:00.123456Z",
        "seeds": {"numpy": 7, "torch": -1}, "params": {"depth": 3, "rate": 0.5, "name": "x", "fast": True},
        "tags": {"team": "risk"}, "code": {"commit": "abc", "command": ["python", "train.py"]},
        "environment": {"hardware": {"gpus": [{"name": "a"}, None], "loss": "NaN"}},
    }  # fmt: skip
    assert take_in_lines(door, stream(line))["new"] == 1
    made = [door("GET", f"{BASE}/runs/{run}")[1] for run in (A, B)]
    for one in made:
        for name in ("id", "position", "created_at"):
            del one["run"][name]
    assert made[0] == made[1]


def test_metrics_that_are_no_finite_numbers(door: Door) -> None:
    door.made("models", {"name": "m"})
    door.made("models/m/versions", {})
    door.made("datasets", {"name": "d"})
    door.made("datasets/d/versions", {"version": "1"})
    metrics = [{"nan": math.nan, "up": math.inf, "down": -math.inf, "half": 0.5}]
    body = arrow("evaluation.create", columns(id=[A], model_version=["m@1"], dataset_version=["d@1"], metrics=metrics))
    assert take_in(door, body)["new"] == 1
    found = door("POST", f"{BASE}/search", {"kind": "evaluation"})[1]["evaluations"][0]["metrics"]
    assert found == {"nan": "NaN", "up": "Infinity", "down": "-Infinity", "half": 0.5}


def test_texts_of_every_layout(door: Door) -> None:
    names = ["a", "größe", "c" * 100]
    for number, kind in enumerate((pa.string(), pa.large_string(), pa.string_view())):
        for coded in (False, True):
            array = pa.array([f"{name} {number} {coded}" for name in names], kind)
            if coded:
                array = pa.DictionaryArray.from_arrays(pa.array([2, 0, 1], pa.int8()), array)
            assert take_in(door, arrow("dataset.create", columns(name=array)))["new"] == 3
    found = {item["name"] for item in door("POST", f"{BASE}/search", {"kind": "dataset", "limit": 100})[1]["datasets"]}
    assert found == {f"{name} {number} {coded}" for name in names for number in range(3) for coded in (False, True)}


def test_what_is_refused_is_told_by_its_row(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LINES", 3)
    called = pa.array([None] * 6 + [{"system": "wiki", "name": "7"}] * 2)
    batch = columns(
        name=["a", "", None, "b", "a", "a", "c", "d"], description=[None, None, None, None, None, "other", None, None],
        called=called,
    )  # fmt: skip
    report = take_in(door, arrow("dataset.create", batch, batch.slice(0, 1)))
    assert (report["lines"], report["new"], report["equal"], report["refused"]) == (9, 3, 3, 3), report
    told = {item["line"]: (item["code"], item["field"]) for item in report["refusals"]}
    assert told == {2: ("invalid_input", "name"), 3: ("invalid_input", "command.name"), 6: ("conflict", "name")}


def test_null_means_null_where_something_must_be_said(door: Door) -> None:
    door.made("models", {"name": "m"})
    door.made("models/m/versions", {"aliases": ["champion"]})
    body = arrow("model.alias", columns(model=["m"], alias=["champion"], version=pa.array([None], pa.string())))
    assert take_in(door, body)["new"] == 1
    assert door("GET", f"{BASE}/models/m")[1]["aliases"] == {}


def test_a_stream_goes_on_where_it_broke_off(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LINES", 3)
    writer = new_id()
    batch = columns(text=[f"note {number}" for number in range(10)])
    parts = [batch.slice(0, 4), batch.slice(4, 6)]
    assert take_in(door, arrow("note.create", parts[0]), f"?writer={writer}")["new"] == 4
    whole = take_in(door, arrow("note.create", *parts), f"?writer={writer}")
    assert (whole["lines"], whole["skipped"], whole["new"], whole["mark"]) == (10, 4, 6, 10)
    marked = columns(text=["x", "y", "z"], at=[12, 15, 15])
    query = f"?writer={new_id()}&after=0"
    report = take_in(door, arrow("note.create", marked), query)
    assert (report["new"], report["refused"], report["mark"]) == (2, 1, 15)
    assert send(door, arrow("note.create", marked), query)[0] == 409


def test_points_are_those_of_ndjson(door: Door) -> None:
    low, high = -(2**63), 2**63 - 1
    run = [A, B, A, A, B, A, A]
    key = ["loss", "loss", "auc", "loss", "loss", "loss", "auc"]
    step = [low, 5, high, 0, 6, 1, 2]
    timestamp = [0, 1, high, 3, 4, 5, 6]
    value = [math.nan, 1.5, -math.inf, -0.0, 2.5, 5e-324, math.inf]
    for index, (runs, layout) in enumerate(((A + B, pa.string()), (C + "d" * 32, pa.string_view()))):
        ids = {A: runs[:32], B: runs[32:]}
        for one in ids.values():
            door.made("runs", {"experiment": "churn", "id": one})
        columns_ = {
            "value": value, "timestamp": timestamp, "step": step,
            "key": pa.array(key, layout).dictionary_encode() if index else pa.array(key, pa.large_string()),
            "run": pa.array([ids[one] for one in run], layout),
        }  # fmt: skip
        report = take_in(door, arrow("run.log", columns(**columns_)))
        assert (report["lines"], report["new"]) == (2, 2)
    written = ["NaN", 1.5, "-Infinity", -0.0, 2.5, 5e-324, "Infinity"]
    for one in (A, B):
        rows = [at for at in range(7) if run[at] == one]
        names = sorted({key[at] for at in rows})
        line = {
            "do": "run.log", "run": one, "series": names, "key": [names.index(key[at]) for at in rows],
            "step": [step[at] for at in rows], "timestamp": [timestamp[at] for at in rows],
            "value": [written[at] for at in rows],
        }  # fmt: skip
        assert take_in_lines(door, stream(line))["equal"] == 1, "the same points, bit by bit"
    twin = [door("GET", f"{BASE}/runs/{one}/series?key=loss")[1] for one in (A, C)]
    assert [made["step"] for made in twin] == [[low, 0, 1]] * 2
    assert twin[0]["value"] == twin[1]["value"] == ["NaN", -0.0, 5e-324]


def test_points_without_steps_and_times(door: Door) -> None:
    door.made("runs", {"experiment": "churn", "id": A})
    before = datetime.now(UTC).timestamp() * 1_000 - 1
    assert take_in(door, arrow("run.log", columns(run=[A], key=["auc"], value=pa.array([1], pa.int8()))))["new"] == 1
    series = door("GET", f"{BASE}/runs/{A}/series?key=auc")[1]
    assert (series["step"], series["value"]) == ([0], [1.0])
    assert series["timestamp"][0] > before
    moments = pa.array([1_500_999, None], pa.timestamp("us", "UTC"))
    body = arrow("run.log", columns(run=[A] * 2, key=["f1"] * 2, value=[1.0, 2.0], timestamp=moments, step=[3, None]))
    assert take_in(door, body)["new"] == 1
    series = door("GET", f"{BASE}/runs/{A}/series?key=f1")[1]
    assert series["step"] == [0, 3]
    assert series["timestamp"][1] == 1_500
    assert series["timestamp"][0] > before


def test_points_of_one_run_that_are_refused_stop_no_other(door: Door) -> None:
    door.made("runs", {"experiment": "churn", "id": A})
    batch = columns(
        run=["b" * 32, A, None, A, "no id", C, C], key=["k", "k", "k", "l", "k", None, "k"],
        value=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    )  # fmt: skip
    writer = new_id()
    report = take_in(door, arrow("run.log", batch, batch.slice(1, 1)), f"?writer={writer}")
    assert (report["lines"], report["new"], report["refused"]) == (6, 2, 4), report
    assert {item["line"]: item["field"] for item in report["refusals"]} == {
        1: "run", 3: "command.run", 4: "key", 5: "run"
    }, report  # fmt: skip
    again = take_in(door, arrow("run.log", batch, batch.slice(1, 1)), f"?writer={writer}")
    assert (again["skipped"], again["refused_before"]) == (6, 4)
    missing = columns(run=[A, A], key=["k", "k"], value=[1.0, None])
    assert "no value" in take_in(door, arrow("run.log", missing))["refusals"][0]["detail"]
    before_1970 = columns(run=[A], key=["k"], value=[1.0], timestamp=[-1])
    assert "1970" in take_in(door, arrow("run.log", before_1970))["refusals"][0]["detail"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: b"", ("empty",)),
        (lambda: b"{}", ("no Arrow stream",)),
        (lambda: b'{"command": {"do": "dataset.create", "name": "a"}}\n', ("no Arrow stream",)),
        (lambda: b"ARROW1\0\0" + bytes(64), ("Arrow file", "new_stream")),
        (lambda: arrow("", columns(name=["a"])), ("do", "dataset.create")),
        (lambda: arrow("unheard.of", columns(name=["a"])), ("unheard.of",)),
        (lambda: arrow("dataset.create", columns(name=["a"], colour=["red"])), ("colour", "description")),
        (lambda: arrow("dataset.create", columns(description=["a"])), ("name",)),
        (lambda: arrow("dataset.create", columns(name=pa.array([b"a"]))), ("name", "binary", "cast")),
        (lambda: arrow("dataset.create", columns(name=["a"], called=[{"x": {"y": b""}}])), ("called.x.y",)),
        (
            lambda: arrow("dataset.create", columns(name=["a"], called=[{"sys": "x"}])).replace(b"sys", b"\xffys"),
            ("utf-8",),
        ),
        (lambda: arrow("run.log", columns(run=[A], key=["a"])), ("value",)),
        (lambda: arrow("run.log", columns(run=[A], key=["a"], value=["1"])), ("value", "string")),
        (lambda: arrow("run.log", columns(run=[A], key=["a"], value=[1.0], at=[1])), ("'at'",)),
        (
            lambda: arrow("run.log", columns(run=[A], key=["a"], value=[1.0], step=pa.array([2**63], pa.uint64()))),
            ("step", "64 bits"),
        ),
        (
            lambda: arrow("run.log", columns(run=[A], key=["a"], value=[1.0], timestamp=[datetime(2026, 1, 1)])),  # noqa: DTZ001
            ("timestamp", "time zone"),
        ),
        (
            lambda: arrow("dataset.create", columns(name=["a"] * 200_001)),
            ("200,001", "200,000", "max_chunksize"),
        ),
        (
            lambda: arrow("dataset.create", columns(name=["a"]), options=OLD),
            ("1.0",),
        ),
    ],
)  # fmt: skip
def test_a_bad_stream_is_refused_with_one_line(door: Door, make: Callable[[], bytes], words: tuple[str, ...]) -> None:
    head = door.head()
    refused(door, make(), *words)
    assert door.head() == head


def test_what_was_committed_before_a_stream_broke_off_stays(door: Door) -> None:
    whole = arrow("dataset.create", columns(name=["a", "b"]), columns(name=["c"]))
    refused(door, whole[:-40], "ends after")
    names = {item["name"] for item in door("POST", f"{BASE}/search", {"kind": "dataset"})[1]["datasets"]}
    assert names == {"a", "b"}
    assert take_in(door, whole[:-8])["equal"] == 2, "the mark of the end may be left out"
    refused(door, whole + whole, "follows", "one stream")
    total = door("POST", f"{BASE}/search", {"kind": "dataset", "count": True, "limit": 1})[1]["total"]
    assert total == 3


def test_compressed_streams_are_refused_unread(door: Door) -> None:
    bomb = pa.array(["x" * (32 << 20)])
    for codec in ("zstd", "lz4"):
        options = pa.ipc.IpcWriteOptions(compression=codec)
        for batch in (columns(name=bomb), columns(name=bomb.dictionary_encode())):
            body = arrow("dataset.create", batch, options=options)
            assert len(body) < 1 << 20
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            refused(door, body, "compressed", "compression=None")
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10


def test_few_bytes_that_stand_for_much_are_refused(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "LINE_LIMIT", 1 << 20)
    monkeypatch.setattr(bulk, "SIZE", 1 << 20)
    long = "x" * (1 << 20)
    views = pa.array([long, long], pa.string_view())
    coded = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int8()), pa.array([long]))
    nothing = pa.ListArray.from_arrays(pa.array([0, 2**31 - 1], pa.int32()), pa.nulls(2**31 - 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for batch in (
        columns(text=["a", "b"], title=views),
        columns(text=coded.take(pa.array([0] * 30))),
    ):
        report = take_in(door, arrow("note.create", batch))
        assert (report["new"], report["refused"]) == (0, batch.num_rows)
        assert all("bytes" in item["detail"] for item in report["refusals"])
    refused(door, arrow("note.create", columns(text=["a"], subject=nothing)), "2,147,483,647", "column subject")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
    monkeypatch.setattr(arrowpoints, "MESSAGE_LIMIT", 1 << 20)
    again = pa.Array.from_buffers(  # three views of the same bytes
        pa.string_view(),
        3,
        [None, pa.py_buffer(struct.pack("<i4sii", 1 << 20, b"xxxx", 0, 0) * 3), pa.py_buffer(long.encode())],
    )
    refused(door, arrow("run.log", columns(run=again, key=["k"] * 3, value=[1.0] * 3)), "texts of column run")


def test_limits(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrowmessages, "MESSAGE_LIMIT", 10_000)
    monkeypatch.setattr(arrowmessages, "DICTIONARIES_LIMIT", 2_000)
    monkeypatch.setattr(arrowvalues, "COLUMNS_LIMIT", 10)
    refused(door, arrow("dataset.create", columns(name=["a" * 10_000])), "10,000", "max_chunksize")
    big = [pa.array(["a" * size]).dictionary_encode() for size in (1_500, 1_500)]
    take_in(door, arrow("dataset.create", columns(name=big[0])))
    take_in(
        door, arrow("dataset.create", columns(name=big[0]), columns(name=pa.array(["b" * 1_500]).dictionary_encode()))
    )
    refused(door, arrow("dataset.create", columns(name=big[0], description=big[1])), "2,000", "as text")
    refused(door, arrow("dataset.create", columns(name=["a"], called=[{str(n): 1 for n in range(9)}])), "10 columns")
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    refused(door, arrow("note.create", columns(text=["a"], title=[deep])), "within each other")
    parts = [pa.array(["a"]).dictionary_encode(), pa.array(["a", "b"]).dictionary_encode()]
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    refused(door, arrow("dataset.create", *(columns(name=part) for part in parts), options=options), "whole")


def test_declared_sizes_are_not_believed(door: Door) -> None:
    """A stream that says of itself that it has more than it has."""
    body = bytearray(arrow("dataset.create", columns(name=pa.array(["a", "b"], pa.string_view()))))
    schema = 8 + struct.unpack_from("<i", body, 4)[0]
    for at in range(schema + 8, schema + 8 + struct.unpack_from("<i", body, schema + 4)[0] - 8, 4):
        for number in (2**40, -1, 2**31, 2**63 - 1):
            changed = bytearray(body)
            struct.pack_into("<q", changed, at, number)
            assert send(door, bytes(changed))[0] in {200, 400, 413}


SEEDS = [
    arrow("dataset.create", columns(name=["a", "b"], description=pa.array(["x", None], pa.string_view()))),
    arrow("dataset.version", columns(dataset=["a"], slices=[[{"name": "test", "rows": 1}]])),
    arrow("run.tags", columns(run=[A], tags=pa.array([[("k", "v"), ("l", None)]], pa.map_(pa.string(), pa.string())))),
    arrow("note.create", columns(text=pa.array(["a", "b", "a"]).dictionary_encode())),
    arrow("run.log", columns(run=[A, B], key=["k", "l"], step=[1, 2], value=[1.0, 2.0])),
]


@settings(max_examples=150)
@given(st.data())
def test_streams_that_are_cut_and_spoilt_break_nothing(door: Door, data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.sampled_from([0, 1, 2, 8, 127, 128, 255]) | st.integers(0, 255))
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(1, len(body))) :]
    status, answer = send(door, bytes(body))
    assert status in {200, 400, 413}, answer
    if status != 200:
        assert "\n" not in answer["detail"]


def test_the_client_sends_tables(door: Door, store_url: str) -> None:
    with Client(store_url.replace("+psycopg", "")) as client:
        table = pa.table({"name": ["a", "b", "a"], "namespace": ["x", "x", "x"]})
        report = client.import_table(table, "dataset.create")
        assert (report.lines, report.new, report.equal) == (3, 2, 1)
        many = pa.table(
            {"run": [A] * 100_000, "key": ["k"] * 100_000, "value": [0.5] * 100_000, "step": range(100_000)}
        )
        client.import_lines([b'{"command": {"do": "run.create", "experiment": "churn", "id": "%s"}}' % A.encode()])
        assert client.import_table(many, "run.log").new == 2, "65,536 rows and the rest"
        assert client.get_run(A).metrics["k"].count == 100_000
        with pytest.raises(InvalidInput, match="list"):
            client.import_table([{"name": "a"}], "dataset.create")
        with pytest.raises(InvalidInput, match="no field of dataset"):
            client.import_table(pa.table({"x": [1]}), "dataset.create")
    assert door("POST", f"{BASE}/search", {"kind": "dataset", "count": True, "limit": 1})[1]["total"] == 2
