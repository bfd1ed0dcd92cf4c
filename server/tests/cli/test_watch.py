"""A run watched while another process records it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from robustness.server import clean_environment
from typer.testing import CliRunner

from cli.conftest import Place, finished, process
from cli.terminal import STYLE, Terminal
from muniment.cli.app import build
from muniment.client import Client
from muniment.model.run import NewRun, RunChange

WRITER = """
import sys, time
from muniment import fluent
fluent.connect(sys.argv[1])
with fluent.start_run("live", sys.argv[2]) as run:
    run.wait()
    print(run.id, flush=True)
    sys.stdin.readline()
    for step in range(int(sys.argv[3])):
        run.log({"loss": 1 / (step + 1)}, step=step)
        run.wait()
        time.sleep(0.15)
"""


@contextmanager
def recording(place: Place, name: str, steps: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """The id of a run that a process of its own records, and what lets it begin."""
    command = [sys.executable, "-c", WRITER, place.url, name, str(steps)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=clean_environment(), **pipes) as writer:
        stdin, stdout = writer.stdin, writer.stdout
        assert stdin is not None
        assert stdout is not None

        def begin() -> None:
            stdin.write("\n")
            stdin.flush()

        try:
            yield stdout.readline().strip(), begin
        finally:
            writer.kill()


def test_frames_follow_what_is_recorded_until_the_run_ends(place: Place) -> None:
    environment = {"MUNIMENT_URL": place.url}
    with (
        recording(place, "followed", 25) as (run, begin),
        process("watch", run, "--json", "--every", "0.3", environment=environment) as watching,
    ):
        assert watching.stdout is not None
        lines = [watching.stdout.readline()]
        began = time.monotonic()
        begin()
        rest, err = watching.communicate(timeout=120)
        took = time.monotonic() - began
    assert (watching.returncode, err) == (0, b"")
    frames: list[dict[str, Any]] = [json.loads(line) for line in lines + rest.splitlines()]
    counts = [frame["metrics"]["loss"]["count"] if frame["metrics"] else 0 for frame in frames]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert len(set(counts)) >= 3
    assert counts[-1] == 25
    assert len(frames) <= took / 0.3 + 2, "no faster than was asked for"
    assert [frame["run"]["state"] for frame in frames][-1] == "finished"
    assert {frame["run"]["state"] for frame in frames[:-1]} == {"running"}


def test_a_terminal_shows_one_frame_in_the_place_of_the_other(place: Place) -> None:
    with recording(place, "on a terminal", 20) as (run, begin):
        terminal = Terminal("watch", run, columns=80, environment={"MUNIMENT_URL": place.url})
        assert "no metrics yet" in terminal.read(until="no metrics yet")
        begin()
        assert terminal.end() == 0, terminal.said
    said = terminal.said
    assert said.count("\x1b[1A") >= 3, "the cursor goes up for the next frame"
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l"), "the cursor is there again"
    plain = STYLE.sub("", said)
    assert "running" in plain
    last = plain[plain.rindex("on a terminal") :]
    assert "finished" in last
    assert "step 19" in last
    assert "█" in last


def test_leaving_early_leaves_no_trace(place: Place) -> None:
    with recording(place, "left", 1_000) as (run, begin):
        begin()
        terminal = Terminal("watch", run, columns=80, environment={"MUNIMENT_URL": place.url})
        terminal.read(until="loss")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end(20) == 130, terminal.said
        assert "Traceback" not in terminal.said
        assert "Aborted" not in terminal.said
        assert terminal.said.rindex("\x1b[?25h") > terminal.said.rindex("\x1b[?25l")
        code, out, _ = finished("watch", run, "--once", MUNIMENT_URL=place.url)
        assert code == 0
        assert "running" in out


def test_a_quiet_run_costs_one_question(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    call = Client.call

    def counted(self: Client, method: str, target: str, *rest: Any, **named: Any) -> Any:
        asked.append(target.partition("?")[0].rpartition("/")[2])
        return call(self, method, target, *rest, **named)

    def noise_and_end() -> None:
        with Client(place.url) as other:
            time.sleep(1.5)
            other.create_run(NewRun(experiment="churn", name="another"))  # not about the run that is watched
            time.sleep(0.5)
            other.update_run(run, RunChange(state="finished"))

    with Client(place.url) as client:
        run = client.create_run(NewRun(experiment="churn", name="quiet")).id
    monkeypatch.setattr(Client, "call", counted)
    monkeypatch.setenv("MUNIMENT_URL", place.url)
    ending = threading.Thread(target=noise_and_end)
    ending.start()
    result = CliRunner().invoke(build(), ["watch", run, "--json"])
    ending.join()
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 2
    assert asked.count("changes") <= 3, "one wait for each thing that was recorded, and one that may have begun late"
    assert asked.count(run) == 3, "read at the beginning and at the end; the third is the other's update"
