"""What a write sees: the records as they are, with what waits to be written before them and what it changes itself."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from muniment_server.store import belongings, current
from muniment_server.store.belongings import Content, Waiting
from muniment_server.store.held import Held, is_active
from muniment_server.store.kinds import KINDS, Key, name_of
from muniment_server.store.transaction import Transaction


class Lookup:
    """Finds records for a write. Finds what a `Reader` finds, by the same names, and newer."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.project_id = transaction.head.project_id
        self.held: dict[str, Held] = {}
        self.names: dict[tuple[str, Key], str] = {}
        self._youngest: dict[tuple[str, str], str] = {}
        self._stirred: set[tuple[str, str]] = set()
        self._numbers: dict[tuple[str, str], int] = {}
        self._contents: dict[tuple[str, str], str] = {}
        self._belongings = Waiting()

    @property
    def connection(self) -> sa.Connection:
        """Reads under the lock of the project's head."""
        return self.transaction.connection

    @property
    def old(self) -> int:
        """The greatest number of a record that was there before this transaction."""
        return self.transaction.before.records

    @property
    def slug(self) -> str:
        """The project's slug."""
        return current.slug_of(self.connection, self.project_id)

    def find(self, kind: str, record_id: str) -> Held | None:
        """The current record with this id, this draft's own changes included."""
        found = self._at_hand(record_id)
        if found is None and ("id", record_id) not in self.transaction.absent:
            found = current.by_id(self.connection, self.project_id, kind, record_id)
            if found is not None:
                self.transaction.read(found)
        return found if found is not None and isinstance(found.record, KINDS[kind].struct) else None

    def _at_hand(self, record_id: str) -> Held | None:
        """The current record with this id, if it is known without asking the database."""
        waiting = self.held.get(record_id) or self.transaction.held.get(record_id)
        return waiting or self.transaction.memory.get(record_id)

    def find_named(self, kind: str, *name: Any) -> Held | None:
        """The current record with this key."""
        for names in (self.names, self.transaction.names):
            record_id = names.get((kind, name))
            found = None if record_id is None else self.find(kind, record_id)
            if found is not None and name_of(found.record) == (kind, name):  # it may have been renamed since
                return found
        if (kind, name) in self.transaction.absent:
            return None
        found = self.transaction.memory.named(kind, name) or current.by_name(
            self.connection, self.project_id, kind, name
        )
        if found is None:
            return None
        newest = self.find(kind, found.record.id)  # it may have been renamed by a write of this very group
        return newest if newest is not None and name_of(newest.record) == (kind, name) else None

    def find_any(self, record_id: str) -> Held | None:
        """The current record with this id, of whatever kind."""
        found = self._at_hand(record_id)
        if found is not None or ("id", record_id) in self.transaction.absent:
            return found
        kind = current.kind_of_id(self.connection, self.project_id, record_id)
        return None if kind is None else self.find(kind, record_id)

    def was_erased(self, record_id: str) -> bool:
        """Never: what is erased is found, and says so."""
        del record_id
        return False

    def belonging(self, family: str, held: Held, name: str) -> Any:
        """What a name of a record has now: the id of a record or a document; None is nothing."""
        found = self.content(family, held, name)
        return None if found is None else found.said

    def content(self, family: str, held: Held, name: str) -> Content | None:
        """What a name of a record has now, as it is stored too."""
        key = (family, held.no, name)
        for waiting in (self._belongings, self.transaction.belongings):
            if key in waiting.changed:
                return waiting.changed[key][0]
        known = held.no <= self.old
        return belongings.find(self.connection, self.project_id, family, held.no, name) if known else None

    def find_alias(self, held: Held, name: str) -> Held | None:
        """The record that an alias of another means now."""
        target = self.belonging("aliases", held, name)
        return None if target is None else self.find_any(target)

    def find_called(self, name: str) -> Held | None:
        """The record that another system's name means now."""
        found = self._belongings.called(name) or self.transaction.belongings.called(name)
        if found is None and ("called", name) not in self.transaction.absent:
            found = self.transaction.called.get(name) or belongings.record_called(
                self.connection, self.project_id, name
            )
        held = None if found is None else self.find_any(found)
        if held is None:
            return None
        for waiting in (self._belongings, self.transaction.belongings):  # it may have been taken since
            if ("names", held.no, name) in waiting.changed:
                return held if waiting.changed["names", held.no, name][0] is not None else None
        return held

    def latest(self, kind: str, owner: str) -> Held | None:
        """The youngest record of a kind that belongs to another, such as a model's latest version."""
        if (kind, owner) in self._stirred or (kind, owner) in self.transaction.stirred:
            return self._latest_of_stirred(kind, owner)
        for waiting in (self._youngest, self.transaction.youngest):
            if (kind, owner) in waiting:
                return self.find(kind, waiting[kind, owner])
        found = current.latest_id(self.connection, self.project_id, kind, owner)
        return None if found is None else self.find(kind, found)

    def _latest_of_stirred(self, kind: str, owner: str) -> Held | None:
        """The same where the database does not know yet which of them are deleted."""
        at_hand = {
            held.record.id: held
            for held in (*self.transaction.held.values(), *self.held.values())
            if isinstance(held.record, KINDS[kind].struct) and getattr(held.record, KINDS[kind].owner) == owner
        }
        there = current.latest_id(self.connection, self.project_id, kind, owner, without=at_hand)
        known = [*at_hand.values(), *(held for held in [there and self.find(kind, there)] if held)]
        return max((held for held in known if is_active(held)), key=lambda held: held.no, default=None)

    def find_digest(self, dataset: str, digest: str) -> Held | None:
        """The oldest version of a dataset that has this digest."""
        found = (
            current.id_of_digest(self.connection, self.project_id, dataset, digest)
            or self.transaction.contents.get((dataset, digest))
            or self._contents.get((dataset, digest))
        )
        return None if found is None else self.find("dataset_version", found)

    def last_number(self, kind: str, owner: str) -> int:
        """The greatest version number that a record has; where versions are texts, how many it has."""
        for waiting in (self._numbers, self.transaction.numbers):
            if (kind, owner) in waiting:
                return waiting[kind, owner]
        found = current.last_number(self.connection, self.project_id, kind, owner)
        self._numbers[kind, owner] = found
        return found

    def params(self, held: Held) -> dict[str, str]:
        """Every param of a run."""
        held = self._newest(held)
        if held.params is None:
            held = msgspec.structs.replace(held, params=current.params_of(self.connection, self.project_id, held.no))
            self.held[held.record.id] = held
        assert held.params is not None
        return held.params

    def tags(self, held: Held) -> dict[str, str]:
        """Every current tag of a record."""
        held = self._newest(held)
        if held.tags is None:
            held = msgspec.structs.replace(held, tags=current.tags_of(self.connection, self.project_id, held.no))
            self.held[held.record.id] = held
        assert held.tags is not None
        return held.tags

    def _newest(self, held: Held) -> Held:
        record_id = held.record.id
        return self.held.get(record_id) or self.transaction.held.get(record_id) or held
