"""An opened store with its writer: what every use case is given."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from muniment.model.errors import Gone
from muniment.model.ids import new_id
from muniment.model.project import SYSTEM, Principal, Project
from muniment_server.policy.access import Permission, Scope
from muniment_server.services.feed import Feed
from muniment_server.services.histories import Histories
from muniment_server.services.trust import TrustFolder
from muniment_server.store import migrations, projects
from muniment_server.store.blobs import Blobs
from muniment_server.store.draft import Draft
from muniment_server.store.engine import Durability, Store
from muniment_server.store.receipts import Receipt
from muniment_server.store.repeats import Read
from muniment_server.store.tables import SYSTEM_PROJECT
from muniment_server.store.writer import Writer

OWNER = "owner"
"""Name of the local owner, the only principal for now."""
DEFAULT_PROJECT = "default"


T = TypeVar("T")


class Change(msgspec.Struct, Generic[T], frozen=True):
    """A prepared write that will answer with a `T`: what is left to do under the lock."""

    project_id: int
    actor: str
    action: str
    act: Callable[[Draft], T]
    receipt: Receipt | None = None
    alone: bool = False
    read: Read = msgspec.field(default_factory=dict)

    def apply(self, draft: Draft) -> T:
        """Do it."""
        return self.act(draft)


class ProjectRef(msgspec.Struct, frozen=True):
    """A project as use cases pass it on."""

    no: int
    id: str
    slug: str


class Workspace:
    """One store, opened.

    Args:
        url: the store's URL.
        durability: what an acknowledged write survives.
        trust: the folder of keys and checkpoints; see `default_trust`.
        artifacts: where the bytes of artifacts lie, see `Blobs`; a folder beside the store if nobody says.
        migrate: bring an older or empty schema up to date instead of refusing it.
    """

    def __init__(
        self,
        url: str,
        *,
        durability: Durability = "process",
        trust: Path | None = None,
        artifacts: str | None = None,
        migrate: bool = False,
    ) -> None:
        self.store = Store(url, durability=durability)
        try:
            migrations.prepare(self.store, migrate=migrate)
        except BaseException:
            self.store.close()
            raise
        self.trust = TrustFolder(trust or default_trust(self.store))
        self.blobs = Blobs(artifacts or default_artifacts(self.store), durable=durability == "full")
        self.feed = Feed(self.store)
        self.histories = Histories()
        self.writer = Writer(self.store, on_commit=self.feed.announce)
        self._projects: dict[str, ProjectRef] = {}
        self._lock = threading.Lock()
        self.owner = self._bootstrap()

    def close(self) -> None:
        """Commit what waits and give everything back."""
        self.writer.close()
        self.feed.close()
        self.store.close()

    @property
    def owner_scope(self) -> Scope:
        """The scope of the local owner."""
        return Scope(self.owner)

    def project(self, scope: Scope, slug: str, permission: Permission) -> ProjectRef:
        """The project, if the caller may do this with it.

        Raises:
            NotFound: there is none, or the caller may not know of it.
            Denied: the caller lacks the permission.
        """
        known = self._projects.get(slug)
        if known is None or not scope.sees(known.no):
            with self.store.read() as connection:
                if slug == SYSTEM and scope.sees(SYSTEM_PROJECT):
                    known = ProjectRef(SYSTEM_PROJECT, projects.system_id(connection), SYSTEM)
                else:
                    number, record = projects.find(connection, scope, slug)
                    known = ProjectRef(number, record.id, slug)
            self._projects[slug] = known
        scope.require(permission)
        return known

    def _bootstrap(self) -> str:
        """The owner's id; an empty store gets its owner and the default project first."""
        with self._lock, self.store.read() as connection:
            owner = projects.principal_id(connection, OWNER)
        if owner is not None:
            return owner

        owner_id = new_id()

        def begin(draft: Draft) -> str:
            # another process may have been first
            there = draft.find_named("principal", OWNER)
            if there is not None:
                return there.record.id
            draft.create(
                "principal",
                lambda position: Principal(
                    id=owner_id, name=OWNER, kind="person", created_at=draft.time, position=position
                ),
            )
            create_project(draft, DEFAULT_PROJECT, "Where records go that name no project")
            return owner_id

        return self.writer.write(Change(SYSTEM_PROJECT, owner_id, "store.create", begin))


def default_trust(store: Store, store_id: str | None = None) -> Path:
    """Where keys and checkpoints lie if nobody says otherwise: beside a SQLite file, or in the user's data folder.

    Beside the file they guard against mistakes; against its owner they only help when kept elsewhere.

    Args:
        store: the store.
        store_id: its id, if it cannot be asked yet.
    """
    if store.path is not None:
        return store.path.with_name(store.path.name + "-trust")
    return data_folder() / "trust" / (store_id or _id(store))


def default_artifacts(store: Store, store_id: str | None = None) -> str:
    """Where bytes lie if nobody says otherwise: beside a SQLite file, or in the user's data folder."""
    if store.path is not None:
        return store.path.with_name(store.path.name + "-artifacts").as_uri()
    return (data_folder() / "artifacts" / (store_id or _id(store))).absolute().as_uri()


def _id(store: Store) -> str:
    with store.read() as connection:
        return projects.system_id(connection)


def data_folder() -> Path:
    """Where Muniment keeps what nobody gave a place: ``$MUNIMENT_HOME``, or a folder in the user's data directory."""
    home = os.environ.get("MUNIMENT_HOME")
    if home:
        return Path(home)
    base = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA") or "~/.local/share"
    return Path(base).expanduser() / "muniment"


def create_project(draft: Draft, slug: str, description: str | None) -> Project:
    """A new project with an empty history. Its number is that of its record in the system project."""
    held = draft.create(
        "project",
        lambda position: Project(
            id=new_id(), slug=slug, description=description, created_at=draft.time, position=position
        ),
    )
    draft.create_head(held.no)
    assert isinstance(held.record, Project)
    return held.record


def now() -> datetime:
    """The clock, in UTC."""
    return datetime.now(UTC)


def refuse_erased(lifecycle: str, what: str) -> None:
    """Check that a record still has content.

    Raises:
        Gone: it was erased.
    """
    if lifecycle == "erased":
        raise Gone(f"{what} was erased; only its place in the history is left")
