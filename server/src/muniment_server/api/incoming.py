"""Reading a request's body: whole and decompressed, or piece by piece."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from muniment.model.errors import InvalidInput, TooLarge, Unavailable

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of a request's body, after decompression; artifacts have no limit."""
BODY_SECONDS = 60.0
"""Seconds in which a body must have arrived, or the next piece of an artifact."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


def _length(headers: dict[str, str]) -> int | None:
    length = headers.get("content-length")
    if length is None:
        return None
    if not length.isascii() or not length.isdigit() or len(length) > 18:
        raise InvalidInput(f"Content-Length {length[:40]!r} is no number", field="Content-Length")
    return int(length)


async def chunks_of(receive: Receive, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """A request's body as it comes.

    Raises:
        InvalidInput: it ended early, or is compressed, which would make its digest that of something else.
        Unavailable: its next piece took too long.
    """
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise InvalidInput(
            "the bytes of an artifact are kept as they are: send no Content-Encoding", field="Content-Encoding"
        )
    length, size = _length(headers), 0
    while True:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await receive()
        except TimeoutError:
            raise Unavailable(f"nothing more of the body came for {BODY_SECONDS:.0f} seconds; try again") from None
        if message["type"] == "http.disconnect":
            raise InvalidInput(
                f"the connection closed after {size:,} bytes, before the body was complete", field="body"
            )
        part = message.get("body", b"")
        size += len(part)
        if part:
            yield part
        if not message.get("more_body"):
            break
    if length is not None and size != length:
        raise InvalidInput(f"the body has {size:,} bytes, and Content-Length says {length:,}", field="body")


async def body_of(receive: Receive, headers: dict[str, str]) -> bytes:
    """A request's whole body, decompressed.

    Raises:
        InvalidInput: it ended early, or is compressed in a way that is not known.
        TooLarge: it is.
        Unavailable: it took too long.
    """
    length = _length(headers) or 0
    if length > BODY_LIMIT:
        raise TooLarge(f"the body has {length:,} bytes; the limit is {BODY_LIMIT:,}: send several", field="body")
    coding = headers.get("content-encoding", "identity").lower()
    if coding not in {"identity", "gzip"}:
        raise InvalidInput(f"Content-Encoding {coding[:40]!r} is not known; use gzip or none", field="Content-Encoding")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await _read(receive)
    except TimeoutError:
        raise Unavailable(f"the body did not arrive within {BODY_SECONDS:.0f} seconds; try again") from None
    return _inflate(raw) if coding == "gzip" else raw


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the connection closed before the body was complete", field="body")
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_LIMIT:
            raise TooLarge(f"the body has more than {BODY_LIMIT:,} bytes: send several", field="body")
        if not message.get("more_body"):
            return part if not parts else b"".join((*parts, part))
        parts.append(part)


def _inflate(raw: bytes) -> bytes:
    """Decompress, but never more than a body may hold."""
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        made = unzip.decompress(raw, BODY_LIMIT + 1)
    except zlib.error as error:
        raise InvalidInput(f"the body is not gzip: {error}", field="body") from None
    if len(made) > BODY_LIMIT:
        raise TooLarge(f"the body has more than {BODY_LIMIT:,} bytes once decompressed: send several", field="body")
    if not unzip.eof or unzip.unused_data:
        raise InvalidInput("the gzip body is cut short, or something follows it", field="body")
    return made
