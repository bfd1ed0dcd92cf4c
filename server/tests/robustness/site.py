"""A store with its trust folder and its artifacts, to back up, to restore into and to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from muniment_server.services import backup, portable, restore
from muniment_server.services.backup import BackedUp
from muniment_server.services.restore import Restored
from muniment_server.services.trust import TrustFolder
from muniment_server.services.workspace import Workspace
from muniment_server.store import backup as engine
from muniment_server.store import projects
from muniment_server.store.blobs import Blobs
from muniment_server.store.engine import Store
from robustness.server import run_command


def silent(what: str, done: int, total: int) -> None:
    assert what
    assert done <= total or total == 0


def dialect(url: str) -> str:
    """The engine of a store's URL."""
    return url.partition(":")[0].partition("+")[0]


def left_in(*folders: Path) -> list[Path]:
    """What is in folders, however hidden."""
    return [path for folder in folders if folder.exists() for path in folder.rglob("*")]


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
