"""Answering with bytes: whole, a range of them, or not at all if the client has them (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from muniment.model.artifact import Artifact
from muniment.model.errors import UnsatisfiableRange
from muniment_server.api.routing import Outgoing
from muniment_server.services import artifacts
from muniment_server.services.workspace import Workspace

_TOKEN = re.compile(r"[\w!#$&+.^`|~-]+\Z", re.ASCII)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


def answer(
    workspace: Workspace, artifact: Artifact, headers: dict[str, str], name: str, media: str | None = None
) -> Outgoing:
    """The bytes that a request asks for.

    A browser never shows what somebody uploaded as a page of this server: it is told to save it.

    Args:
        workspace: the store.
        artifact: which bytes.
        headers: of the request.
        name: what the file is saved as.
        media: what it is, if that is not what was said when the bytes came.

    Raises:
        UnsatisfiableRange: there are no such bytes.
    """
    tag = f'"{artifact.digest}"'
    common = {
        "etag": tag,
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-security-policy": "sandbox; default-src 'none'",
        "content-disposition": f"attachment; {_filename(name)}",
    }
    if tag in (given.strip() for given in headers.get("if-none-match", "").split(",")):
        return Outgoing(_nothing(), 304, common)
    first, length = range_of(headers, tag, artifact.size)
    status = 200 if length == artifact.size else 206
    common["content-type"] = media or artifact.media_type or "application/octet-stream"
    common["content-length"] = str(length)
    if status == 206:
        common["content-range"] = f"bytes {first}-{first + length - 1}/{artifact.size}"
    return Outgoing(artifacts.content(workspace, artifact, first, length), status, common)


def _filename(name: str) -> str:
    return f"filename={name}" if _TOKEN.match(name) else f"filename*=UTF-8''{quote(name, safe='')}"


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for chunk in empty:
        yield chunk


def range_of(headers: dict[str, str], tag: str, size: int) -> tuple[int, int]:
    """(first, length) of the bytes that are asked for: all of them unless one range is given that can be understood.

    Raises:
        UnsatisfiableRange: the range lies beyond the end.
    """
    found = _RANGE.match(headers.get("range", "").replace(" ", ""))
    if found is None or found[0] == "bytes=-" or headers.get("if-range", tag) != tag:
        return 0, size
    if not found[1]:
        length = min(int(found[2]), size)
        first = size - length
    else:
        first = int(found[1])
        last = min(int(found[2]), size - 1) if found[2] else size - 1
        if found[2] and int(found[2]) < first:
            return 0, size
        length = last - first + 1
    if first >= size or length <= 0:
        raise UnsatisfiableRange(
            f"the artifact has {size:,} bytes, so there is no range {headers['range'][:60]}", field="Range"
        )
    return first, length
