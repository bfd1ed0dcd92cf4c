"""Attacks that leave everything consistent that is known to be checked: each must be found all the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from audit.attacks import Row, delete, insert, rows_of, update
from audit.sealed import Target
from muniment.model.ids import new_id
from muniment_server.segments import columns, level0
from muniment_server.store import ledger, tables
from muniment_server.store.audit import series
from muniment_server.store.points import key_names

Attack = Callable[[sa.Connection, Target], None]


def row_of(connection: sa.Connection, target: Target, table: sa.Table, slug: str = "default", **values: Any) -> Row:
    """The last row of a project with these values."""
    project = target.projects[slug] if slug else 0
    found = [
        row
        for row in rows_of(connection, table, target)
        if row["project_id"] == project and all(row[name] == value for name, value in values.items())
    ]
    return found[-1]


def level0_points(connection: sa.Connection, target: Target, *, erased: bool = False) -> Row:
    """The last row of points, whose run was (not) erased."""
    found = [row for row in rows_of(connection, tables.points, target) if (row["payload"] is None) == erased]
    return [row for row in found if row["project_id"] == target.projects["default"]][-1]


def shifted(connection: sa.Connection, row: Row, by: float) -> dict[str, Any]:
    """The columns of a row of points whose values are higher."""
    numbers, key, step, timestamp, value = level0.decode(row["payload"])
    names = key_names(connection, row["project_id"], numbers)
    made = columns.build([names[number] for number in numbers], key, step, timestamp, value + by)
    interned = {name: number for number, name in names.items()}
    payload = level0.payload_of(len(made), [interned[name] for name in made.series], level0.encode_body(made))
    return {"payload": payload, "digest": columns.digest(made)}


def summarise_again(connection: sa.Connection, project: int, run: int) -> None:
    """Summaries that fit the points of a run as they are now."""
    table = tables.summaries
    connection.execute(sa.delete(table).where(table.c.project_id == project, table.c.run == run))
    query = sa.select(tables.keys.c.name, tables.keys.c.no).where(tables.keys.c.project_id == project)
    numbers = dict(connection.execute(query).all())
    for name, summary in series._folded(connection, project, run, run).get(run, {}).items():
        given = {column.name: getattr(summary, column.name) for column in table.columns if column.name not in _KEY}
        connection.execute(sa.insert(table).values(project_id=project, run=run, key=numbers[name], **given))


_KEY = {"project_id", "run", "key"}


def _payload_hash(connection: sa.Connection, row: Row) -> bytes:
    position = row["position"]
    return ledger.entries(connection, row["project_id"], position - 1, position)[0].payload_hash


def other_points_under_the_kept_hash(connection: sa.Connection, target: Target) -> None:
    """The hash that only an erased entry needs vouches for points that were never sealed."""
    row = level0_points(connection, target)
    update(connection, tables.points, row, payload_hash=_payload_hash(connection, row), **shifted(connection, row, 100))
    summarise_again(connection, row["project_id"], row["run"])


def points_dropped(connection: sa.Connection, target: Target) -> None:
    """An entry's points are gone as if its run had been erased, which it was not."""
    row = level0_points(connection, target)
    gone = {"payload": None, "digest": None, "count": 0, "step_min": 0, "step_max": 0}
    update(connection, tables.points, row, payload_hash=_payload_hash(connection, row), **gone)
    summarise_again(connection, row["project_id"], row["run"])


def run_erased_in_silence(connection: sa.Connection, target: Target) -> None:
    """A run is gone as by an erasure of which the history knows nothing."""
    run = row_of(connection, target, tables.runs, name="child")
    found = tables.revisions
    connection.execute(
        sa.update(found).where(found.c.project_id == run["project_id"], found.c.record == run["no"]).values(body=None)
    )
    delete(connection, tables.runs, run)


