"""A small but complete sealed store to attack, and a way to attack it again and again.

Every attack happens in one transaction of one connection; verification reads through the same connection, and then
everything is rolled back. So the store is built once for each engine, and an attack costs one verification.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from audit.catalogued import Catalogue
from muniment.model.experiment import ExperimentChange, NewExperiment
from muniment.model.ledger import Verification
from muniment.model.metric import NewPoints
from muniment.model.project import NewProject, ProjectChange
from muniment.model.run import Code, Environment, NewRun, RunChange
from muniment_server.annexes import keeper
from muniment_server.services import erasure, experiments, metrics, projects, runs, verify
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import Change, Workspace, now
from muniment_server.store import guards, leases, receipts, tables
from muniment_server.store.engine import Store

BIG = 270
"""Entries of points in the project `big`: more than a tile holds, so that there is a tile above the leaves."""


class Builder:
    """Writes the store that is attacked."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.scope = workspace.owner_scope

    def write(self, *changes: Change[Any]) -> list[Any]:
        """Write in order."""
        return [self.workspace.writer.write(change) for change in changes]

    def together(self, changes: list[Change[Any]]) -> None:
        """Write in as few transactions as possible."""

        async def gathered() -> None:
            await asyncio.gather(*(self.workspace.writer.write_async(change) for change in changes))

        asyncio.run(gathered())

    def run(self, project: str, **fields: Any) -> str:
        (run,) = self.write(runs.create(self.workspace, self.scope, project, NewRun(experiment="e", **fields)))
        return str(run.id)

    def tags(self, project: str, run: str, **tags: str | None) -> None:
        self.write(runs.set_tags(self.workspace, self.scope, project, run, tags))

    def points(self, project: str, run: str, start: int, series: tuple[str, ...] = ("loss", "auc")) -> Change[Any]:
        """Two points of each series."""
        new = NewPoints(
            series=list(series),
            key=[at for at in range(len(series)) for _ in "ab"],
            step=[start, start + 1] * len(series),
            timestamp=[1000 + start] * 2 * len(series),
            value=[start + 0.5 + at for at in range(2 * len(series))],
        )
        return metrics.log(self.workspace, self.scope, project, run, new)

    def seal(self) -> None:
        keeper.seal(self.workspace)

    def build(self) -> None:
        """Everything, with three rounds of seals."""
        for slug in ("big", "open"):
            self.write(projects.create(self.scope, NewProject(slug=slug, description="one")))
        for slug in ("default", "big", "open"):
            self.write(experiments.create(self.workspace, self.scope, slug, NewExperiment(name="e", description="one")))
        self._first()
        self._second()
        Catalogue(self.workspace).build(self.kept)
        self.write(
            projects.update(self.workspace, self.scope, "big", ProjectChange(description="two")),
            self.points("default", self.kept[1], 500),
            self.points("default", self.kept[1], 600, ("only", "auc")),
        )
        self.tags("default", self.kept[0], team="risk", stage=None)
        self._remembered()
        self.seal()
        self.unsealed = self.run("open", params={"lr": 0.5}, tags={"team": "none"})
        self.write(self.points("open", self.unsealed, 0))

    def _remembered(self) -> None:
        """What is kept for retries and for keepers: a receipt, a writer's mark, a lease."""
        new = NewPoints(series=["loss"], value=[1.0], step=[700], timestamp=[1], writer="ab" * 16, sequence=1)
        known = receipts.receipt(self.scope.principal, "tags", "once", b"{}", runs.Logged)
        self.write(
            metrics.log(self.workspace, self.scope, "default", self.kept[1], new),
            runs.set_tags(self.workspace, self.scope, "default", self.kept[1], {"late": "yes"}, known),
        )
        leases.take(self.workspace.store, "keeper", "somebody", now(), 1)

    def _first(self) -> None:
        """Runs with everything that a run can have; then points that will lie in level 1."""
        Catalogue(self.workspace).begin()
        code, environment = Code(commit="abc", command=["train"]), Environment(python="3.11", image="i")
        self.kept = [
            self.run(
                "default", name=f"r{number}", description="one", user="ann", code=code, environment=environment,
                seeds={"numpy": number}, params={"lr": 0.1 + number, "model": "gbm"}, tags={"team": "a", "stage": "b"},
            )
            for number in range(3)
        ]  # fmt: skip
        self.kept.append(self.run("default", name="child", parent=self.kept[0], job="daily"))
        self.erased = self.run("default", name="erased", params={"lr": 1, "secret": "x"}, tags={"team": "gone"})
        Catalogue(self.workspace).doomed_run(self.erased, self.kept[1], self.kept[2])
        for number, run in enumerate((*self.kept[:3], self.erased, self.kept[0])):
            self.write(self.points("default", run, 10 * number))
        self.tags("default", self.kept[0], team="c", stage="b")
        self.tags("default", self.kept[1], team=None)
        self.write(experiments.update(self.workspace, self.scope, "default", "e", ExperimentChange(description="two")))
        self.big = [self.run("big", params={"lr": number}) for number in range(2)]
        self.together([self.points("big", self.big[at % 2], at, ("loss",)) for at in range(BIG - 6)])
        self.seal()
        keeper.compact(self.workspace, everything=True)

    def _second(self) -> None:
        """Changes of runs, points that stay in level 0, and the erasure of a run with points in both levels."""

        def update(run: str, **fields: Any) -> Change[Any]:
            return runs.update(self.workspace, self.scope, "default", run, RunChange(**fields))

        self.write(
            update(self.kept[0], state="finished", description=None),
            update(self.kept[2], lifecycle="deleted"),
            update(self.kept[1], state="failed", name="renamed"),
            runs.begin_attempt(self.workspace, self.scope, "default", self.kept[1]),
            runs.log_params(self.workspace, self.scope, "default", self.kept[0], {"late": "yes"}),
            self.points("default", self.kept[0], 100),
            self.points("default", self.erased, 200),
            self.points("default", self.kept[1], 300),
            erasure.erase_run(self.workspace, self.scope, "default", self.erased, "the subject asked"),
        )
        self.together([self.points("big", self.big[at % 2], at, ("loss",)) for at in range(BIG - 6, BIG)])
        self.seal()


