"""The reference says what is so: it is made from the code, and `MUNIMENT_UPDATE=1` makes it anew."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import muniment
from muniment.cli.app import build
from muniment.client import Client
from muniment.model.errors import MunimentError, all_errors
from muniment.recorder import ActiveRun
from muniment_server.api.problems import STATUS

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"
SOURCES = [ROOT / "sdk" / "src", ROOT / "server" / "src"]


def commands() -> Iterator[tuple[str, str]]:
    app = build()
    group: Any = typer.main.get_command(app)
    ways = [[name, *way] for name, one in group.commands.items() for way in ([], *([each] for each in _ways(one)))]
    for words in sorted(ways):
        found = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}).invoke(app, [*words, "--help"])
        assert found.exit_code == 0, found.output
        yield (
            " ".join(words),
            "\n".join(line.rstrip() for line in found.output.strip().splitlines()).replace(
                "Usage: root ", "Usage: muniment "
            ),
        )


def _ways(command: Any) -> list[str]:
    """The commands of a group; a command has none."""
    return sorted(getattr(command, "commands", {}))


def command_line() -> str:
    parts = [
        "# The command line",
        "",
        "What `muniment COMMAND --help` says. A [guide](../guides/command-line.md) shows it at work.",
    ]
    for name, text in commands():
        parts += ["", f"## muniment {name}", "", "```text", text, "```"]
    return "\n".join(parts) + "\n"


_ABOUT_ERRORS = (
    "Every error has a code that stays, a status in the v1 API (problem details of RFC 9457), and one line that says "
    "what is wrong, where, and what to do. In Python they are classes of `muniment.model.errors`."
)


def errors() -> str:
    parts = [
        "# Errors",
        "",
        _ABOUT_ERRORS,
        "",
        "| code | status | class | what it means |",
        "|---|---|---|---|",
    ]
    for code, cls in sorted(all_errors().items(), key=lambda pair: pair[1].__mro__[-2::-1].__repr__()):
        family = " → ".join(base.__name__ for base in reversed(cls.__mro__[:-3]) if issubclass(base, MunimentError))
        parts.append(f"| `{code}` | {STATUS[cls]} | {family} | {first_line(cls)} |")
    return "\n".join(parts) + "\n"


def first_line(thing: object) -> str:
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def signature(name: str, function: Callable[..., Any]) -> str:
    text = str(inspect.signature(function)).replace("'", "")
    text = re.sub(r"\bself, |\(self\)", lambda found: "()" if found[0] == "(self)" else "", text)
    return f"{name}{text}"


def documented(name: str, function: Callable[..., Any]) -> list[str]:
    doc = inspect.getdoc(function)
    assert doc, f"{name} has no docstring"
    return ["", f"### {name}", "", "```python", signature(name, function), "```", "", "```text", doc, "```"]


def python() -> str:
    parts = ["# Python", "", "The functions of `import muniment`, a run in progress, and the client below them."]
    parts += ["", "## muniment"]
    for name in sorted(muniment.__all__, key=str.lower):
        thing = getattr(muniment, name)
        if inspect.isfunction(thing):
            parts += documented(f"muniment.{name}", thing)
    for cls, title in (
        (ActiveRun, "ActiveRun: what muniment.start_run gives"),
        (Client, "Client: one method an operation"),
    ):
        parts += ["", f"## {title}", "", "```text", inspect.getdoc(cls) or "", "```"]
        for name, thing in sorted(inspect.getmembers(cls)):
            if name.startswith("_"):
                continue
            if isinstance(thing, property):
                parts += ["", f"### .{name}", "", first_line(thing.fget)]
            elif inspect.isfunction(thing):
                parts += documented(f".{name}", thing)
    return "\n".join(parts) + "\n"


@pytest.mark.parametrize(
    ("page", "made"), [("command-line.md", command_line), ("errors.md", errors), ("python.md", python)]
)
def test_the_reference_is_made_from_the_code(page: str, made: Callable[[], str]) -> None:
    text, path = made(), REFERENCE / page
    if os.environ.get("MUNIMENT_UPDATE"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text, f"{path} is out of date: MUNIMENT_UPDATE=1 makes it anew"


def test_every_setting_is_documented_and_no_other() -> None:
    used = {
        name
        for source in SOURCES
        for file in source.rglob("*.py")
        for name in re.findall(r"\bMUNIMENT_[A-Z][A-Z_]*\b", file.read_text("utf-8"))
    }
    told = set(re.findall(r"^\| `(MUNIMENT_[A-Z_]+)`", (REFERENCE / "settings.md").read_text("utf-8"), re.MULTILINE))
    assert used == told


def test_every_page_is_linked_from_somewhere_and_every_link_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
    reached = set()
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            if "://" in link or link.startswith("mailto:"):
                continue
            target = (page.parent / link).resolve()
            assert target.exists(), f"{page.relative_to(ROOT)} links to {link}, which is not there"
            reached |= {target} | set(target.glob("*.md") if target.is_dir() else ())
    assert [page for page in pages[2:] if page not in reached] == []