def record_erased_in_silence(table: sa.Table) -> Attack:
    """Of a record of another kind everything is gone as by an erasure, although others of its kind were erased."""

    def attack(connection: sa.Connection, target: Target) -> None:
        record = row_of(connection, target, table, lifecycle="active", valid_to=None)
        mine = tables.revisions.c.project_id == record["project_id"], tables.revisions.c.record == record["no"]
        connection.execute(sa.update(tables.revisions).where(*mine).values(body=None))
        for has, column in (
            (table, "no"), (tables.tags, "run"), (tables.facets, "record"), (tables.names, "record"),
            (tables.aliases, "record"), (tables.attachments, "record"), (tables.links, "downstream"),
            (tables.scores, "evaluation"),
        ):  # fmt: skip
            where = has.c.project_id == record["project_id"], has.c[column] == record["no"]
            connection.execute(sa.delete(has).where(*where))

    return attack


def param_erased_in_silence(connection: sa.Connection, target: Target) -> None:
    """One param of a run is gone with the revision that said it."""
    key = row_of(connection, target, tables.keys, name="late")
    param = row_of(connection, target, tables.params, key=key["no"])
    revision = row_of(connection, target, tables.revisions, position=param["valid_from"], record=param["run"])
    update(connection, tables.revisions, revision, body=None)
    delete(connection, tables.params, param)


def _forged_tag(connection: sa.Connection, target: Target, position: int) -> None:
    project = target.projects["default"]
    tag = row_of(connection, target, tables.tags)
    key = row_of(connection, target, tables.keys, no=tag["key"])
    revision = row_of(connection, target, tables.revisions, record=tag["run"])
    insert(connection, tables.keys, key, no=9999, name="approved")
    insert(connection, tables.revisions, revision, position=position, body='{"tags":{"approved":"yes"}}')
    made = {"project_id": project, "run": tag["run"], "key": 9999, "valid_to": None, "value": "yes"}
    connection.execute(sa.insert(tables.tags).values(**made, valid_from=position))


def tag_from_beyond_the_head(connection: sa.Connection, target: Target) -> None:
    """A revision after the last entry says what no entry said."""
    _forged_tag(connection, target, target.sealed[target.projects["default"]] + 1)


def tag_from_before_the_beginning(connection: sa.Connection, target: Target) -> None:
    _forged_tag(connection, target, 0)


def points_from_before_the_beginning(connection: sa.Connection, target: Target) -> None:
    row = level0_points(connection, target)
    insert(connection, tables.points, row, position=-1, **shifted(connection, row, 50))
    summarise_again(connection, row["project_id"], row["run"])


def head_removed(connection: sa.Connection, target: Target) -> None:
    """A project without a head is not looked at."""
    delete(connection, tables.heads, row_of(connection, target, tables.heads))


def project_emptied(connection: sa.Connection, target: Target) -> None:
    """Nothing is left of a project but its seals."""
    head_removed(connection, target)
    project = target.projects["default"]
    for table in (
        tables.ledger, tables.revisions, tables.points, tables.segments, tables.segment_runs, tables.summaries,
        tables.tiles, tables.runs, tables.experiments, tables.params, tables.tags, tables.keys, tables.records,
    ):  # fmt: skip
        connection.execute(sa.delete(table).where(table.c.project_id == project))


def key_of_the_erased_renamed(connection: sa.Connection, target: Target) -> None:
    """Nothing that is left says what the key was called."""
    update(connection, tables.keys, row_of(connection, target, tables.keys, name="secret"), name="renamed")


def numbered(table: sa.Table, number: int, **values: Any) -> Attack:
    """A copy of a row as of a record with a number that is not looked at."""

    def attack(connection: sa.Connection, target: Target) -> None:
        column = next(name for name in ("no", "record", "downstream", "evaluation", "run") if name in table.c)
        slug = "" if table is tables.projects else "default"
        made = dict(values) | ({"id": new_id()} if "id" in table.c else {})
        insert(connection, table, row_of(connection, target, table, slug), **{column: number}, **made)

    return attack


