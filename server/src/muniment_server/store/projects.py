"""Projects and principals, and the first entries of a new store."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from muniment.model.errors import NotFound
from muniment.model.project import SYSTEM, Project
from muniment_server.policy.access import Scope
from muniment_server.store import current
from muniment_server.store.tables import SYSTEM_PROJECT, heads, meta, projects


def visible(scope: Scope, column: Any) -> sa.ColumnElement[bool]:
    """The rows whose project the caller may see."""
    return sa.true() if scope.projects is None else column.in_(sorted(scope.projects))


def _current(scope: Scope) -> sa.Select[Any]:
    return current.versions("project").where(
        projects.c.project_id == SYSTEM_PROJECT, current.at(projects, None), visible(scope, projects.c.no)
    )


def find(connection: sa.Connection, scope: Scope, slug: str) -> tuple[int, Project]:
    """(number, record) of a project.

    Raises:
        NotFound: there is none, or the caller may not know of it.
    """
    row = connection.execute(_current(scope).where(projects.c.slug == slug)).first()
    if row is None:
        raise NotFound(f"project {slug!r} does not exist; POST /v1/projects creates one", field="project")
    return row.no, current.to_record("project", row)


def sees(connection: sa.Connection, scope: Scope, project: str) -> bool:
    """Whether the caller may know of the project with this id."""
    if scope.projects is None:
        return True
    query = _current(scope).where(projects.c.id == project)
    return connection.execute(query).first() is not None


def slug_of_id(connection: sa.Connection, scope: Scope, project: str) -> str | None:
    """The slug of the project with this id; None if there is none, or the caller may not know of it."""
    row = connection.execute(_current(scope).where(projects.c.id == project)).first()
    return None if row is None else str(row.slug)


def every(connection: sa.Connection, scope: Scope) -> list[tuple[int, Project]]:
    """(number, record) of all projects but the system project, by slug."""
    query = _current(scope).where(projects.c.slug != SYSTEM).order_by(projects.c.slug)
    return [(row.no, current.to_record("project", row)) for row in connection.execute(query)]


def numbers(connection: sa.Connection) -> dict[int, str]:
    """The id of every project by its number, the system project included."""
    query = sa.select(projects.c.no, projects.c.id).where(projects.c.valid_to.is_(None))
    return {row.no: row.id for row in connection.execute(query)} | {SYSTEM_PROJECT: system_id(connection)}


def system_id(connection: sa.Connection) -> str:
    """The id of the system project, which is the store's own."""
    return str(connection.execute(sa.select(meta.c.value).where(meta.c.key == "store")).scalar_one())


def principal_id(connection: sa.Connection, name: str) -> str | None:
    """The id of the principal with this name."""
    found = current.by_name(connection, SYSTEM_PROJECT, "principal", (name,))
    return None if found is None else found.record.id


def positions(connection: sa.Connection) -> dict[int, int]:
    """The latest position of every project by its number."""
    return {row.project_id: row.position for row in connection.execute(sa.select(heads.c.project_id, heads.c.position))}
