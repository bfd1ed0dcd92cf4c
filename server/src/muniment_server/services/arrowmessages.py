"""The messages of an Arrow IPC stream, taken apart and looked into before pyarrow reads a byte of them.

What a sender declares is believed only within limits: how long a message is, how many rows it speaks of, how many
buffers. Compressed buffers are refused here, because a few kilobytes of them may stand for gigabytes. The layout is
that of https://arrow.apache.org/docs/format/Columnar.html, of which the fields below are read.
"""

from __future__ import annotations

import io
import struct
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from muniment.model.errors import InvalidInput, TooLarge

MESSAGE_LIMIT = 64 * 1024 * 1024
"""Bytes of one message."""
METADATA_LIMIT = 1024 * 1024
"""Bytes of a message's description of itself."""
ROWS_LIMIT = 200_000
"""Rows in one record batch; of points, as many as a request may have."""
DICTIONARIES_LIMIT = 16 * 1024 * 1024
"""Bytes of all dictionaries that are valid at a time."""
ENTRIES_LIMIT = 1_000_000
"""Entries of one dictionary."""

SCHEMA, DICTIONARY, BATCH = 1, 2, 3
_V5 = 4
_CONTINUED = b"\xff\xff\xff\xff"


class Message(msgspec.Struct, frozen=True):
    """One message.

    Attributes:
        kind: `SCHEMA`, `DICTIONARY` or `BATCH`.
        parts: its bytes, cut as pyarrow asks for them.
    """

    kind: int
    parts: tuple[bytes, ...]


class Feed(io.RawIOBase):
    """A file that holds the messages put into it, and nothing after them."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: deque[bytes] = deque()

    def put(self, message: Message) -> None:
        """Let a message be read."""
        self._parts.extend(message.parts)

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes; fewer if no more were put in."""
        made: list[bytes] = []
        while self._parts and size:
            part = self._parts.popleft()
            if 0 <= size < len(part):
                self._parts.appendleft(part[size:])
                part = part[:size]
            made.append(part)
            size -= len(part)
        return made[0] if len(made) == 1 else b"".join(made)


