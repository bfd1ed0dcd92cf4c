"""Bytes up and down: files are sent once, and what arrives is whole or not there."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from muniment.model.artifact import Attach, Attached, check_path
from muniment.model.bulk import Line
from muniment.model.errors import InvalidInput, NotFound, Unavailable
from muniment.transport import PIECE, Opened

T = TypeVar("T")
_UMASK = os.umask(0)
os.umask(_UMASK)
ARROW = "application/vnd.apache.arrow.stream"
_ROWS, _BATCH = 65_536, 16 * 1024 * 1024
"""Rows and bytes of a record batch that is sent, about."""
TRIES = 5
"""How often a download goes on where it broke off."""


class Sender(Protocol):
    """Who sends requests: the client."""

    def call(self, method: str, target: str, answer: type[T], body: Any = None) -> T:
        """One request with records in and out."""
        ...

    def open(self, method: str, target: str, headers: dict[str, str], body: Iterable[bytes] = ()) -> Opened:
        """One request piece by piece."""
        ...


def upload(
    client: Sender, base: str, path: str, source: str | os.PathLike[str] | bytes, media_type: str | None
) -> Attached:
    """Give a record a file or bytes; see `Client.upload`."""
    check_path(path)
    digest, size = _measured(source)
    try:  # the bytes may be there already
        return client.call("POST", base, Attached, Attach(path=path, digest=digest))
    except NotFound as error:
        if error.field != "digest":
            raise
    headers = {
        "Content-Type": media_type or mimetypes.guess_type(path)[0] or "application/octet-stream",
        "Content-Length": str(size),
    }
    opened = client.open("PUT", f"{base}/{quote(path)}?digest={quote(digest)}", headers, _pieces(source))
    return msgspec.msgpack.decode(b"".join(opened.chunks), type=Attached)


def _pieces(source: str | os.PathLike[str] | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield from (source[start : start + PIECE] for start in range(0, len(source), PIECE))
        return
    with Path(source).open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def ndjson(lines: Iterable[Line | bytes]) -> Iterator[bytes]:
    """Lines as they are sent, many at a time."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line.rstrip(b"\n") if isinstance(line, bytes) else msgspec.json.encode(line))
        size += len(waiting[-1])
        if size >= PIECE:
            yield b"\n".join(waiting) + b"\n"
            waiting, size = [], 0
    if waiting:
        yield b"\n".join(waiting) + b"\n"


def arrow(table: Any, do: str) -> Iterator[bytes]:
    """A table as the Arrow stream of a command, record batch by record batch.

    Raises:
        InvalidInput: it is no table of Arrow, or pyarrow is not installed.
    """
    try:
        pa = import_module("pyarrow")
    except ImportError:
        raise InvalidInput("tables go up as Arrow, which takes pyarrow; install it", field="table") from None
    if not hasattr(table, "__arrow_c_stream__"):
        raise InvalidInput(
            f"table is {type(table).__module__}.{type(table).__qualname__}; it takes an Arrow table or reader, or a "
            "frame of polars or pandas",
            field="table",
        )
    reader = pa.RecordBatchReader.from_stream(table)
    schema = reader.schema.with_metadata({"do": do})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression=None)) as writer:
        for batch in reader:
            rows = max(1, min(_ROWS, batch.num_rows * _BATCH // max(1, batch.nbytes)))
            for start in range(0, batch.num_rows, rows):
                writer.write_batch(batch.slice(start, rows).replace_schema_metadata({"do": do}))
                yield _taken(sink)
    yield _taken(sink)


def _taken(sink: io.BytesIO) -> bytes:
    """What was written, which makes room."""
    made = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return made


def _measured(source: str | os.PathLike[str] | bytes) -> tuple[str, int]:
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise InvalidInput(f"{os.fspath(source)[:300]} is not a file", field="source")
    hashed, size = hashlib.sha256(), 0
    for piece in _pieces(source):
        hashed.update(piece)
        size += len(piece)
    return f"sha256:{hashed.hexdigest()}", size


def within(folder: str | os.PathLike[str], path: str) -> Path:
    """Where a path lies in a folder, with the folders between made.

    Raises:
        InvalidInput: it would lie elsewhere.
    """
    check_path(path)
    root = Path(folder).resolve()
    made = root.joinpath(*path.split("/"))
    if not made.parent.resolve().is_relative_to(root):
        raise InvalidInput(f"{path[:200]!r} would lie outside {root}, behind a symbolic link", field="path")
    made.parent.mkdir(parents=True, exist_ok=True)
    return made


def download(client: Sender, target: str, path: str, to: str | os.PathLike[str]) -> Path:
    """Write an artifact to a file or into a folder; see `Client.download`."""
    goal = Path(to)
    if goal.is_dir():
        goal = goal / check_path(path).rpartition("/")[2]
    handle, name = tempfile.mkstemp(prefix=f".{goal.name[:100]}-", dir=goal.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            _fetch(client, target, path, file)
        part.chmod(0o666 & ~_UMASK)
        part.replace(goal)
    finally:
        part.unlink(missing_ok=True)
    return goal


def _promised(opened: Opened) -> tuple[str, int]:
    """The tag of an answer, and how many bytes it will have."""
    try:
        return opened.headers["etag"], int(opened.headers["content-length"])
    except (KeyError, ValueError):
        raise InvalidInput("the answer has no ETag or Content-Length; something between has taken them out") from None


def _fetch(client: Sender, target: str, path: str, file: BinaryIO) -> None:
    """Write bytes to an empty file. If they break off, they go on from there."""
    hashed, tag, left = hashlib.sha256(), "", -1
    for attempt in range(TRIES):
        headers = {"Range": f"bytes={file.tell()}-", "If-Range": tag} if file.tell() else {}
        try:
            opened = client.open("GET", target, headers)
            if opened.status == 200:  # from the beginning, at first or again
                file.seek(0)
                file.truncate()
                hashed = hashlib.sha256()
            tag, left = _promised(opened)
            for piece in opened.chunks:
                file.write(piece)
                hashed.update(piece)
                left -= len(piece)
        except Unavailable:
            if attempt == TRIES - 1:
                raise
        if not left:
            break
        time.sleep(0.2 * 2**attempt)
    if left:
        raise Unavailable(f"{path[:200]} broke off again and again, {left:,} bytes before its end; try again")
    if f'"sha256:{hashed.hexdigest()}"' != tag:
        raise Unavailable(f"{path[:200]} arrived as sha256:{hashed.hexdigest()} and should be {tag}; try again")
