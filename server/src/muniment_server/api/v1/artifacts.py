"""Artifacts: bytes in and out, and who refers to them."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from muniment.model.artifact import (
    Artifact,
    ArtifactData,
    Attach,
    Attached,
    Attachments,
    Collect,
    Collected,
    check_path,
)
from muniment_server.api.ranges import answer
from muniment_server.api.routing import Call, Incoming, Outgoing, Route
from muniment_server.api.v1.experiments import AsOf
from muniment_server.policy.access import Permission
from muniment_server.services import artifacts

_ALL = "/v1/projects/{project}/artifacts"
_ONE = f"{_ALL}/{{digest}}"
_OF = "/v1/projects/{project}/records/{record}/artifacts"
_AT = f"{_OF}/{{path:path}}"


class UploadQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the bytes must be."""

    digest: str | None = None
    """Their SHA-256; other bytes are refused."""


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which paths."""

    prefix: str = ""
    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=artifacts.PAGE)] = artifacts.PAGE
    as_of: str | None = None


async def _received(call: Call) -> artifacts.Received:
    return await artifacts.receive(
        call.workspace, call.scope, call.project, call.body.chunks,
        digest=call.query.digest, media_type=call.body.media,
    )  # fmt: skip


async def upload_artifact(call: Call) -> Artifact:
    """Upload bytes; those that are there already are answered as they are."""
    return await artifacts.keep(call.workspace, call.scope, call.project, await _received(call))


async def get_artifact(call: Call) -> ArtifactData:
    """An artifact and who refers to it, now or as of the past."""
    return await asyncio.to_thread(
        artifacts.get, call.workspace, call.scope, call.project, call.path["digest"], call.query.as_of
    )


async def get_artifact_content(call: Call) -> Outgoing:
    """The bytes of an artifact, or a range of them."""
    found = await asyncio.to_thread(artifacts.by_digest, call.workspace, call.scope, call.project, call.path["digest"])
    return answer(call.workspace, found, call.headers, found.digest.removeprefix("sha256:"))


async def put_record_artifact(call: Call) -> Attached:
    """Upload bytes as an artifact of a record, under a path."""
    path = check_path(call.path["path"])
    # before the bytes are taken in, so that what must be refused is refused early
    await asyncio.to_thread(artifacts.check_holder, call.workspace, call.scope, call.project, call.path["record"])
    return await artifacts.keep_at(
        call.workspace, call.scope, call.project, call.path["record"], path, await _received(call)
    )


async def attach_artifact(call: Call) -> Attached:
    """Give a record an artifact whose bytes are there already."""
    return await call.commit(
        artifacts.attach(call.workspace, call.scope, call.project, call.path["record"], call.body, call.receipt)
    )


async def detach_artifact(call: Call) -> Attached:
    """Take an artifact away from a record; the past keeps it, and once nothing refers to it, it may be collected."""
    return await call.commit(
        artifacts.detach(call.workspace, call.scope, call.project, call.path["record"], call.path["path"], call.receipt)
    )


async def list_record_artifacts(call: Call) -> Attachments:
    """A page of a record's artifacts by path, now or as of the past."""
    query: ListQuery = call.query
    return await asyncio.to_thread(
        artifacts.of_record, call.workspace, call.scope, call.project, call.path["record"],
        prefix=query.prefix, after=query.after, limit=query.limit, as_of=query.as_of,
    )  # fmt: skip


async def get_record_artifact(call: Call) -> Outgoing:
    """The bytes that a record has at a path, or a range of them, now or as of the past."""
    path = call.path["path"]
    found = await asyncio.to_thread(
        artifacts.at_path, call.workspace, call.scope, call.project, call.path["record"], path, call.query.as_of
    )
    return answer(call.workspace, found, call.headers, path.rpartition("/")[2])


async def collect_artifacts(call: Call) -> Collected:
    """Delete the bytes of artifacts that nothing refers to, and of uploads that never ended."""
    return await artifacts.collect(call.workspace, call.scope, call.project, call.body)


_BYTES = "application/octet-stream"
ROUTES = [
    Route(
        method="POST", path=_ALL, handler=upload_artifact, permission=Permission.WRITE, body=Incoming,
        query=UploadQuery, answer=Artifact, status=201,
    ),
    Route(
        method="POST", path=f"{_ALL}/collect", handler=collect_artifacts, permission=Permission.ADMIN, body=Collect,
        answer=Collected,
    ),
    Route(method="GET", path=_ONE, handler=get_artifact, permission=Permission.READ, query=AsOf, answer=ArtifactData),
    Route(
        method="GET", path=f"{_ONE}/content", handler=get_artifact_content, permission=Permission.READ,
        answer=bytes, media=_BYTES,
    ),
    Route(
        method="GET", path=_OF, handler=list_record_artifacts, permission=Permission.READ, query=ListQuery,
        answer=Attachments,
    ),
    Route(method="POST", path=_OF, handler=attach_artifact, permission=Permission.WRITE, body=Attach, answer=Attached),
    Route(
        method="PUT", path=_AT, handler=put_record_artifact, permission=Permission.WRITE, body=Incoming,
        query=UploadQuery, answer=Attached,
    ),
    Route(
        method="GET", path=_AT, handler=get_record_artifact, permission=Permission.READ, query=AsOf, answer=bytes,
        media=_BYTES,
    ),
    Route(method="DELETE", path=_AT, handler=detach_artifact, permission=Permission.WRITE, answer=Attached),
]  # fmt: skip
