"""The benchmark of what logging costs: it runs, and it notices what it must."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from benchmarks.hands import environments
from benchmarks.hands.__main__ import main
from benchmarks.hands.measuring import Bench
from benchmarks.hands.tools import QUICK, SHAPES, Tool
from benchmarks.results import Report

FEW = msgspec.structs.replace(QUICK, calls=300, points=1_000)
STEADY = next(shape for shape in SHAPES if shape.do == "steady")

FORGETFUL = """
import json, subprocess, sys, time
from pathlib import Path

from benchmarks.hands.driver import Found

BUSY = "import time\\nend = time.process_time() + 0.6\\nwhile time.process_time() < end: pass"

class Forgetful:
    where = "kept.json"

    def __init__(self, folder):
        self._path, self._kept = folder / self.where, {}
        subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True)

    def one(self, value, step):
        time.sleep(PAUSE)
        if step != LOST:
            self._kept[step] = value + SHIFT

    def finish(self):
        self._path.write_text(json.dumps(self._kept))

    def sent(self, points, seconds):
        return True

def open_hand(folder, url):
    return Forgetful(folder)

def read(folder, url, where, keys):
    found = Found()
    for step, value in json.loads((folder / where).read_text()).items():
        found.add(int(step), value)
    return [found]
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """A bench for a tool that loses the point of a step, shifts every value, or is slow."""

    def made(lost: int = -1, shift: float = 0.0, pause: float = 0.0) -> Bench:
        (tmp_path / "forgetful.py").write_text(f"LOST, SHIFT, PAUSE = {lost}, {shift}, {pause}\n{FORGETFUL}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        tool = Tool(name="forgetful", module="forgetful", package="json")
        return Bench(tool, Path(sys.executable), FEW, Report(machine={}, settings={}))

    return made


def test_muniment_is_measured_and_every_point_is_there(tmp_path: Path) -> None:
    out, page = tmp_path / "hands.json", tmp_path / "hands.md"
    given = ["--quick", "--here", "--tools", "nothing,muniment", "--points", "5000"]
    assert main([*given, "--json", str(out), "--markdown", str(page)]) == 0
    told = json.loads(out.read_text())
    assert told["settings"]["faults"] == []
    ours = {(each["shape"], each["what"]): each["values"] for each in told["figures"] if each["engine"] == "muniment"}
    assert {shape for shape, _ in ours} == {"import", *(shape.name for shape in SHAPES)}
    assert ours[STEADY.name, "points logged"] == [0.005]
    assert ours[STEADY.name, "on disk"][0] > 1
    assert 0 < ours[SHAPES[1].name, "median of a call"][0] <= ours[SHAPES[1].name, "longest call"][0]
    assert f"## {SHAPES[0].name[0].upper()}{SHAPES[0].name[1:]}" in page.read_text()


def test_a_point_that_is_missing_is_a_fault(make: Callable[..., Bench]) -> None:
    bench = make(lost=7)
    bench.log(STEADY)
    assert bench.faults == ["forgetful, points without a pause: 1 of 1,000 points are missing"]


def test_a_value_that_is_another_is_a_fault(make: Callable[..., Bench]) -> None:
    bench = make(shift=0.5)
    bench.log(STEADY)
    (fault,) = bench.faults
    assert "1,000 points are there, but their values add up to" in fault


def test_a_slow_tool_gets_fewer_points_and_that_is_told(make: Callable[..., Bench]) -> None:
    bench = make(pause=0.005)
    bench.amounts = msgspec.structs.replace(FEW, seconds=0.2)
    bench.log(STEADY)
    assert not bench.faults
    (remark,) = bench.remarks
    assert remark.endswith("calls instead of 1,000; time was over")
    named = [figure.what for figure in bench.report.figures if figure.what.startswith("memory of the process, at")]
    assert named == ["memory of the process, at the start", "memory of the process, at the end"]


def test_what_a_process_left_behind_costs_is_counted(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.log(STEADY)
    figure = bench.report.find("forgetful", STEADY.name, "processor time of its other processes, a point")
    assert figure is not None
    assert figure.median >= 300  # of 0.6 s for 1,000 points


def test_a_tool_that_cannot_be_installed_is_told_with_the_reason(tmp_path: Path) -> None:
    tool = Tool(name="absent", module="absent", package="absent", requirement="./there-is-no-such-folder")
    with pytest.raises(environments.NotInstalled, match="there-is-no-such-folder"):
        environments.interpreter(tool, tmp_path, here=False)
