"""The ledger: numbered entries, their leaves, seals over them, and proofs.

See ``5-contract`` in the documentation ("the contract of a position"). Everything here can be recomputed with a
SHA-256 and a JSON library; nothing depends on the store.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from muniment.model.canonical import canonical
from muniment.model.ids import Id

EntryKind = Literal["commands", "points"]


def instant(micros: int) -> str:
    """Epoch microseconds as RFC 3339 in UTC with six decimals: the spelling of times in leaves."""
    seconds, rest = divmod(micros, 1_000_000)
    day = datetime.fromtimestamp(seconds, tz=UTC)
    return f"{day:%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def leaf_hash(position: int, micros: int, actor: str, action: str, payload: bytes) -> bytes:
    """``sha256(0x00 ‖ JCS{position, time, actor, action, payload})``, 32 bytes.

    Args:
        position: the entry's number in its project, from 1.
        micros: commit time, epoch microseconds.
        actor: the acting principal's id.
        action: what was done, dotted lower-case ASCII.
        payload: the 32-byte salted hash of the entry's payload.
    """
    # every value is plain ASCII without a character that JSON escapes, so the canonical form can be written down
    body = (
        f'{{"action":"{action}","actor":"{actor}","payload":"{payload.hex()}",'
        f'"position":{position},"time":"{instant(micros)}"}}'
    )
    return hashlib.sha256(b"\x00" + body.encode()).digest()


def derived_salt(record_salt: bytes, position: int) -> bytes:
    """The salt of what an entry says about one record: ``HMAC-SHA256(record's salt, position)``, 32 bytes.

    Erasing a record erases one salt, and with it every hash ever taken of its content.
    """
    return hmac.digest(record_salt, position.to_bytes(8, "big"), "sha256")


def points_payload(run: str, count: int, digest: bytes) -> bytes:
    """The canonical payload of a points entry."""
    return f'{{"digest":"{digest.hex()}","points":{count},"run":"{run}"}}'.encode()


def commands_payload(revisions: list[tuple[str, str, bytes]]) -> bytes:
    """The canonical payload of a commands entry: each revision's kind, record id and salted hash, in order."""
    return canonical({"revisions": [[kind, record, digest.hex()] for kind, record, digest in revisions]})


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a project's ledger, without its content."""

    position: int
    time: datetime
    actor: Id
    action: str
    kind: EntryKind
    payload_hash: str
    leaf: str


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """What one entry said of one record: the record after the change."""

    position: int
    time: datetime
    actor: Id
    action: str
    kind: str
    record: Id
    body: dict[str, Any] | None
    """None when it was erased."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the change feed, in a CloudEvents 1.0 envelope."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    datacontenttype: str
    data: ChangeData


class ChangeData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an entry changed."""

    position: int
    actor: Id
    revisions: list[RevisionBody] = []
    points: PointsChange | None = None


class RevisionBody(msgspec.Struct, frozen=True, kw_only=True):
    """One changed record."""

    kind: str
    record: Id
    body: dict[str, Any] | None


class PointsChange(msgspec.Struct, frozen=True, kw_only=True):
    """Points that came to a run; read them from the series itself."""

    run: Id
    count: int


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the change feed."""

    changes: list[Change]
    next: str
    """Pass as ``after`` to go on from here."""
    position: int
    """The project's latest position when the page was read."""


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """A signed statement that a project's first `size` entries have the Merkle root `root`.

    Seals of all projects form one chain: `previous` is the `hash` of seal `number` − 1.
    """

    number: int
    time: datetime
    project: Id
    size: int
    root: str
    previous: str
    hash: str
    key: str
    """The signing key's id: the first 16 hex digits of the SHA-256 of the public key."""
    signature: str
    """Ed25519 over the 32 bytes of `hash`, in hex."""


def seal_hash(number: int, micros: int, project: str, size: int, root: str, previous: str) -> bytes:
    """The 32 bytes that a seal's signature covers."""
    body = canonical(
        {
            "number": number,
            "previous": previous,
            "project": project,
            "root": root,
            "size": size,
            "time": instant(micros),
        }
    )
    return hashlib.sha256(b"muniment seal 1\n" + body).digest()


class InclusionProof(msgspec.Struct, frozen=True, kw_only=True):
    """That an entry is in the tree that a seal signed. Check it with `muniment.model.merkle.verify_inclusion`."""

    position: int
    leaf: str
    path: list[str]
    seal: Seal


class ConsistencyProof(msgspec.Struct, frozen=True, kw_only=True):
    """That the tree of `first` entries is a prefix of the tree of `second`."""

    first: int
    first_root: str
    second: int
    second_root: str
    path: list[str]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that `verify` found wrong."""

    project: str
    position: int | None
    """The first position that is wrong, as exactly as it can be told."""
    where: str
    """The table that disagrees with the history."""
    problem: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of `verify`."""

    ok: bool
    projects: int
    entries: int
    points: int
    records: int
    seals: int
    sealed: int
    """Entries under a seal."""
    published: int
    """Entries under a seal that was also found in the checkpoints kept outside the database."""
    artifacts: int | None = None
    """Artifacts whose bytes were read and compared with their digest; None if that was not asked for."""
    findings: list[Finding] = []
