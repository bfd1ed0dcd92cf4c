"""A store is backed up while it is written, and restored: nothing acknowledged before is missing, and it verifies.

Whatever happens on the way, a kill at a random moment, a full disk, a damaged file, there is nothing or the whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from audit.sealed import build
from conftest import Postgres

from muniment_server.services import backup, portable, restore
from muniment_server.services.backup import BackedUp
from muniment_server.services.restore import Restored
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import Workspace
from muniment_server.store import backup as engine
from muniment_server.store import migrations
from muniment_server.store.blobs import Blobs
from muniment_server.store.engine import Store
from robustness.server import (
    DEFAULT,
    QUICK_KEEPER,
    Server,
    head_of,
    run_command,
)
from robustness.test_full_disk import disk  # noqa: F401 - a fixture

ROUNDS = int(os.environ.get("MUNIMENT_KILL_ROUNDS", "5"))
WRITERS = 4


def silent(what: str, done: int, total: int) -> None:
    assert what
    assert done <= total or total == 0


class Site:
    """A store, its trust folder and its artifacts.

    Args:
        url: of the store.
        folder: where the rest lies.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.trust, self.artifacts = url, folder / "trust", folder / "artifacts"

    def options(self) -> tuple[str, ...]:
        return "--store", self.url, "--trust", str(self.trust), "--artifacts", self.artifacts.as_uri()

    def open(self) -> Workspace:
        return Workspace(self.url, trust=self.trust, artifacts=self.artifacts.as_uri())

    def take(self, folder: Path, **how: Any) -> BackedUp:
        store = Store(self.url)
        try:
            return backup.take(store, TrustFolder(self.trust), Blobs(self.artifacts.as_uri()), folder, silent, **how)
        finally:
            store.close()

    def put_back(self, folder: Path) -> Restored:
        store = Store(self.url)
        try:
            manifest = restore.check(folder, silent)
            blobs = Blobs(self.artifacts.as_uri(), durable=True)
            return restore.put_back(store, folder, manifest, silent, trust=TrustFolder(self.trust), blobs=blobs)
        finally:
            store.close()

    @property
    def is_there(self) -> bool:
        """Whether there is anything of a store."""
        store = Store(self.url)
        try:
            if store.path is not None:
                return store.path.exists()
            with store.read() as connection:
                return not engine.is_empty(connection)
        finally:
            store.close()

    def verify(self) -> None:
        done = run_command("verify", *self.options(), "--bytes", "--json")
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])

    def contents(self, folder: Path) -> dict[str, bytes]:
        """What `muniment export` tells of every project, but the evidence of where it came from."""
        workspace = self.open()
        try:
            from muniment_server.store import projects

            with workspace.store.read() as connection:
                slugs = [item.slug for _, item in projects.every(connection, workspace.owner_scope)]
            for slug in slugs:
                portable.take_out(workspace, workspace.owner_scope, slug, folder / slug, silent)
        finally:
            workspace.close()
        assert slugs
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.relative_to(folder).parts[1] != "origin"
        }


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A store with every kind of record, seals, compacted and loose points, artifacts and erased runs."""
    folder = tmp_path_factory.mktemp("whole")
    server: Postgres | None = None if request.param == "sqlite" else request.getfixturevalue("postgres")
    site = Site(f"sqlite:///{folder / 'store.db'}" if server is None else server.create(), folder)
    build(site.url, site.trust)
    yield site
    if server is not None:
        server.drop(site.url)


@pytest.fixture(scope="module")
def taken(whole: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taken") / "backup"
    whole.take(folder)
    return folder


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    """Empty places, by engine."""
    made: list[str] = []

    def place(dialect: str) -> Site:
        folder = tmp_path / f"place-{len(made)}"
        folder.mkdir()
        if dialect == "sqlite":
            made.append("")
            return Site(f"sqlite:///{folder / 'restored.db'}", folder)
        made.append(request.getfixturevalue("postgres").create_empty())
        return Site(made[-1], folder)

    yield place
    for url in filter(None, made):
        request.getfixturevalue("postgres").drop(url)


@pytest.fixture
def empty(whole: Site, places: Callable[[str], Site]) -> Site:
    """An empty place of the same engine."""
    return places(dialect(whole.url))


def dialect(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]


def left_in(*folders: Path) -> list[Path]:
    """What is in folders, however hidden."""
    return [path for folder in folders if folder.exists() for path in folder.rglob("*")]


def test_restored_it_is_the_same(whole: Site, taken: Path, empty: Site, tmp_path: Path) -> None:
    done = empty.put_back(taken)
    assert done.entries > 300
    assert 0 < done.published <= done.sealed <= done.entries
    assert done.artifacts
    assert empty.contents(tmp_path / "a") == whole.contents(tmp_path / "b")
    empty.verify()
    # and every row of it
    names = migrations.created(dialect(whole.url), migrations.head())
    found = []
    for site in (whole, empty):
        store = Store(site.url)
        with store.read() as connection:
            found.append({
                name: sorted(map(repr, connection.execute(sa.text(f"SELECT * FROM {name}"))))
                for name in names if (dialect(site.url), name) != ("sqlite", "words")
            })  # fmt: skip
        store.close()
    assert found[0] == found[1]
    assert found[0]["receipts"]


def test_the_key_that_signs_is_not_in_it(whole: Site, taken: Path) -> None:
    secret = (whole.trust / "signing.key").read_bytes()
    assert not [path for path in left_in(taken) if path.is_file() and secret in path.read_bytes()]
    assert oct(taken.stat().st_mode)[-3:] == "700"
    assert sorted(path.name for path in (taken / "trust").iterdir()) == sorted(
        ["checkpoints.ndjson", *(path.name for path in whole.trust.glob("*.pub"))]
    )


def test_its_history_goes_on(taken: Path, empty: Site, tmp_path: Path) -> None:
    empty.put_back(taken)
    with Server(empty.url, empty.trust, tmp_path / "log", settings=QUICK_KEEPER,
                options=("--artifacts", empty.artifacts.as_uri())) as server:  # fmt: skip
        server.start()
        with server.wire() as wire:
            before = head_of(wire)
            run = wire.post(f"{DEFAULT}/runs", {"experiment": "e"})
            assert run["position"] == before + 1
            wire.call("PUT", f"{DEFAULT}/records/{run['id']}/artifacts/more", b"more")
        server.stop()
        assert not server.events("keeper failed; it will try again"), server.said()
    empty.verify()
