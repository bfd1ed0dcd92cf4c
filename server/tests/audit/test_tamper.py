"""Whoever owns the database can change anything in it, and verification finds what they changed.

The triggers and foreign keys are gone, the trust folder is out of reach. Each attack is undone before the next one.
What cannot be found is listed, each with its reason, and the list is exact.
"""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import covert
from audit.attacks import (
    HISTORY,
    KEPT_ASIDE,
    Row,
    Where,
    another,
    delete,
    first_wrong,
    rewrite_param,
    rows_of,
    signer,
    told,
    truncate,
    unsigned,
    update,
)
from audit.sealed import Target
from muniment.model.ledger import seal_hash
from muniment_server.services.trust import TrustFolder
from muniment_server.store import tables
from muniment_server.store.types import to_micros

ATTACKS = int(os.environ.get("MUNIMENT_TEST_TAMPER_ATTACKS", "100"))
"""Random attacks on each engine."""
ROWS = int(os.environ.get("MUNIMENT_TEST_TAMPER_ROWS", "1"))
"""Rows of each table in which each column is changed."""

UNDETECTABLE_COLUMNS = {
    **{(table.name, column.name): "a convenience for retries and keepers, which expires; no part of the history"
       for table in KEPT_ASIDE for column in table.columns},
    ("heads", "time"): "the clock of the next entry, not of any that there is",
}  # fmt: skip
"""What may be changed without verification noticing, and why."""

UNDETECTABLE = {
    "the name of a key that only an erased run used": covert.key_of_the_erased_renamed,
    "how many points an erased entry had, which nobody reads": covert.erased_points(count=5, step_max=7),
    "bytes of a segment that say nothing of its points": covert.segment_of(
        lambda file: file.replace(b"parquet-cpp-arrow", b"parquet-cpp-orrow")
    ),
}
"""Other changes that are not found: interned names, and how points are encoded, are not sealed; points are."""


def _vouched(table: sa.Table, row: Row, rows: dict[sa.Table, list[Row]]) -> bool:
    """Whether a row is about something that was not erased."""
    if table is tables.points:
        return row["payload"] is not None
    if table is tables.keys:
        users = (*rows[tables.params], *rows[tables.tags], *rows[tables.summaries], *rows[tables.scores])
        return any(user["project_id"] == row["project_id"] and user["key"] == row["no"] for user in users)
    return True


@pytest.fixture(scope="session")
def rows(target: Target) -> dict[sa.Table, list[Row]]:
    """What there is to attack."""
    with target.attacked() as connection:
        found = {table: rows_of(connection, table, target) for table in (*HISTORY, *KEPT_ASIDE)}
    return {table: [row for row in items if _vouched(table, row, found)] for table, items in found.items()}


def _said(connection: sa.Connection, target: Target, where: Where | None) -> str | None:
    """What is wrong with what verification says."""
    return told(target.verify(connection), target, where)


def _edit(target: Target, table: sa.Table, column: str, row: Row, value: Any) -> str | None:
    """Change a value, verify; what is wrong with the outcome."""
    with target.attacked() as connection:
        where = first_wrong(connection, target, table, row, {**row, column: value})
        try:
            with connection.begin_nested():
                update(connection, table, row, **{column: value})
        except sa.exc.IntegrityError:
            return None  # there is such a row already
        return _said(connection, target, where)


def test_an_untouched_store_verifies(target: Target) -> None:
    with target.attacked() as connection:
        outcome = target.verify(connection)
    assert outcome.ok, outcome.findings
    assert outcome.sealed == outcome.published == sum(target.sealed.values()) == outcome.entries - 2
    assert outcome.seals >= 8


NEVER_CHANGED = {tables.principals, tables.foreigns}
"""Tables of records of which this release never writes a second version."""


def test_every_table_is_attacked_or_kept_aside(rows: dict[sa.Table, list[Row]]) -> None:
    assert sorted((*HISTORY, *KEPT_ASIDE, tables.meta), key=str) == sorted(tables.metadata.tables.values(), key=str)
    for table in HISTORY:
        assert rows[table], f"there is nothing to attack in {table.name}"
        if "valid_to" in table.c and table not in NEVER_CHANGED:
            ends = {row["valid_to"] is None for row in rows[table]}
            assert ends == {True, False}, f"{table.name} needs a row that holds and one that held"


def test_every_column_but_those_listed_is_guarded(target: Target, rows: dict[sa.Table, list[Row]]) -> None:
    unseen, wrong = set(), []
    for table in (*HISTORY, *KEPT_ASIDE):
        assert rows[table], f"there is nothing to attack in {table.name}"
        for column in table.columns:
            rng = Random(f"{table.name}.{column.name}")
            for row in rng.sample(rows[table], min(ROWS, len(rows[table]))):
                problem = _edit(target, table, column.name, row, another(table, column, row, rows[table], rng))
                if problem == "nothing was found":
                    unseen.add((table.name, column.name))
                elif problem is not None:
                    wrong.append((table.name, column.name, problem))
    assert not wrong
    assert unseen == set(UNDETECTABLE_COLUMNS)


