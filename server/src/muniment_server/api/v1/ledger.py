"""History: the change feed, revisions, entries, seals and proofs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec

from muniment.model.ledger import Changes, ConsistencyProof, Entry, InclusionProof, Revision, Seal, Verification
from muniment_server.api.routing import Call, Route, Stream
from muniment_server.policy.access import Permission
from muniment_server.services import ledger, verify

_PROJECT = "/v1/projects/{project}"
WAIT_LIMIT = 60.0
"""Seconds that a long poll may wait."""
_HEARTBEAT = 15.0
_Limit = Annotated[int, msgspec.Meta(ge=1, le=ledger.PAGE)]
_Position = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ChangesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where to go on, and how long to wait for news."""

    after: str = "0"
    limit: _Limit = ledger.PAGE
    wait: Annotated[float, msgspec.Meta(ge=0, le=WAIT_LIMIT)] = 0.0


class StreamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where to go on."""

    after: str = "0"


class Paging(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Entries after a position or seal number."""

    after: _Position = 0
    limit: _Limit = ledger.PAGE


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Revisions after a position, up to a moment."""

    after: _Position = 0
    limit: _Limit = ledger.PAGE
    as_of: str | None = None


class ConsistencyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two sizes of the history; the second is the latest sealed one if left out."""

    first: int
    second: int | None = None


class EntryList(msgspec.Struct, frozen=True):
    """Entries in order."""

    entries: list[Entry]


class RevisionList(msgspec.Struct, frozen=True):
    """Revisions of one record, oldest first."""

    revisions: list[Revision]


class SealList(msgspec.Struct, frozen=True):
    """Seals in order."""

    seals: list[Seal]


async def get_changes(call: Call) -> Changes:
    """A page of the change feed: everything after a cursor, in order. With `wait`, waits for news if there is none."""
    query: ChangesQuery = call.query
    page = await asyncio.to_thread(_page, call, query.after, query.limit)
    if page.changes or query.wait == 0:
        return page
    ref = call.workspace.project(call.scope, call.project, Permission.READ)
    await call.workspace.feed.beyond(ref.no, page.position, query.wait)
    return await asyncio.to_thread(_page, call, query.after, query.limit)


def _page(call: Call, after: str, limit: int) -> Changes:
    return ledger.changes(call.workspace, call.scope, call.project, after=after, limit=limit)


async def stream_changes(call: Call) -> Stream:
    """The change feed as server-sent events. An event's id is its cursor: reconnect with `after`, nothing is lost."""
    first = await asyncio.to_thread(_page, call, call.query.after, ledger.PAGE)
    return Stream(_events(call, first))


async def _events(call: Call, page: Changes) -> AsyncIterator[bytes]:
    ref = call.workspace.project(call.scope, call.project, Permission.READ)
    quiet_since = time.monotonic()
    while not call.workspace.feed.closed:
        for change in page.changes:
            yield b"id: %s\nevent: %s\ndata: %s\n\n" % (
                change.id.encode(), change.type.encode(), msgspec.json.encode(change)
            )  # fmt: skip
            quiet_since = time.monotonic()
        if not page.changes:
            await call.workspace.feed.beyond(ref.no, page.position, 1.0)
        if time.monotonic() - quiet_since > _HEARTBEAT:
            yield b": still here\n\n"
            quiet_since = time.monotonic()
        page = await asyncio.to_thread(_page, call, page.next, ledger.PAGE)


async def list_entries(call: Call) -> EntryList:
    """The ledger's entries with their leaves, without content."""
    query: Paging = call.query
    return EntryList(
        await asyncio.to_thread(
            ledger.entries, call.workspace, call.scope, call.project, after=query.after, limit=query.limit
        )
    )


async def get_history(call: Call) -> RevisionList:
    """What happened to one record, oldest first, with the record after each change."""
    query: HistoryQuery = call.query
    return RevisionList(
        await asyncio.to_thread(
            ledger.history, call.workspace, call.scope, call.project, call.path["record"],
            after=query.after, limit=query.limit, as_of=query.as_of,
        )
    )  # fmt: skip


async def get_inclusion_proof(call: Call) -> InclusionProof:
    """The proof that an entry is under the latest seal; the client checks it by itself."""
    text = call.path["position"]
    position = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    return await asyncio.to_thread(ledger.inclusion, call.workspace, call.scope, call.project, position)


async def get_consistency_proof(call: Call) -> ConsistencyProof:
    """The proof that an earlier history is the beginning of a later one."""
    query: ConsistencyQuery = call.query
    return await asyncio.to_thread(
        ledger.consistency, call.workspace, call.scope, call.project, query.first, query.second
    )


async def list_seals(call: Call) -> SealList:
    """The seals of a project."""
    query: Paging = call.query
    return SealList(
        await asyncio.to_thread(
            ledger.seals, call.workspace, call.scope, call.project, after=query.after, limit=query.limit
        )
    )


async def verify_project(call: Call) -> Verification:
    """Check a project's whole history against its seals, and its records against its history."""
    return await asyncio.to_thread(verify.project, call.workspace, call.scope, call.project)


ROUTES = [
    Route(
        method="GET", path=f"{_PROJECT}/changes", handler=get_changes, permission=Permission.READ,
        query=ChangesQuery, answer=Changes,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/changes/stream", handler=stream_changes, permission=Permission.READ,
        query=StreamQuery, answer=str, media="text/event-stream",
    ),
    Route(
        method="GET", path=f"{_PROJECT}/records/{{record}}/history", handler=get_history, permission=Permission.READ,
        query=HistoryQuery, answer=RevisionList,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/ledger", handler=list_entries, permission=Permission.READ, query=Paging,
        answer=EntryList,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/ledger/{{position}}/proof", handler=get_inclusion_proof,
        permission=Permission.READ, answer=InclusionProof,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/consistency", handler=get_consistency_proof, permission=Permission.READ,
        query=ConsistencyQuery, answer=ConsistencyProof,
    ),
    Route(
        method="GET", path=f"{_PROJECT}/seals", handler=list_seals, permission=Permission.READ, query=Paging,
        answer=SealList,
    ),
    Route(
        method="POST", path=f"{_PROJECT}/verify", handler=verify_project, permission=Permission.READ,
        answer=Verification,
    ),
]  # fmt: skip
