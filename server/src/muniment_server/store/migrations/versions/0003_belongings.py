"""Artifacts, facets, notes, saved views, other systems' names; scores and words of what is there already."""

import json
import math

import sqlalchemy as sa
from alembic import op

from muniment_server.language.words import words
from muniment_server.store import words as index
from muniment_server.store.migrations import run_script

revision = "0003"
down_revision = "0002"

_TEXTS = {
    "runs": ("name", "description", '"user"'),
    "experiments": ("name", "description"),
    "jobs": ("name", "namespace", "description", "type"),
    "datasets": ("name", "namespace", "description"),
    "dataset_versions": ("license", "version", "schema", "slices"),
    "models": ("name", "description"),
    "model_versions": ("description", "uri"),
    "evaluations": ("slice",),
}
_PARTS = frozenset(("schema", "slices"))
"""Columns that hold JSON: a list of parts, each with a name and perhaps a description."""
_AT_ONCE = 5_000


def upgrade() -> None:
    """Add what 0002 did not have."""
    connection = op.get_bind()
    run_script(connection, "0003_belongings")
    _add_scores(connection)
    _add_words(connection)


def _add_scores(connection: sa.Connection) -> None:
    first = sa.text(
        "SELECT project_id, no, valid_from, metrics FROM evaluations e WHERE valid_from = "
        "(SELECT min(valid_from) FROM evaluations o WHERE o.project_id = e.project_id AND o.no = e.no)"
    )
    insert = sa.text("INSERT INTO scores (project_id, evaluation, key, valid_from, value) VALUES (:p, :e, :k, :f, :v)")
    for row in connection.execute(first).all():
        for name, value in json.loads(row.metrics).items():
            number = float(value)
            given = {"p": row.project_id, "e": row.no, "k": _key(connection, row.project_id, name),
                     "f": row.valid_from, "v": None if math.isnan(number) else number}  # fmt: skip
            connection.execute(insert, given)


def _key(connection: sa.Connection, project_id: int, name: str) -> int:
    known = sa.text("SELECT no FROM keys WHERE project_id = :p AND name = :n")
    found = connection.execute(known, {"p": project_id, "n": name}).scalar_one_or_none()
    if found is None:
        advance = sa.text("UPDATE heads SET keys = keys + 1 WHERE project_id = :p RETURNING keys")
        found = connection.execute(advance, {"p": project_id}).scalar_one()
        added = sa.text("INSERT INTO keys (project_id, no, name) VALUES (:p, :k, :n)")
        connection.execute(added, {"p": project_id, "k": found, "n": name})
    return int(found)


def _add_words(connection: sa.Connection) -> None:
    for table, columns in _TEXTS.items():
        query = sa.text(f"SELECT project_id, no, {', '.join(columns)} FROM {table} WHERE valid_to IS NULL")  # noqa: S608
        by_project: dict[int, list[index.Row]] = {}
        for project_id, no, *texts in connection.execute(query):
            spoken = [_spoken(column, text) for column, text in zip(columns, texts, strict=True) if text]
            found = words(" ".join(spoken))
            by_project.setdefault(project_id, []).append((no, found, False))
        for project_id, rows in by_project.items():
            for start in range(0, len(rows), _AT_ONCE):
                index.write(connection, project_id, rows[start : start + _AT_ONCE])


def _spoken(column: str, text: str) -> str:
    if column not in _PARTS:
        return text
    return " ".join(part[field] for part in json.loads(text) for field in ("name", "description") if part.get(field))