class Through:
    """What verification opens: the connection of the attack."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    @contextmanager
    def read(self, *arguments: Any) -> Iterator[sa.Connection]:
        del arguments
        yield self._connection


class Target:
    """A sealed store without its triggers and foreign keys, as its owner would first remove them.

    Args:
        url: the store.
        trust: its trust folder, which the attacker cannot reach.
    """

    def __init__(self, url: str, trust: Path) -> None:
        self.store = Store(url)
        self.trust = TrustFolder(trust)
        with self.store.write() as connection:
            for statement in _disarming(connection):
                connection.exec_driver_sql(statement)
        with self.store.read() as connection:
            query = sa.select(tables.projects.c.slug, tables.projects.c.no).where(tables.projects.c.valid_to.is_(None))
            self.projects: dict[str, int] = dict(connection.execute(query).all())
            sizes = sa.select(tables.seals.c.project_id, sa.func.max(tables.seals.c.size))
            self.sealed: dict[int, int] = dict(connection.execute(sizes.group_by(tables.seals.c.project_id)).all())
            ids = sa.select(tables.projects.c.no, tables.projects.c.id).where(tables.projects.c.valid_to.is_(None))
            self.ids: dict[int, str] = dict(connection.execute(ids).all())
            store = sa.select(tables.meta.c.value).where(tables.meta.c.key == "store")
            self.ids[0] = str(connection.execute(store).scalar_one())

    @contextmanager
    def attacked(self) -> Iterator[sa.Connection]:
        """A connection whose changes are undone at the end."""
        with self.store._writing.connect() as connection, connection.begin() as transaction:
            if self.store.is_sqlite:
                connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            yield connection
            transaction.rollback()

    def verify(self, connection: sa.Connection) -> Verification:
        """What verification says, seen through the attack."""
        return verify.store(cast("Store", Through(connection)), self.trust)

    def close(self) -> None:
        self.store.close()


def _disarming(connection: sa.Connection) -> list[str]:
    """Statements that drop what guards the tables."""
    names = [name for statement in guards.statements(connection.dialect.name) for name in _trigger(statement)]
    if connection.dialect.name == "sqlite":
        return [f"DROP TRIGGER {name}" for name, _ in names]
    dropped = [f"DROP TRIGGER {name} ON {table}" for name, table in names]
    for table in tables.metadata.sorted_tables:
        dropped.extend(
            f"ALTER TABLE {table.name} DROP CONSTRAINT IF EXISTS {key.name}" for key in table.foreign_key_constraints
        )
    return dropped


def _trigger(statement: str) -> Iterator[tuple[str, str]]:
    words = statement.split()
    if words[:2] == ["CREATE", "TRIGGER"]:
        yield words[2], words[words.index("ON") + 1]


def build(url: str, trust: Path) -> Builder:
    """Build the store at a URL."""
    workspace = Workspace(url, trust=trust, artifacts=trust.with_name("artifacts").absolute().as_uri())
    try:
        builder = Builder(workspace)
        builder.build()
        return builder
    finally:
        workspace.close()
