"""What reaches a terminal."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.cli.screen import PIPED_WIDTH, Screen, json_text
from muniment.cli.tables import Column


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_json_holds_nothing_that_a_terminal_obeys_and_says_the_same(text: str, ascii_only: bool) -> None:
    written = json_text({"name": text}, ascii_only=ascii_only)
    assert json.loads(written) == {"name": text}
    assert "\n" not in written
    assert all(c.isprintable() for c in written)
    assert written.isascii() or not ascii_only


def screen(monkeypatch: pytest.MonkeyPatch, encoding: str, columns: str = "") -> tuple[Screen, io.BytesIO]:
    raw = io.BytesIO()
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    return Screen(), raw


def test_control_characters_are_escaped_in_lines_and_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    made, raw = screen(monkeypatch, "utf-8")
    made.line("a\x1b[2Jb", ("\x07", "bold"))
    made.table([Column(head="x\x9b", cells=["c\rd"]), Column(head="", cells=["e"])])
    made.raw("one\ntwo\x1b]0;title\x07\n")
    assert raw.getvalue().decode() == "a\\x1b[2Jb\\x07\nx\\x9b\nc\\rd   e\none\ntwo\\x1b]0;title\\x07\n"


def test_another_encoding_gets_signs_that_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    made, raw = screen(monkeypatch, "ascii")
    assert made.glyphs.blocks.isascii()
    made.line("é → … 漢")
    made.table([Column(head="name", cells=["ä" * 200], least=8)])
    made.json({"name": "é"})
    lines = raw.getvalue().decode("ascii").splitlines()
    assert lines[0] == "\\xe9 -> ... \\u6f22"
    assert len(lines[2]) == PIPED_WIDTH
    assert lines[2].endswith("...")
    assert lines[3] == '{"name":"\\u00e9"}'
    latin, raw = screen(monkeypatch, "iso-8859-1")
    latin.line("é 漢")
    assert raw.getvalue() == b"\xe9 \\u6f22\n"


@pytest.mark.parametrize(("columns", "width"), [("", PIPED_WIDTH), ("100", 100), ("3", 20), ("wide", PIPED_WIDTH)])
def test_a_pipe_has_a_width(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    assert screen(monkeypatch, "utf-8", columns)[0].width == width


def test_a_line_is_never_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    made, raw = screen(monkeypatch, "utf-8", "40")
    made.line("word " * 50)
    assert raw.getvalue().count(b"\n") == 1
