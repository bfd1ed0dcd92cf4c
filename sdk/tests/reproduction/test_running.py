"""What is run: which words, with which variables."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from muniment.model.errors import InvalidInput
from muniment.model.run import Code, Environment
from muniment.reproduction import running
from muniment.reproduction.checkout import Checkout
from muniment.reproduction.interpreter import Interpreter

HERE = Path("/env/bin/python")


def words(command: list[str], program: Path | None = None, **code: str) -> list[str]:
    top = Path("/new/code")
    return running.words(command, Code(**code), Checkout(top, top, "", [], program), HERE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recorded", "run"),
    [
        (["python", "train.py", "--lr", "1"], ["/env/bin/python", "train.py", "--lr", "1"]),
        (["/old/bin/python3.11", "-u", "train.py"], ["/env/bin/python", "-u", "train.py"]),
        (["/old/bin/python3", "/old/bin/torchrun", "train.py"], ["/env/bin/python", "/env/bin/torchrun", "train.py"]),
        (["muniment", "demo"], ["muniment", "demo"]),
        (["make", "python"], ["make", "python"]),
    ],
)
def test_the_interpreter_is_the_chosen_one(recorded: list[str], run: list[str]) -> None:
    assert words(recorded, entry_point="train.py", folder=".") == run


@pytest.mark.parametrize(
    ("recorded", "folder", "run"),
    [
        (["python", "/src/job/src/train.py"], ".", ["/new/code/src/train.py"]),
        (["python", "/src/job/src/train.py", "--c=/src/job/a.yaml", "/src/job", "/src/jobs"], ".",
         ["/new/code/src/train.py", "--c=/new/code/a.yaml", "/new/code", "/src/jobs"]),
        (["python", "job/src/train.py", "x"], None, ["/new/code/src/train.py", "x"]),
        (["python", "src/train.py"], ".", ["src/train.py"]),
        (["python", "train.py"], "src", ["train.py"]),
    ],
)  # fmt: skip
def test_paths_into_the_recorded_tree_lead_into_the_restored_one(
    recorded: list[str], folder: str | None, run: list[str]
) -> None:
    code = {"entry_point": "src/train.py"} | ({"folder": folder} if folder else {})
    assert words(recorded, **code)[1:] == run


def test_a_program_alone_is_run_where_it_was_put() -> None:
    program = Path("/new/code/train.py")
    assert words(["python", "../x/train.py", "7"], program, entry_point="/src/x/train.py")[1:] == [str(program), "7"]
    long = Code(command=["python", "-c", "print(1)… (9,000 more characters)"], entry_point="-c")
    said = running.command_of(long, None)
    text = Path("/new/program.py")
    assert words(said, text, entry_point="-c") == ["/env/bin/python", str(text)]


def test_a_command_that_is_not_whole_is_not_run() -> None:
    with pytest.raises(InvalidInput, match="no command is recorded"):
        running.command_of(Code(), None)
    with pytest.raises(InvalidInput, match="masked"):
        running.command_of(Code(command=["python", "train.py", "--api-key", "***"]), None)
    given = ["python", "train.py", "--api-key", "x"]
    assert running.command_of(Code(command=["python", "--api-key", "***"]), given) == given


def test_variables_that_change_results_are_as_they_were() -> None:
    recorded = Environment(python="3.11.7", variables={"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--key=***"})
    here = {
        "OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "8", "OTHER": "x", "PATH": "/usr/bin",
        "PYTHONPATH": "/src/job/lib:/elsewhere",
    }  # fmt: skip
    top = Path("/new/code")
    made = running.variables(
        recorded, here, Interpreter(HERE, "same", [], [top / "src"]),
        Checkout(top, top, "", [], None, Path("/src/job")), running.told("sqlite:////s.db", "p", "r", "t"),
    )  # fmt: skip
    assert made["OMP_NUM_THREADS"] == "1"
    assert not {"MKL_NUM_THREADS", "XLA_FLAGS"} & made.keys()
    assert (made["OTHER"], made["PATH"]) == ("x", f"/env/bin{os.pathsep}/usr/bin")
    assert made["PYTHONPATH"].split(os.pathsep) == ["/new/code/src", "/new/code/lib", "/elsewhere"]
    assert (made["MUNIMENT_URL"], made["MUNIMENT_PROJECT"], made["MUNIMENT_REPRODUCES"]) == (
        "sqlite:////s.db", "p", "r:t",
    )  # fmt: skip


def test_variables_nobody_looked_at_stay() -> None:
    here = {"OMP_NUM_THREADS": "8"}
    top = Path("/new/code")
    made = running.variables(Environment(), here, Interpreter(HERE, "same", []), Checkout(top, top, "", []), {})
    assert made["OMP_NUM_THREADS"] == "8"


def test_time_that_is_up_ends_everything_that_was_started(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path('child').write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    begun = time.monotonic()
    status = running.run([sys.executable, "-c", program], tmp_path, os.environ, 2.0, quiet=True)
    assert status is None
    assert time.monotonic() - begun < 30
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 10
    while time.monotonic() < until and _runs(child):
        time.sleep(0.05)
    assert not _runs(child)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_command_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'no-such-thing' cannot be started"):
        running.run(["no-such-thing"], tmp_path, os.environ, None, quiet=True)


def test_a_command_is_shown_as_it_is() -> None:
    assert running.shown(["python", "a b.py", "\x1b[2K\r", "[white]"]) == r"python 'a b.py' '\x1b[2K\r' '[white]'"
