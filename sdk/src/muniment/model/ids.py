"""Identifiers: UUIDv7 as 32 hex digits inside, URNs outside."""

from __future__ import annotations

import os
import re
import threading
import time
from typing import Annotated
from urllib.parse import quote, unquote

import msgspec

from muniment.model.errors import InvalidInput

_HEX32 = re.compile(r"[0-9a-f]{32}\Z")
_VERSION_7 = 7 << 76
_VARIANT = 2 << 62

Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z", description="32 lower-case hex digits of a UUID")]
"""A record's id on the wire and in structs."""


class _Clock:
    """The last value handed out, so that ids made by one process ascend even within a millisecond."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may want an id while one is made
        self._last = 0

    def next(self) -> int:
        millis = time.time_ns() // 1_000_000
        entropy = int.from_bytes(os.urandom(10), "big")
        fresh = (millis << 80) | _VERSION_7 | ((entropy >> 62 & 0xFFF) << 64) | _VARIANT | (entropy & ((1 << 62) - 1))
        with self._lock:
            if fresh <= self._last:
                # the same millisecond (or a clock set back): step the random tail, which has 62 bits of room
                fresh = self._last + 1 + (entropy & 0xFFFF)
            self._last = fresh
        return fresh


_clock = _Clock()
os.register_at_fork(after_in_child=_clock.__init__)  # type: ignore[misc]  # another thread may have held its lock


def new_id() -> str:
    """A new UUIDv7 (RFC 9562) as 32 hex digits; ids of one process ascend."""
    return f"{_clock.next():032x}"


def parse_id(text: str, *, field: str = "id") -> str:
    """The id in its canonical spelling; dashes and upper case are accepted.

    Raises:
        InvalidInput: `text` is not a UUID.
    """
    plain = text.replace("-", "").lower()
    if not _HEX32.match(plain):
        raise InvalidInput(f"{field} must be a UUID of 32 hex digits, not {text[:64]!r}", field=field)
    return plain


def urn(project: str, kind: str, *key: str, version: str | int | None = None) -> str:
    """The name of a record for the world outside: ``urn:muniment:{project}:{kind}:{key}[@{version}]``."""
    path = "/".join(quote(part, safe="") for part in key)
    tail = "" if version is None else f"@{quote(str(version), safe='')}"
    return f"urn:muniment:{quote(project, safe='')}:{kind}:{path}{tail}"


class Urn(msgspec.Struct, frozen=True):
    """A parsed URN."""

    project: str
    kind: str
    key: tuple[str, ...]
    version: str | None = None


def parse_urn(text: str) -> Urn:
    """The parts of a URN made by `urn`.

    Raises:
        InvalidInput: `text` is not one.
    """
    parts = text.split(":")
    if len(parts) != 5 or parts[:2] != ["urn", "muniment"] or not parts[2] or not parts[3] or not parts[4]:
        raise InvalidInput(f"a URN reads urn:muniment:PROJECT:KIND:KEY[@VERSION], not {text[:120]!r}")
    path, _, version = parts[4].partition("@")
    key = tuple(unquote(part) for part in path.split("/"))
    return Urn(unquote(parts[2]), parts[3], key, unquote(version) if version else None)