def test_random_attacks_are_found(target: Target, rows: dict[sa.Table, list[Row]]) -> None:
    numbers = st.integers(0, 2**32)

    @settings(max_examples=ATTACKS, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(st.sampled_from(HISTORY), st.sampled_from(("edit", "edit", "swap", "delete", "reorder")), numbers)
    def attack(table: sa.Table, kind: str, number: int) -> None:
        rng = Random(number)
        found = rows[table]
        row, other = rng.choice(found), rng.choice(found)
        column = rng.choice([c for c in table.columns if (table.name, c.name) not in UNDETECTABLE_COLUMNS])
        if kind == "edit":
            problem = _edit(target, table, column.name, row, another(table, column, row, found, rng))
        elif kind == "swap":
            problem = _swapped(target, table, column.name, row, other)
        elif kind == "delete":
            problem = _deleted(target, table, row)
        else:
            problem = _reordered(target, table, row, other)
        assert problem is None, f"{kind} {table.name}.{column.name} of {row}, {other}: {problem}"

    attack()


def _earlier(first: Where | None, second: Where | None) -> Where | None:
    """The earlier of two places, if both are in one project."""
    if first is None or second is None or first.project != second.project:
        return None
    return msgspec.structs.replace(first, low=min(first.low, second.low), high=max(first.high, second.high))


def _swapped(target: Target, table: sa.Table, column: str, row: Row, other: Row) -> str | None:
    """Two rows' values of a column that is no key change places."""
    if row[column] == other[column] or column in table.primary_key.columns:
        return None
    with target.attacked() as connection:
        where = _earlier(
            first_wrong(connection, target, table, row, {**row, column: other[column]}),
            first_wrong(connection, target, table, other, {**other, column: row[column]}),
        )
        try:
            with connection.begin_nested():
                spare = another(table, table.c[column], row, [row], Random(0))
                between = update(connection, table, row, **{column: spare})
                update(connection, table, other, **{column: row[column]})
                update(connection, table, between, **{column: other[column]})
        except sa.exc.IntegrityError:
            return None
        return _said(connection, target, where)


def _deleted(target: Target, table: sa.Table, row: Row) -> str | None:
    with target.attacked() as connection:
        where = first_wrong(connection, target, table, row, None)
        delete(connection, table, row)
        return _said(connection, target, where)


def _reordered(target: Target, table: sa.Table, row: Row, other: Row) -> str | None:
    """Two entries of one project change places."""
    same = row["project_id"] == other.get("project_id") if "project_id" in row else False
    if table not in (tables.ledger, tables.revisions, tables.points) or not same or row == other:
        return None
    if row["position"] == other["position"]:
        return None
    with target.attacked() as connection:
        where = _earlier(
            first_wrong(connection, target, table, row, other), first_wrong(connection, target, table, other, row)
        )
        try:
            with connection.begin_nested():
                away = update(connection, table, row, position=10**9)
                update(connection, table, other, position=row["position"])
                update(connection, table, away, position=other["position"])
        except sa.exc.IntegrityError:
            return None  # both entries speak of the same record
        return _said(connection, target, where)


@pytest.mark.parametrize("seal", ["left", "unsigned", "own key", "own key under the trusted name"])
def test_a_history_rewritten_consistently_is_found(target: Target, seal: str) -> None:
    claimed = signer(target.trust.key)
    sealing = {"left": None, "unsigned": unsigned, "own key": signer(), "own key under the trusted name": claimed}[seal]
    with target.attacked() as connection:
        where = rewrite_param(connection, target, "0.9", sealing)
        assert _said(connection, target, where) is None


@pytest.mark.parametrize("count", range(1, 7))
def test_a_history_cut_short_is_found(target: Target, count: int) -> None:
    with target.attacked() as connection:
        where = truncate(connection, target, count)
        assert _said(connection, target, where) is None


def test_an_older_copy_of_the_store_is_found(target: Target, tmp_path: Path) -> None:
    """The checkpoints know one more seal than the store."""
    trust = TrustFolder(Path(shutil.copytree(target.trust.path, tmp_path / "trust")))
    last = list(trust.checkpoints())[-1]
    later = msgspec.structs.replace(
        last, number=last.number + 1, size=last.size + 1, previous=last.hash, time=last.time + timedelta(seconds=1)
    )
    micros = to_micros(later.time)
    digest = seal_hash(later.number, micros, later.project, later.size, later.root, later.previous)
    trust.publish([msgspec.structs.replace(later, hash=digest.hex(), signature=trust.sign(digest).hex())])
    older = Target.__new__(Target)
    older.__dict__.update({**target.__dict__, "trust": trust})
    with older.attacked() as connection:
        outcome = older.verify(connection)
    (finding,) = outcome.findings
    assert (finding.project, finding.position, finding.where) == (last.project, last.size + 1, "seals")


@pytest.mark.parametrize("what", UNDETECTABLE)
def test_what_is_listed_cannot_be_found(target: Target, what: str) -> None:
    with target.attacked() as connection:
        UNDETECTABLE[what](connection, target)
        assert target.verify(connection).ok


def test_entries_that_are_not_sealed_yet_can_be_rewritten(target: Target) -> None:
    """Sealing follows within seconds; until then only the database guards an entry."""
    project = target.projects["open"]
    with target.attacked() as connection:
        (row,) = [dict(row._mapping) for row in connection.execute(_of(tables.points, project))]
        update(connection, tables.points, row, time=row["time"] - timedelta(days=1), actor="ab" * 16)
        covert.summarise_again(connection, project, row["run"])
        update(connection, tables.points, row, **covert.shifted(connection, row, 100))
        covert.summarise_again(connection, project, row["run"])
        assert target.verify(connection).ok


def _of(table: sa.Table, project: int) -> sa.Select[Any]:
    return sa.select(table).where(table.c.project_id == project)
