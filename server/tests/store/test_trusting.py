"""A writer that goes on from where it left the head: nothing is read before it writes, and nobody else is overrun."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from muniment.model.batch import Batch, SetTags
from muniment.model.errors import Conflict, Unavailable
from muniment.model.experiment import NewExperiment
from muniment.model.metric import NewPoints
from muniment.model.project import NewProject
from muniment.model.run import NewRun, Run, RunChange
from muniment_server.annexes import keeper
from muniment_server.policy.access import Permission
from muniment_server.services import batch, experiments, metrics, projects, runs, verify
from muniment_server.services.workspace import Workspace
from muniment_server.store import heads, tables, writer
from muniment_server.store.held import Memory
from muniment_server.store.receipts import Receipt

postgresql_alone = pytest.mark.parametrize("engine_name", ["postgresql"])


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


def test_who_is_disproved_again_and_again_looks_first(
    workspace: Workspace, other: Workspace, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, trusts = [], Memory.trusts

    def noting(memory: Memory) -> bool:
        answers.append(trusts(memory))
        return answers[-1]

    monkeypatch.setattr(Memory, "trusts", noting)
    for step in range(0, 80, 2):
        log(workspace, run, step)
        log(other, run, step + 1)
    assert sum(answers) < 15
    answers.clear()
    for step in range(80, 160):
        log(workspace, run, step)
    assert workspace.store.is_sqlite or sum(answers) > 40  # when nobody else writes any more
    assert steps(other, run) == list(range(160))


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


def test_a_write_that_changes_nothing_takes_no_time(
    workspace: Workspace, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [4_000_000_000.0]
    monkeypatch.setattr(writer.time, "time", lambda: clock[0])
    log(workspace, run, 0)
    clock[0] += 100
    nothing = Batch(commands=[SetTags(run=run, tags={})])
    workspace.writer.write(batch.run(workspace, workspace.owner_scope, "default", nothing))
    clock[0] -= 50  # a clock may be put back, as long as no commit comes before the last one
    log(workspace, run, 1)
    assert head(workspace).time.timestamp() == clock[0]


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


def test_two_servers_make_projects_in_turn(workspace: Workspace, other: Workspace) -> None:
    made = []
    for at, server in enumerate((workspace, other) * 4):
        new = NewProject(slug=f"p{at}")
        made.append(server.writer.write(projects.create(server.owner_scope, new)))
        assert server.writer.write(projects.create(server.owner_scope, new)).id == made[-1].id
    assert [project.position for project in made] == list(range(made[0].position, made[0].position + 8))


def together(server: Workspace, run: str, tags: dict[str, str], changes: int) -> list[Any]:
    """Many writes at once, so that they are of one group."""

    async def gathered() -> list[Any]:
        waiting = [
            server.writer.write_async(
                runs.set_tags(server, server.owner_scope, "default", run, {f"{key}-{at}": value})
            )
            for at in range(changes)
            for key, value in tags.items()
        ]  # fmt: skip
        return await asyncio.gather(*waiting)

    return asyncio.run(gathered())


def test_a_large_group_that_was_sent_in_vain_is_sent_again(workspace: Workspace, other: Workspace, run: str) -> None:
    """What is sent is more than a connection holds, so the refusal comes while it is still being sent."""
    tags = {name: name * 3_000 for name in "abcd"}
    before = head(workspace).position
    for turn in range(4):
        server = (workspace, other)[turn % 2]
        made = together(server, run, {f"{key}{turn}": value for key, value in tags.items()}, 60)
        assert sorted(one.position for one in made) == list(range(before + 240 * turn + 1, before + 240 * turn + 241))
    found = runs.get(other, other.owner_scope, "default", run).tags
    assert len(found) == 4 * 240


@postgresql_alone  # SQLite's head is read before anything is written
def test_a_stale_head_is_known_whoever_raises_the_error(workspace: Workspace) -> None:
    with workspace.store.write() as connection:
        with pytest.raises(sa.exc.DataError) as caught:
            connection.exec_driver_sql("SELECT 1 / 0")
        assert heads.is_stale(caught.value)
        assert not heads.is_stale(sa.exc.DataError("", {}, Exception()))
        connection.rollback()


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, workspace: Workspace, when: str) -> Iterator[list[int]]:
    """Commits of a server whose connection is cut before the commit is sent, or when it is done and not answered yet.

    Gives how many there were.
    """
    store, died = workspace.store, [0]
    at_once = store.at_once

    @contextmanager
    def cut(connection: sa.Connection) -> Iterator[None]:
        died[0] += 1
        with at_once(connection):
            yield
            if when == "before":
                _cut(workspace, connection)
        if not store.is_sqlite:
            _cut(workspace, connection)
        raise sa.exc.OperationalError("COMMIT", {}, _lost())

    with monkeypatch.context() as patch:
        patch.setattr(store, "at_once", cut)
        yield died


def _cut(workspace: Workspace, connection: sa.Connection) -> None:
    if workspace.store.is_sqlite:
        raise sa.exc.OperationalError("COMMIT", {}, _lost())
    raw: Any = connection.connection.driver_connection
    with workspace.store.read() as another:
        assert another.exec_driver_sql(f"SELECT pg_terminate_backend({raw.info.backend_pid}, 5000)").scalar_one()


def _lost() -> Exception:
    return type("OperationalError", (Exception,), {})("the connection was lost")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_dies_around_the_commit(
    workspace: Workspace, other: Workspace, run: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = workspace.owner_scope
    first = log(workspace, run, 0)
    key = Receipt(b"t" * 32, b"r" * 32, Run)
    for turn in range(1, 4):
        new = NewRun(experiment="e", name=f"n{turn}", params={f"p{turn}": "1"})
        creating = runs.create(workspace, scope, "default", new, msgspec.structs.replace(key, token=bytes([turn]) * 32))
        before = head(workspace)
        with dying(monkeypatch, workspace, when) as died:
            with pytest.raises(Unavailable):
                log(workspace, run, turn)
            assert head(workspace).position == before.position + (when == "after")
            with pytest.raises(Unavailable):
                workspace.writer.write(creating)
            assert died == [2]
        lost = head(workspace)
        assert lost.position == before.position + 2 * (when == "after")
        again = log(workspace, run, turn)
        assert again.replayed == (when == "after")
        assert again.position == before.position + 1
        made = workspace.writer.write(creating)
        assert made.position == before.position + 2
        assert runs.get(other, scope, "default", made.id).params == {f"p{turn}": "1"}
        assert log(workspace, run, 100 + turn).position == before.position + 3
        assert log(other, run, 200 + turn).position == before.position + 4
        assert log(workspace, run, 300 + turn).position == before.position + 5
    assert steps(other, run) == [0, 1, 2, 3, *(hundred + turn for hundred in (100, 200, 300) for turn in (1, 2, 3))]
    assert log(other, run, 0).position == first.position
    verified(workspace)


def verified(workspace: Workspace) -> None:
    keeper.seal(workspace)
    outcome = verify.store(workspace.store, workspace.trust)
    assert not outcome.findings


@postgresql_alone  # SQLite has no connection that could be cut
def test_what_was_acknowledged_stays_while_backends_are_killed(
    workspace: Workspace, other: Workspace, run: str
) -> None:
    """Two servers write to one project while their connections are cut again and again, wherever they are just then."""
    stop = threading.Event()
    answers: dict[int, int] = {}
    unknown: list[int] = []

    def write(number: int) -> None:
        server, step = (workspace, other)[number % 2], number
        while not stop.is_set():
            try:
                answers[step] = log(server, run, step).position
            except Unavailable:
                unknown.append(step)
            else:
                step += 6

    def kill() -> None:
        rng = random.Random(7)
        engine = sa.create_engine(workspace.store.url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            while not stop.is_set():
                connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND random() < 0.5"
                )
                connection.rollback()
                time.sleep(rng.random() / 20)

    before = head(workspace).position
    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)] + [threading.Thread(target=kill)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    stop.set()
    for thread in threads:
        thread.join()
    assert unknown, "no write met a dead connection"
    assert len(set(answers.values())) == len(answers) > 50
    for step in sorted(set(unknown) - answers.keys()):  # whoever was not answered asks again
        answers[step] = log(workspace, run, step).position
    assert sorted(answers.values()) == list(range(before + 1, before + 1 + len(answers)))
    assert steps(other, run) == sorted(answers)
    assert [log(server, run, step).position for server in (workspace, other) for step in answers] == [
        *answers.values(), *answers.values(),
    ]  # fmt: skip
    assert head(workspace).position == before + len(answers)
    verified(workspace)
