"""Rules of the house that no linter knows: sizes, and rooms that must not exist."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FUNCTION_LINES = 70
FILE_LINES = 500
SOURCES = sorted(
    path
    for folder in ("sdk/src", "server/src", "sdk/tests", "server/tests", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= FILE_LINES, "a file that wants to be longer wants to be two rooms"
    long = {
        node.name: lines
        for node in _functions(ast.parse(text))
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    }
    assert not long


def test_there_is_no_room_for_leftovers() -> None:
    names = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_no_file_names_a_registry_or_a_path_of_a_machine() -> None:
    words = ("--index" + "-url", "/sim" + "ple/", "pypi" + ".org", "/ho" + "me/", "/ro" + "ot/", "/wo" + "rk/")
    suffixes = {".py", ".md", ".toml", ".txt", ".json", ".yml", ".sql", ".lark", ""}
    for path in _tracked():
        if path.suffix in suffixes and path.name != "LICENSE":
            text = path.read_text("utf-8", errors="replace")
            assert not [word for word in words if word in text], path


def _tracked() -> Iterator[Path]:
    skipped = {
        ".git",
        ".venv",
        ".venv-integrations",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        "node_modules",
    }
    for path in ROOT.rglob("*"):
        inside = set(path.relative_to(ROOT).parts)
        if path.is_file() and not inside & skipped and "__pycache__" not in inside and ".egg-info" not in str(path):
            yield path
