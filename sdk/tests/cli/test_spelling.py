"""How values are written for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from muniment.cli.spelling import ago, aligned, cut, cut_within, duration, flat, number, plain, size, value

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    safe = plain(text)
    assert plain(safe) == safe
    assert not [c for c in safe if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2028\u200b\u2066"]


def test_what_is_escaped_can_be_read() -> None:
    assert plain("a\x1b[31mb\nc\x9bd\u202e") == "a\\x1b[31mb\\nc\\x9bd\\u202e"
    assert plain("Größe · 漢字 · naïve") == "Größe · 漢字 · naïve"


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"])), st.integers(0, 40))
def test_what_is_cut_fits(text: str, width: int) -> None:
    shown = cut(text, width)
    assert cell_len(shown) <= width
    if cell_len(text) <= width:
        assert shown == text
    elif width:
        assert shown.endswith("…")
        assert text.startswith(shown[:-1])


@given(st.text("ab漢", max_size=40), st.integers(0, 40))
def test_what_is_cut_in_its_middle_keeps_its_end(text: str, width: int) -> None:
    shown = cut_within(text, width)
    assert cell_len(shown) <= width
    if cell_len(text) > width >= 5:
        head, _, tail = shown.partition("…")
        assert head
        assert tail
        assert text.startswith(head)
        assert text.endswith(tail)


def test_wide_characters_take_two_columns() -> None:
    assert cut("漢字漢字", 5) == "漢字…"
    assert cut("漢字漢字", 4) == "漢…"
    assert cut("abcdef", 2, "...") == ".."


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        (0.985401459, "0.985401"), (40.0, "40"), (1e6, "1000000"), (1e300, "1e+300"), (-0.0, "0"),
        (2**53, "9007199254740992"),
        ("NaN", "nan"), ("-Infinity", "-inf"), (float("inf"), "inf"), (None, "-"), (1.5e-9, "1.5e-09"),
    ],
)  # fmt: skip
def test_numbers(given_: float | str | None, shown: str) -> None:
    assert number(given_) == shown  # type: ignore[arg-type]


def test_decimal_points_stand_below_one_another() -> None:
    texts = aligned(["0.5", "12.25", "7", "-"])
    width = max(map(len, texts))
    lines = [text.rjust(width) for text in texts]
    assert lines == [" 0.5 ", "12.25", " 7   ", " -   "]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4512, "0.45 s"), (-3, "0.00 s"), (59.9, "59 s"), (65, "1 min 05 s"), (3_600, "1 h 00 min"),
        (90_000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        (timedelta(0), "now"), (timedelta(seconds=59), "59 s ago"), (timedelta(minutes=3, seconds=59), "3 min ago"),
        (timedelta(hours=23), "23 h ago"), (timedelta(days=59), "59 d ago"), (timedelta(days=61), "2 mo ago"),
        (timedelta(days=800), "2 y ago"), (timedelta(minutes=-5), "in 5 min"),
    ],
)  # fmt: skip
def test_moments(before: timedelta, shown: str) -> None:
    assert ago(NOW - before, NOW) == shown


def test_sizes() -> None:
    assert [size(count) for count in (0, 999, 1_000, 999_949, 999_950, 5 * 10**15)] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "5.0 PB",
    ]  # fmt: skip


def test_values_of_any_kind() -> None:
    assert value(["a", "b"]) == "a, b"
    assert value([{"name": "x", "type": "int"}, {"name": "y"}]) == "2: x, y"
    assert value({"é": [1, None]}) == '{"é": [1, null]}'
    assert [value(item) for item in (True, None, [], 3, 0.5)] == ["true", "-", "-", "3", "0.5"]
    assert flat({"code": {"commit": "1", "command": ["a"]}, "x": 2}) == {
        "code.commit": "1",
        "code.command": ["a"],
        "x": 2,
    }
