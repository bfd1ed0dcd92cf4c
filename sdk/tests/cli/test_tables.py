"""Tables that fit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from muniment.cli.tables import Column, fit, lines

ID = "01a207a9e00c778082131e3de99243a7"


def drawn(columns: list[Column], width: int) -> list[str]:
    return ["".join(text for text, _ in parts) for parts in lines(columns, width)]


def columns_of(name: str) -> list[Column]:
    return [
        Column(head="name", cells=[name, "b"], least=8),
        Column(head="loss", cells=["0.25", "12.5 "], right=True, rank=1),
        Column(head="note", cells=["a long text that nobody needs", "c"], rank=9, least=10),
        Column(head="id", cells=[ID, ID]),
    ]


def test_everything_stands_where_there_is_room() -> None:
    assert drawn(columns_of("a"), 100) == [
        "name   loss  note                           id",
        f"a      0.25  a long text that nobody needs  {ID}",
        f"b     12.5   c                              {ID}",
    ]


def test_the_least_important_column_goes_first_and_long_text_is_cut() -> None:
    assert [column.head for column, _ in fit(columns_of("a" * 30), 60)] == ["name", "loss", "id"]
    assert [column.head for column, _ in fit(columns_of("a" * 30), 44)] == ["name", "id"]
    assert drawn(columns_of("a" * 30), 44)[1] == f"aaaaaaaaa…  {ID}"


def test_an_id_is_never_cut_even_where_nothing_fits() -> None:
    assert drawn(columns_of("a" * 30), 20)[1] == f"aaaaaaa…  {ID}"


def test_columns_without_heads_have_no_first_line() -> None:
    assert drawn([Column(head="", cells=["a", ""]), Column(head="", cells=["1", "2"])], 20) == ["a  1", "   2"]


COLUMNS = st.lists(
    st.builds(
        Column,
        head=st.text("ab漢", max_size=12), cells=st.lists(st.text("xy漢", max_size=30), min_size=2, max_size=2),
        right=st.booleans(), rank=st.integers(0, 9), least=st.none() | st.integers(2, 12),
    ),
    max_size=8,
)  # fmt: skip


@given(COLUMNS, st.integers(20, 120))
def test_no_line_is_wider_than_the_terminal_if_anything_can_be_left_out(columns: list[Column], width: int) -> None:
    kept = [column for column, _ in fit(columns, width)]
    known = {id(column) for column in kept}
    assert [id(column) for column in columns if id(column) in known] == [id(column) for column in kept]
    assert all(id(column) in known for column in columns if column.rank == 0)
    if sum(column.floor for column in kept) + 2 * (len(kept) - 1) <= width:
        assert all(cell_len(line) <= width for line in drawn(columns, width))
    else:
        assert all(column.rank == 0 for column in kept)