async def messages(chunks: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """The messages of a stream, each whole and within the limits.

    Raises:
        InvalidInput: the stream is none, is cut short, or holds what is not taken.
        TooLarge: a limit is exceeded.
    """
    source, seen, dictionaries = _Source(chunks), 0, dict[int, int]()
    while (start := await source.some(8)) and start != _CONTINUED + bytes(4):
        if start[:4] != _CONTINUED:
            raise InvalidInput(
                _begins(start) if not seen else _broken("a message begins with other bytes"), field="body"
            )
        size = int.from_bytes(start[4:], "little", signed=True) if len(start) == 8 else 0
        if not 0 < size <= METADATA_LIMIT or size % 8:
            raise _lost(source) if len(start) < 8 else _odd_size(size)
        metadata = await source.exactly(size)
        kind, header, length = _message(metadata)
        if (kind == SCHEMA) != (not seen):
            raise InvalidInput(_broken("a stream has one schema, and it comes first"), field="body")
        if kind != SCHEMA:
            _check_data(header, kind, length, dictionaries)
        seen += 1
        body = await source.exactly(length)
        yield Message(kind, (start[:4], start[4:], metadata, body) if body else (start[:4], start[4:], metadata))
    if not seen:
        raise InvalidInput("the body is empty; an Arrow stream begins with a schema", field="body")
    if start and await source.some(1):
        raise InvalidInput("something follows the end of the Arrow stream; send one stream at a time", field="body")


class _Source:
    """Bytes that come in pieces, in the sizes that they are asked for."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""
        self.taken = 0

    async def some(self, size: int) -> bytes:
        """So many bytes, fewer at the end."""
        parts: list[bytes] = []
        missing = size
        while missing:
            if not self._held:
                self._held = await anext(self._chunks, b"")
                if not self._held:
                    break
            part, self._held = self._held[:missing], self._held[missing:]
            parts.append(part)
            missing -= len(part)
        self.taken += size - missing
        return b"".join(parts)

    async def exactly(self, size: int) -> bytes:
        """So many bytes."""
        made = await self.some(size)
        if len(made) < size:
            raise _lost(self)
        return made


def _lost(source: _Source) -> InvalidInput:
    return InvalidInput(f"the Arrow stream ends after {source.taken:,} bytes, within a message", field="body")


def _broken(what: str) -> str:
    return f"this is no Arrow stream that can be read: {what}"


def _begins(start: bytes) -> str:
    if start.startswith(b"ARROW1"):
        return "this is an Arrow file; send a stream, as pyarrow.ipc.new_stream writes it"
    return "this is no Arrow stream of format 1.0 or later: it begins with other bytes"


def _odd_size(size: int) -> InvalidInput:
    if size > METADATA_LIMIT:
        return TooLarge(
            f"the description of a message has {size:,} bytes; the limit is {METADATA_LIMIT:,}: send fewer columns",
            field="body",
        )
    return InvalidInput(_broken(f"the description of a message has {size} bytes"), field="body")


class _Table:
    """A table of a flatbuffer: fields by slot, none outside the buffer."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self._slots = at - self._number("<i", at)
        self._count = (self._number("<H", self._slots) - 4) // 2

    def _number(self, form: str, at: int) -> int:
        if not 0 <= at <= len(self.data) - struct.calcsize(form):
            raise InvalidInput(_broken("the description of a message points outside itself"), field="body")
        return int(struct.unpack_from(form, self.data, at)[0])

    def _place(self, slot: int) -> int | None:
        offset = self._number("<H", self._slots + 4 + 2 * slot) if slot < self._count else 0
        return self.at + offset if offset else None

    def number(self, slot: int, form: str) -> int:
        """A scalar; 0 if it is not there."""
        place = self._place(slot)
        return 0 if place is None else self._number(form, place)

    def table(self, slot: int) -> _Table | None:
        """A table within, if it is there."""
        place = self._place(slot)
        return None if place is None else _Table(self.data, place + self._number("<I", place))

    def integers(self, slot: int, width: int) -> npt.NDArray[np.int64]:
        """A vector of `width` 64-bit integers an item, as shape (n, width)."""
        place = self._place(slot)
        if place is None:
            return np.empty((0, width), np.int64)
        start = place + self._number("<I", place)
        count = self._number("<I", start)
        if start + 4 + 8 * width * count > len(self.data):
            raise InvalidInput(_broken("the description of a message points outside itself"), field="body")
        return np.frombuffer(self.data, "<i8", width * count, start + 4).reshape(count, width)


def _message(metadata: bytes) -> tuple[int, _Table, int]:
    """What a message is, its header, and how long its body is."""
    message = _Table(metadata, int.from_bytes(metadata[:4], "little"))
    kind, header, length = message.number(1, "<B"), message.table(2), message.number(3, "<q")
    if message.number(0, "<h") != _V5:  # compression was marked elsewhere before
        raise InvalidInput("the Arrow stream is of a format before 1.0; write it with a newer library", field="body")
    if kind not in {SCHEMA, DICTIONARY, BATCH} or header is None:
        raise InvalidInput(_broken("a message is neither a schema nor a dictionary nor a record batch"), field="body")
    if length < 0 or (kind == SCHEMA and length):
        raise InvalidInput(_broken(f"a message has {length} bytes"), field="body")
    if length > MESSAGE_LIMIT:
        raise TooLarge(
            f"a message of the Arrow stream has {length:,} bytes; the limit is {MESSAGE_LIMIT:,}: "
            "write smaller record batches (max_chunksize)",
            field="body",
        )
    return kind, header, length


def _check_data(header: _Table, kind: int, length: int, dictionaries: dict[int, int]) -> None:
    """Look into the header of a record batch or dictionary before its body is read."""
    data: _Table | None = header
    if kind == DICTIONARY:
        data = header.table(1)
        if header.number(2, "<B"):
            raise InvalidInput("a dictionary comes in parts; send it whole (no dictionary deltas)", field="body")
        dictionaries[header.number(0, "<q")] = length
        if sum(dictionaries.values()) > DICTIONARIES_LIMIT:
            raise TooLarge(
                f"the dictionaries have more than {DICTIONARIES_LIMIT:,} bytes together; send these columns as text",
                field="body",
            )
    if data is None:
        raise InvalidInput(_broken("a dictionary has no data"), field="body")
    if data.table(3) is not None:
        raise InvalidInput(
            "the Arrow stream is compressed; write it without: compression=None (pyarrow, IpcWriteOptions), "
            'compression="uncompressed" (polars)',
            field="body",
        )
    rows, limit = data.number(0, "<q"), ENTRIES_LIMIT if kind == DICTIONARY else ROWS_LIMIT
    if rows > limit:
        what = "dictionary" if kind == DICTIONARY else "record batch"
        raise TooLarge(f"a {what} has {rows:,} rows; the limit is {limit:,} (max_chunksize)", field="body")
    _check_buffers(data, rows, length)


def _check_buffers(data: _Table, rows: int, length: int) -> None:
    """Check that the buffers of a batch lie in its body, and that no more are spoken of than there are."""
    buffers: Any = data.integers(2, 2)
    start, size = buffers[:, 0], buffers[:, 1]
    if rows < 0 or (buffers < 0).any() or (start > length).any() or (size > length - start).any() or (start % 8).any():
        raise InvalidInput(_broken("a record batch speaks of bytes that it has not"), field="body")
    shared = data.integers(4, 1)  # of columns of views, how many buffers each has
    if (shared < 0).any() or (shared > len(buffers)).any() or shared.sum() > len(buffers):
        raise InvalidInput(_broken("a record batch speaks of buffers that it has not"), field="body")
