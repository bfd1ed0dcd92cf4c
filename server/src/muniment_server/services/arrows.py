"""An import as an Arrow IPC stream: rows become lines, and points go on as columns.

Its schema's metadata names the command (``do``); its columns are the command's fields. Messages are gathered whole on
the event loop, so that a slow sender holds no thread, and handed to pyarrow one record batch at a time: no more than
one message, the dictionaries and the lines of one entry are held.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_args

import msgspec
import numpy as np
import pyarrow as pa

from muniment.model.batch import Command, LogPoints
from muniment.model.errors import InvalidInput, MunimentError, TooLarge
from muniment_server.services import arrowpoints
from muniment_server.services.arrowmessages import BATCH, SCHEMA, Feed, messages
from muniment_server.services.arrowvalues import check_columns, values, weights

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
_COMMANDS: dict[str, type[msgspec.Struct]] = {str(cls.__struct_config__.tag): cls for cls in get_args(Command)}
Item = dict[str, Any] | MunimentError
"""A line before it is checked, or why it is none."""


async def gathered(chunks: AsyncIterator[bytes], lines: int, size: int, line_limit: int) -> AsyncIterator[list[Item]]:
    """Lines, as many at a time as one entry may have.

    Args:
        chunks: the stream, as it comes.
        lines: lines in one entry.
        size: bytes in one entry, about.
        line_limit: bytes of one line, about.

    Raises:
        InvalidInput: the stream cannot be read further.
        TooLarge: it exceeds a limit.
    """
    feed, stream = Feed(), None
    async for message in messages(chunks):
        feed.put(message)
        if message.kind == SCHEMA:
            stream = await asyncio.to_thread(_Stream, feed, lines, size, line_limit)
        elif message.kind == BATCH:
            assert stream is not None, "a schema comes first"
            parts = stream.next()
            while (part := await asyncio.to_thread(_next, parts)) is not None:
                yield part


def _next(parts: Iterator[list[Item]]) -> list[Item] | None:
    try:
        return next(parts, None)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(error) from None


class _Stream:
    """A stream whose messages come one by one."""

    def __init__(self, feed: Feed, lines: int, size: int, line_limit: int) -> None:
        self._lines, self._size, self._limit = lines, size, line_limit
        try:
            self._reader = pa.ipc.open_stream(feed, options=pa.ipc.IpcReadOptions(use_threads=False))
            schema = self._reader.schema
            fields, metadata = list(schema), schema.metadata or {}
            check_columns(fields)  # their names are decoded only now
            self._names = [field.name for field in fields]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(error) from None
        self._do = metadata.get(b"do", b"").decode("utf-8", "replace")
        if self._do not in _COMMANDS:
            raise InvalidInput(
                f"do in the schema's metadata is {self._do[:60]!r}; it must name a command: {', '.join(_COMMANDS)}",
                field="do",
            )
        self._is_points = _COMMANDS[self._do] is LogPoints
        if self._is_points:
            arrowpoints.check_columns(fields)
        else:
            self._check_fields()

    def _check_fields(self) -> None:
        """Check that every column is a field of the command, and every field that must be there is one."""
        known = {field.encode_name: field.required for field in msgspec.structs.fields(_COMMANDS[self._do])}
        for name in self._names:
            if name not in known and name not in {"called", "at"}:
                raise InvalidInput(
                    f"column {name[:100]!r} is no field of {self._do}; these are: {', '.join(known)}, called, at",
                    field=name,
                )
        for name, required in known.items():
            if required and name not in self._names:
                raise InvalidInput(f"there is no column {name}; {self._do} needs it", field=name)
        self._required = {name for name, required in known.items() if required}

    def next(self) -> Iterator[list[Item]]:
        """The lines of the next record batch, in parts."""
        try:
            batch = self._reader.read_next_batch()
            batch.validate(full=True)
        except StopIteration:
            raise InvalidInput("the Arrow stream lacks a dictionary that its schema speaks of", field="body") from None
        yield from self._points(batch) if self._is_points else self._rows(batch)

    def _rows(self, batch: pa.RecordBatch) -> Iterator[list[Item]]:
        whole = np.zeros(batch.num_rows, np.int64)
        for name, column in zip(self._names, batch.columns, strict=True):
            whole += weights(column, name)
        sums = np.append(0, np.cumsum(whole))
        start = 0
        while start < batch.num_rows:
            end = int(np.searchsorted(sums, sums[start] + self._size, "right")) - 1
            end = min(max(end, start + 1), start + self._lines, batch.num_rows)
            if whole[start] > self._limit:  # it is alone if it is more than an entry takes
                yield [TooLarge(f"the row has more than {self._limit:,} bytes", field="line")]
            else:
                yield self._items(batch.slice(start, end - start))
            start = end

    def _items(self, part: pa.RecordBatch) -> list[Item]:
        """A line a row."""
        made: list[Item] = []
        columns = [values(column) for column in part.columns]
        for row in zip(*columns, strict=True):
            command: dict[str, Any] = {"do": self._do}
            line: dict[str, Any] = {"command": command}
            for name, value in zip(self._names, row, strict=True):
                if name in {"called", "at"}:
                    line[name] = value
                elif value is not None or name in self._required:
                    command[name] = value
            made.append(line)
        return made

    def _points(self, batch: pa.RecordBatch) -> Iterator[list[Item]]:
        made: list[Item] = []
        size = 0
        for group in arrowpoints.groups(dict(zip(self._names, batch.columns, strict=True))):
            if isinstance(group, MunimentError):
                made.append(group)
            else:
                made.append({"command": group})
                size += 4 * len(group["value"])  # of which a point has a fourth
            if len(made) >= self._lines or size >= self._size:
                yield made
                made, size = [], 0
        if made:
            yield made


def _unreadable(error: Exception) -> InvalidInput:
    return InvalidInput(f"the Arrow stream cannot be read: {str(error)[:300]}", field="body")
