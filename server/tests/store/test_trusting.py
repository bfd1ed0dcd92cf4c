"""A writer that goes on from where it left the head: nothing is read before it writes, and nobody else is overrun."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from muniment.model.batch import Batch, SetTags
from muniment.model.errors import Conflict
from muniment.model.experiment import NewExperiment
from muniment.model.metric import NewPoints
from muniment.model.run import NewRun, RunChange
from muniment_server.policy.access import Permission
from muniment_server.services import batch, experiments, metrics, runs
from muniment_server.services.workspace import Workspace
from muniment_server.store import heads, tables


@pytest.fixture
def other(workspace: Workspace, trust_folder: Path) -> Iterator[Workspace]:
    """Another server over the same store."""
    opened = Workspace(workspace.store.url.render_as_string(hide_password=False), trust=trust_folder)
    yield opened
    opened.close()


@pytest.fixture
def run(workspace: Workspace) -> str:
    scope, write = workspace.owner_scope, workspace.writer.write
    write(experiments.create(workspace, scope, "default", NewExperiment(name="e")))
    made: str = write(runs.create(workspace, scope, "default", NewRun(experiment="e", params={"lr": "1"}))).id
    return made


def log(workspace: Workspace, run: str, step: int) -> Any:
    new = NewPoints(series=["loss"], value=[float(step)], step=[step], timestamp=[1_000 + step])
    return workspace.writer.write(metrics.log(workspace, workspace.owner_scope, "default", run, new))


def steps(workspace: Workspace, run: str) -> list[int]:
    found = metrics.series(workspace, workspace.owner_scope, "default", run, "loss")
    return list(found.step)


def head(workspace: Workspace) -> Any:
    ref = workspace.project(workspace.owner_scope, "default", Permission.READ)
    with workspace.store.read() as connection:
        return connection.execute(sa.select(tables.heads).where(tables.heads.c.project_id == ref.no)).one()


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The projects whose heads were read and locked, one after the other."""
    found: list[int] = []
    lock = heads.lock

    def noting(connection: sa.Connection, project_id: int) -> heads.Head:
        found.append(project_id)
        return lock(connection, project_id)

    monkeypatch.setattr(heads, "lock", noting)
    return found


def test_whoever_wrote_last_need_not_look(workspace: Workspace, run: str, locked: list[int]) -> None:
    log(workspace, run, 0)
    locked.clear()
    for step in range(1, 5):
        log(workspace, run, step)
    assert len(locked) == (4 if workspace.store.is_sqlite else 0)
    assert steps(workspace, run) == [0, 1, 2, 3, 4]
    assert head(workspace).position == log(workspace, run, 5).position - 1


def test_two_servers_take_turns(workspace: Workspace, other: Workspace, run: str) -> None:
    positions = []
    for step in range(0, 20, 2):
        positions += [log(workspace, run, step).position, log(other, run, step + 1).position]
    assert positions == list(range(positions[0], positions[0] + 20))
    assert steps(workspace, run) == steps(other, run) == list(range(20))


def test_an_answer_is_not_of_what_somebody_else_has_changed(workspace: Workspace, other: Workspace, run: str) -> None:
    scope = workspace.owner_scope
    log(workspace, run, 0)  # which holds the run as active from now on
    other.writer.write(runs.update(other, other.owner_scope, "default", run, RunChange(lifecycle="deleted")))
    with pytest.raises(Conflict, match="is deleted"):
        log(workspace, run, 1)
    with pytest.raises(Conflict, match="is deleted"):  # nothing would be written that could prove the answer
        workspace.writer.write(batch.run(workspace, scope, "default", Batch(commands=[SetTags(run=run, tags={})])))
    other.writer.write(runs.update(other, other.owner_scope, "default", run, RunChange(lifecycle="active")))
    workspace.writer.write(batch.run(workspace, scope, "default", Batch(commands=[SetTags(run=run, tags={})])))
    assert steps(other, run) == [0]


def test_a_refusal_is_not_of_what_somebody_else_has_changed(workspace: Workspace, other: Workspace, run: str) -> None:
    scope, write = workspace.owner_scope, workspace.writer.write
    write(runs.update(workspace, scope, "default", run, RunChange(lifecycle="deleted")))
    other.writer.write(runs.update(other, other.owner_scope, "default", run, RunChange(lifecycle="active")))
    assert log(workspace, run, 7).points == 1


def test_names_and_records_that_somebody_else_added_are_not_added_again(
    workspace: Workspace, other: Workspace, run: str
) -> None:
    log(workspace, run, 0)
    log(other, run, 1)
    for at, server in enumerate((workspace, other, workspace, other)):
        params: dict[str, Any] = {"lr": "1", f"p{at}": "2"}
        made = server.writer.write(
            runs.create(server, server.owner_scope, "default", NewRun(experiment="e", params=params))
        )
        assert runs.get(workspace, workspace.owner_scope, "default", made.id).params == params
    with workspace.store.read() as connection:
        project_id = workspace.project(workspace.owner_scope, "default", Permission.READ).no
        keys = connection.execute(sa.select(tables.keys.c.no).where(tables.keys.c.project_id == project_id)).all()
    assert sorted(row.no for row in keys) == list(range(1, head(workspace).keys + 1))
