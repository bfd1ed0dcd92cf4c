"""What the writer holds in memory of a project, and when it may believe it.

A process that wrote the latest entry of a project knows everything that followed what it read, so it may go on
without reading. The head's position tells: if it is not the one this process left, somebody else wrote, and what may
have changed is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from muniment_server.store.heads import Head
from muniment_server.store.kinds import Key, Record, name_of

HELD_LIMIT = 4_096
"""Records held per project."""
DOUBT_LIMIT = 64
"""Writes to a project that others write too, before it is tried again whether they still do."""
_WEIGHT_LIMIT = 262_144
"""Characters of params and tags beyond which those of a run are not held."""


Frontier = tuple[int, int]
"""A step and a timestamp in epoch milliseconds."""
BEFORE_ALL: Frontier = (-(2**63) - 1, -1)
"""The frontier of a run without points."""


class Held(msgspec.Struct, frozen=True):
    """A current record with its number and salt; `params` and `tags` are None until somebody asked for them.

    `frontier` is the greatest step and the greatest timestamp of a run's points, if they are known: points beyond it
    cannot have been recorded before.
    """

    no: int
    salt: bytes
    record: Record
    params: dict[str, str] | None = None
    tags: dict[str, str] | None = None
    frontier: Frontier | None = None


def is_active(held: Held) -> bool:
    """Whether a record is neither deleted nor erased."""
    return getattr(held.record, "lifecycle", "active") == "active"


class Memory:
    """What one process holds of one project. Used under the project's head lock, or if that proves it right later."""

    def __init__(self) -> None:
        self.head: Head | None = None
        """Where this process left the head; None if somebody else is known to write too."""
        self._doubt = self._doubted = 0
        self.keys: dict[str, int] = {}
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._names: dict[tuple[str, Key], str] = {}

    def trusts(self) -> bool:
        """Whether the head may be taken to be where this process left it; asked before each lone write."""
        if self._doubt:
            self._doubt -= 1
            return False
        return self.head is not None

    def disproved(self) -> None:
        """Somebody else wrote: look first for the next writes, twice as many each time that this happens in a row."""
        self.head = None
        self._doubted = min(2 * self._doubted or 1, DOUBT_LIMIT)
        self._doubt = self._doubted

    def proved(self) -> None:
        """The head was where it was taken to be."""
        self._doubted = 0

    def believe(self, head: Head) -> None:
        """Forget what may have changed, unless the head stands where this process left it."""
        if self.head is None or head.position != self.head.position:
            self._held.clear()
            self._names.clear()
        self.head = head

    def get(self, record_id: str) -> Held | None:
        """The record, if it is held."""
        found = self._held.get(record_id)
        if found is not None:
            self._held.move_to_end(record_id)
        return found

    def named(self, kind: str, name: Key) -> Held | None:
        """The record that carries a unique name, if it is held."""
        record_id = self._names.get((kind, name))
        found = None if record_id is None else self.get(record_id)
        return found if found is not None and name_of(found.record) == (kind, name) else None

    def hold(self, held: Held) -> None:
        """Remember a record as committed."""
        if _weight(held) > _WEIGHT_LIMIT:
            held = msgspec.structs.replace(held, params=None, tags=None)
        self._held[held.record.id] = held
        self._held.move_to_end(held.record.id)
        name = name_of(held.record)
        if name is not None:
            if len(self._names) > 2 * HELD_LIMIT:
                self._names.clear()
            self._names[name] = held.record.id
        while len(self._held) > HELD_LIMIT:
            self._held.popitem(last=False)


def _weight(held: Held) -> int:
    return sum(len(key) + len(value) for items in (held.params, held.tags) if items for key, value in items.items())
