"""What the README and the guide of the command line show is what happens: programs run, and commands answer so.

Ids, ages, and digits and sparklines that depend on the machine's arithmetic, are not compared;
`MUNIMENT_UPDATE=1` writes the answers anew.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from muniment.cli.app import build

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "README.md"
OUTPUT = re.compile(r"<!-- output of: (muniment .*?) -->\n```console\n\$ .*?\n(.*?)```", re.DOTALL)
LOOSE = re.compile(
    r"(?:sha256:)?[0-9a-f]{32,}…?|sha256:[0-9a-f]+…?|(?:now|\d+ (?:s|min|h))(?: ago)?\b|\d+(\.\d+)?(e-\d+)?|[▁-█]+|\s+"
)
EXAMPLE = re.compile(r"^ {4,}(muniment .*)$", re.MULTILINE)
COMMANDS = ("runs", "show", "best", "compare", "lineage", "history", "search", "watch")


PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""Where ``muniment`` is the one that is tested, as it is for whoever works in an environment."""


def run(arguments: list[str], store: str, **environment: str) -> str:
    """What a command prints."""
    found = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "MUNIMENT_STORE": store,
            "MUNIMENT_URL": store,
            "COLUMNS": "100",
            "PATH": PATH,
            **environment,
        },
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def command(line: str) -> list[str]:
    """A `muniment` command line, run by this very Python."""
    return [sys.executable, "-c", "from muniment.cli import main; main()", *shlex.split(line)[1:]]


@pytest.mark.parametrize(("page", "answers"), [("README.md", 3), ("docs/guides/command-line.md", 7)])
def test_the_answers_are_those_that_stand_there(demo_store: str, page: str, answers: int) -> None:
    text = (ROOT / page).read_text("utf-8")
    shown = OUTPUT.findall(text)
    assert len(shown) == answers
    for line, expected in shown:
        answer = run(command(line), demo_store)
        if os.environ.get("MUNIMENT_UPDATE"):
            answer = "\n".join(row.rstrip() for row in answer.splitlines()) + "\n"
            text = text.replace(f"$ {line}\n{expected}```", f"$ {line}\n{answer}```")
            (ROOT / page).write_text(text, "utf-8")
        else:
            assert LOOSE.sub("#", answer) == LOOSE.sub("#", expected), answer


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_the_help_work(demo_store: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_URL", demo_store)
    examples = EXAMPLE.findall(run(command(f"muniment {name} --help"), demo_store))
    assert len(examples) >= 3
    for line in examples:
        answer = CliRunner().invoke(build(), command(line.partition(" | ")[0])[3:])
        assert answer.exit_code == 0, (line, answer.output, answer.exception)
        assert answer.stdout, line


def test_the_demo_is_recorded_once(demo_store: str) -> None:
    before = run(command("muniment best accuracy --json"), demo_store)
    assert run(command("muniment demo --once"), demo_store) == ""
    assert run(command("muniment best accuracy --json"), demo_store) == before


def test_the_program_runs(tmp_path: Path) -> None:
    text = README.read_text("utf-8")
    program, printed = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", text, re.DOTALL)[0]
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    program = program.replace("http://127.0.0.1:5050", store)
    answer = run([sys.executable, "-c", program], store)
    assert re.sub(r"\d{13}", "#", answer) == re.sub(r"\d{13}", "#", printed)


def test_a_wrong_question_is_one_line(demo_store: str) -> None:
    found = subprocess.run(
        command("muniment best accuracy --where nonsense"),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MUNIMENT_URL": demo_store},
    )
    assert found.returncode == 1
    assert len(found.stderr.strip().splitlines()) == 1
    assert found.stderr.startswith("muniment: where")
