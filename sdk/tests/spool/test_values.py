"""Whatever a training loop hands over: what can be recorded is, the rest is told, and nothing is raised."""

from __future__ import annotations

import decimal
import enum
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import muniment
from muniment import session as sessions
from muniment.recorder import ActiveRun, Plan, finish_seconds
from muniment.session import KINDS, Session
from muniment.spool.reader import Reader


class Broken(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise Broken


class Bad:
    """Raises whatever is done with it."""

    def __float__(self) -> float:
        raise Broken

    def __str__(self) -> str:
        raise Broken

    __repr__ = __index__ = __str__  # type: ignore[assignment]


class Text(str):
    """A kind of text of its own."""

    __slots__ = ()


class Colour(enum.StrEnum):
    """Text, and not only."""

    RED = "red"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ActiveRun]:
    """A run that nobody sends."""
    monkeypatch.setenv("MUNIMENT_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setattr(Session, "start_sending", lambda _: None)
    session = Session("http://127.0.0.1:9", "default")
    yield ActiveRun(lambda: session, Plan(experiment="values"))
    monkeypatch.setattr(Session, "settle", lambda *_: True)
    session.close()


def read(run: ActiveRun, do: str) -> list[dict[str, Any]]:
    """The commands of a kind that are in the spool."""
    assert run._session is not None
    found = Reader([run._session.writer.folder]).entries(0)
    said = [msgspec.json.decode(entry.command) for entry in found if entry.command]
    return [command for command in said if command["do"] == do]


def points(run: ActiveRun) -> list[tuple[str, int, float]]:
    return [
        (command["series"][key], step, value)
        for command in read(run, "run.log")
        for key, step, value in zip(command["key"], command["step"], command["value"], strict=True)
    ]


BAD_VALUES = ["x", "1.5", None, 1 + 2j, 10**400, Bad(), [1.0], {"a": 1}, object(), np.array([1.0, 2.0])]
BAD_NAMES = [5, None, b"a", "", "  ", "x" * 251, "a\0b", "\ud800", ("a",), Bad()]
BAD_STEPS = [1.5, 2**63, -(2**63) - 1, "1", Bad(), 10**400, float("nan"), np.float64(3)]


def test_bad_values(run: ActiveRun, caplog: pytest.LogCaptureFixture) -> None:
    for value in BAD_VALUES:
        run.log({"before": 1, "bad": value, "after": 2}, step=7)
    assert points(run) == [(name, 7, value) for _ in BAD_VALUES for name, value in (("before", 1.0), ("after", 2.0))]
    assert run._session is not None
    assert run._session.writer.lost == len(BAD_VALUES)
    assert len(caplog.messages) == 1, "one kind of trouble"
    assert "'bad' is not recorded" in caplog.text


def test_bad_names(run: ActiveRun) -> None:
    for name in BAD_NAMES:
        run.log({"before": 1, name: 3, "after": 2})
    wanted = [
        (name, step, value) for step in range(len(BAD_NAMES)) for name, value in (("before", 1.0), ("after", 2.0))
    ]
    assert points(run) == wanted


def test_bad_steps_and_times(run: ActiveRun, caplog: pytest.LogCaptureFixture) -> None:
    for step in BAD_STEPS:
        run.log({"a": 1}, step=step)  # type: ignore[arg-type]
    for timestamp in (1.5, 2**63, "now", Bad()):
        run.log({"a": 1}, timestamp=timestamp)  # type: ignore[arg-type]
    run.log({"a": 5})
    assert points(run) == [("a", 0, 5.0)]
    assert caplog.messages


def test_after_the_last_step_there_is_none(run: ActiveRun, caplog: pytest.LogCaptureFixture) -> None:
    run.log({"a": 1}, step=2**63 - 1)
    run.log({"a": 2, "b": 3})
    assert points(run) == [("a", 2**63 - 1, 1.0), ("b", 0, 3.0)]
    assert "recursion" not in caplog.text
    assert run._session is not None
    assert run._session.writer.lost == 1


def test_good_values(run: ActiveRun) -> None:
    run.log({"a": np.float32(0.5), "b": np.int64(3), "c": True, "d": decimal.Decimal("0.25")}, step=np.uint8(255))
    run.log({"a": 1, Text("b"): 2, np.str_("c"): 3, Colour.RED: 4})
    run.log({})
    assert points(run) == [
        ("a", 255, 0.5), ("b", 255, 3.0), ("c", 255, 1.0), ("d", 255, 0.25),
        ("a", 256, 1.0), ("b", 256, 2.0), ("c", 256, 3.0), ("red", 0, 4.0),
    ]  # fmt: skip


def test_no_numbers_at_all(run: ActiveRun) -> None:
    for metrics in (None, 5, [("a", 1)], "a", Bad()):
        run.log(metrics)  # type: ignore[arg-type]
    run.log({"nan": float("nan"), "inf": float("inf"), "least": float("-inf")})
    assert points(run) == [("nan", 0, "NaN"), ("inf", 0, "Infinity"), ("least", 0, "-Infinity")]


def test_ten_thousand_metrics_at_once(run: ActiveRun) -> None:
    many = {f"metric/{number}": number for number in range(10_000)}
    run.log(many)
    run.log(many)
    assert points(run) == [(name, step, float(value)) for step in range(2) for name, value in many.items()]


def test_trouble_is_not_told_without_end(run: ActiveRun, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3 * KINDS):
        run.log({f"m{number}": "x"})
        run.log_params({f"p{number}": "x" * 70_000})
    assert len(caplog.messages) == KINDS + 1
    assert "more trouble" in caplog.messages[-1]


def test_params_and_tags(run: ActiveRun, caplog: pytest.LogCaptureFixture) -> None:
    run.log_params({"good": 1, 5: "x", "bad": Bad(), "huge": 10**30, "x" * 251: 1, "long": "x" * 70_000, "after": 2})
    run.log_params(
        {"float": np.float64(0.1), "int": np.int64(3), "text": np.str_("t"), "red": Colour.RED, "nan": np.nan}
    )
    run.log_params({"good": 2, "other": 3})
    run.log_params({"good": 1})
    run.log_params(None)  # type: ignore[arg-type]
    run.set_tags({"good": "1", "number": 5, 5: "x", "bad": Bad(), "gone": None, "after": "2"})  # type: ignore[dict-item]
    params = [command["params"] for command in read(run, "run.params")]
    assert params[0] == {"good": 1, "huge": str(10**30), "after": 2}
    assert params[1] == {"float": 0.1, "int": 3, "text": "t", "red": "red", "nan": "NaN"}
    assert params[2:] == [{"other": 3}, {"good": 1}]
    assert [command["tags"] for command in read(run, "run.tags")] == [{"good": "1", "gone": None, "after": "2"}]
    assert "'good' is '1' and never changes" in caplog.text


def test_many_params_are_more_than_one_command(run: ActiveRun) -> None:
    """The store takes 10,000 at once, and lines of a limited length."""
    many = {f"p{number}": "x" * (1_000 if number < 5_000 else 1) for number in range(12_000)}
    run.log_params(many)
    parts = [command["params"] for command in read(run, "run.params")]
    assert {name: value for part in parts for name, value in part.items()} == many
    assert max(len(part) for part in parts) <= 1_000
    assert max(len(str(part)) for part in parts) < 2_000_000


def test_artifacts(run: ActiveRun, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "z.txt").write_text("z")
    (folder / "b\\c").write_text("no")  # no path of an artifact
    (folder / "link").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    run.log_artifact(folder, "model")
    run.log_artifact(b"bytes")
    for path in ("../../etc/passwd", "/etc/passwd", "a/../b", "x" * 5_000, "", "a\0b", "C:/x", 5):
        run.log_artifact(b"bytes", path)  # type: ignore[arg-type]
    run.log_artifact(tmp_path / "not there")
    run.log_artifact(folder / "pipe")
    run.log_artifact("/dev/zero")
    run.log_artifact(None)  # type: ignore[arg-type]
    run.log_artifact(b"bytes", "last")
    session = run._session
    assert session is not None
    kept = [entry.file for entry in Reader([session.writer.folder]).entries(0) if entry.file is not None]
    assert [file.path for file in kept] == ["model/a.txt", "model/deep/z.txt", "last"]
    contents = [(session.writer.folder / "files" / file.name).read_text() for file in kept]
    assert contents == ["a", "z", "bytes"]
    assert len(list((session.writer.folder / "files").iterdir())) == 3, "nothing is left of what failed"
    assert len(caplog.messages) > 5


def test_what_cannot_be_sent_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before there is a session there is no logger to tell, and still nothing is raised."""

    def fails() -> Session:
        raise Broken

    made = ActiveRun(fails, Plan(experiment="values"))
    made.log({"a": 1})
    made.log_params({"a": 1})
    made.set_tags({"a": "1"})
    made.log_artifact(tmp_path)
    assert capsys.readouterr().err.count("is not recorded") == 4


def test_importing_is_cheap() -> None:
    code = "import muniment, sys; print(*[name for name in ('msgspec', 'urllib3', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert muniment.__all__


@pytest.mark.parametrize(("given", "wanted"), [("5", 5.0), ("nan", 30.0), ("x", 30.0), ("", 30.0), ("0", 0.0)])
def test_how_long_the_end_waits(given: str, wanted: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_FINISH_SECONDS", given)
    assert finish_seconds() == wanted


def test_passwords_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    from muniment.model.errors import Unavailable
    from muniment.transport import HttpTransport

    caplog.set_level(logging.DEBUG, "muniment")
    with pytest.raises(Unavailable) as caught:
        HttpTransport("http://user:secretword@127.0.0.1:9").open("GET", "/health", {}, ())
    assert "secretword" not in str(caught.value)
    assert "127.0.0.1:9" in str(caught.value)
    assert "secretword" not in sessions._without_password("http://user:secretword@host")