def inserted(table: sa.Table, **values: Any) -> Attack:
    """A copy of a row with other values."""
    return lambda connection, target: _ignore(insert(connection, table, row_of(connection, target, table), **values))


def _ignore(row: Row) -> None:
    del row


def changed(table: sa.Table, slug: str = "default", /, **values: Any) -> Attack:
    """Other values in the last row."""
    return lambda connection, target: _ignore(
        update(connection, table, row_of(connection, target, table, slug), **values)
    )


def said_to_be(table: sa.Table, lifecycle: str) -> Attack:
    """An active record is deleted or erased, and nothing but its row says so."""
    return lambda connection, target: _ignore(
        update(
            connection, table, row_of(connection, target, table, lifecycle="active", valid_to=None), lifecycle=lifecycle
        )
    )


def link_through(run: int) -> Attack:
    """A link that came about through no run came about through one with this number."""
    return lambda connection, target: _ignore(
        update(connection, tables.links, row_of(connection, target, tables.links, run=0), run=run)
    )


def link_twice(connection: sa.Connection, target: Target) -> None:
    """A second row of a link, through a run that does not exist."""
    insert(connection, tables.links, row_of(connection, target, tables.links, run=0), run=9999)


def link_not_ended(connection: sa.Connection, target: Target) -> None:
    """A link that was ended holds still."""
    ended = [row for row in rows_of(connection, tables.links, target) if row["valid_to"] is not None]
    update(connection, tables.links, ended[-1], valid_to=None)


def moved(table: sa.Table) -> Attack:
    """What one record has by a name, another one has."""

    def attack(connection: sa.Connection, target: Target) -> None:
        row = row_of(connection, target, table)
        other = row_of(connection, target, tables.runs, name="child")["no"]
        update(connection, table, row, record=other)

    return attack


def given_back(table: sa.Table, of: sa.Table = tables.runs, /, **values: Any) -> Attack:
    """A row that the erasure of a record removed is there again."""

    def attack(connection: sa.Connection, target: Target) -> None:
        erased = row_of(connection, target, of, lifecycle="erased")
        column = next(name for name in ("downstream", "record", "run", "evaluation") if name in table.c)
        insert(connection, table, row_of(connection, target, table), **{column: erased["no"]}, **values)

    return attack


def erased_points(**values: Any) -> Attack:
    """Other values in what is left of an erased entry's points."""
    return lambda connection, target: _ignore(
        update(connection, tables.points, level0_points(connection, target, erased=True), **values)
    )


def raw(table: str, column: str, value: Any) -> Attack:
    """A value that no release ever wrote, in one row."""

    def attack(connection: sa.Connection, target: Target) -> None:
        attacked = tables.metadata.tables[table]
        row = row_of(connection, target, attacked)
        key = {f"key_{part.name}": row[part.name] for part in attacked.primary_key.columns}
        where = " AND ".join(f"{part.name} = :key_{part.name}" for part in attacked.primary_key.columns)
        connection.execute(sa.text(f"UPDATE {table} SET {column} = :value WHERE {where}"), {"value": value, **key})

    return attack


def erasure_saying(body: str, action: str = "run.erase") -> Attack:
    """Another explanation of what an erasure removed."""

    def attack(connection: sa.Connection, target: Target) -> None:
        entry = row_of(connection, target, tables.ledger, action=action)
        update(
            connection,
            tables.revisions,
            row_of(connection, target, tables.revisions, position=entry["position"]),
            body=body,
        )

    return attack


def segment_of(payload: Callable[[bytes], bytes | None]) -> Attack:
    """Another file for the last segment, with the digest that fits it."""

    def attack(connection: sa.Connection, target: Target) -> None:
        row = row_of(connection, target, tables.segments)
        made = payload(row["payload"])
        update(connection, tables.segments, row, payload=made, digest=hashlib.sha256(made or b"").digest())

    return attack
