"""The bytes of artifacts: listed and read where MLflow has them, and given to the records here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from muniment.model.artifact import Artifact, Attachment
from muniment.model.errors import InvalidInput, MunimentError
from muniment_server.annexes.connectors.mlflow.shapes import File, Place
from muniment_server.annexes.connectors.mlflow.wire import Api, quoted
from muniment_server.policy.access import Permission, Scope
from muniment_server.services import artifacts
from muniment_server.services.workspace import Workspace

PIECE = 1 << 20
"""Bytes that are read at a time."""
_PROXY = "/api/2.0/mlflow-artifacts/artifacts"


class Folder:
    """A folder of this machine.

    Args:
        location: its path, or a file: URL.
    """

    def __init__(self, location: str) -> None:
        parts = urlsplit(location)
        if parts.scheme not in {"", "file"}:
            raise InvalidInput(
                f"{location[:200]} is no folder of this machine; a server that can read it sends what lies there: "
                "import from http://…"
            )
        self.root = Path(unquote(parts.path) if parts.scheme else location)

    def files(self) -> list[File]:
        """All files, by path."""
        found = []
        for path in sorted(self.root.rglob("*")) if self.root.is_dir() else []:
            if path.is_file():
                told = path.stat()
                name = path.relative_to(self.root).as_posix()
                found.append(File(path=name, size=told.st_size, changed=told.st_mtime_ns))
        return found

    def read(self, file: File) -> Iterator[bytes]:
        """The bytes of a file, in pieces."""
        with (self.root / file.path).open("rb") as opened:
            while piece := opened.read(PIECE):
                yield piece


class OfRun:
    """The artifacts of a run, as its server gives them out, wherever they lie.

    Args:
        api: the server.
        run: its id.
    """

    def __init__(self, api: Api, run: str) -> None:
        self.api, self.run = api, run

    def files(self) -> list[File]:
        """All files, by path."""
        found, waiting = [], [""]
        while waiting:
            path = waiting.pop()
            for page in self.api.got_pages("artifacts/list", "files", run_id=self.run, path=path or None):
                for one in page:
                    if one.get("is_dir"):
                        waiting.append(one["path"])
                    else:
                        found.append(File(path=one["path"], size=int(one.get("file_size", 0))))
        return sorted(found, key=lambda file: file.path)

    def read(self, file: File) -> Iterator[bytes]:
        """The bytes of a file, in pieces."""
        return self.api.download(f"/get-artifact?run_id={self.run}&path={quoted(file.path)}")


class Proxied:
    """A folder of the artifacts that go through a server.

    Args:
        api: the server.
        location: ``mlflow-artifacts:/FOLDER``.
    """

    def __init__(self, api: Api, location: str) -> None:
        self.api, self.root = api, urlsplit(location).path.strip("/")

    def files(self) -> list[File]:
        """All files, by path."""
        found, waiting = [], [""]
        while waiting:
            below = waiting.pop()
            folder = f"{self.root}/{below}".rstrip("/")
            for one in self.api.listed(f"{_PROXY}?path={quoted(folder)}").get("files", []):
                path = f"{below}/{one['path']}".lstrip("/")
                if one.get("is_dir"):
                    waiting.append(path)
                else:
                    found.append(File(path=path, size=int(one.get("file_size", 0))))
        return sorted(found, key=lambda file: file.path)

    def read(self, file: File) -> Iterator[bytes]:
        """The bytes of a file, in pieces."""
        return self.api.download(f"{_PROXY}/{quoted(f'{self.root}/{file.path}')}")

    def write(self, path: str, pieces: Iterator[bytes]) -> None:
        """Put a file there."""
        self.api.upload(f"{_PROXY}/{quoted(f'{self.root}/{path}')}", pieces)


def bring(workspace: Workspace, scope: Scope, project: str, record: str, place: Place, file: File) -> bool:
    """Give a record a file; whether that is news.

    Raises:
        InvalidInput: a record's artifact cannot have this path, or not all of it came.
        Conflict: a version has another file at the path.
    """
    return asyncio.run(_bring(workspace, scope, project, record, place, file))


async def _bring(workspace: Workspace, scope: Scope, project: str, record: str, place: Place, file: File) -> bool:
    pieces = place.read(file)
    size = 0

    async def sent() -> AsyncIterator[bytes]:
        nonlocal size
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            size += len(piece)
            yield piece
        if file.size and size != file.size:
            raise InvalidInput(f"{file.path[:200]} has {file.size:,} bytes, and {size:,} came")

    received = await artifacts.receive(workspace, scope, project, sent())
    try:
        return (await artifacts.keep_at(workspace, scope, project, record, file.path, received)).changed
    except MunimentError:
        ref = workspace.project(scope, project, Permission.WRITE)
        await artifacts.give_up(workspace, ref.no, received.location)
        raise


def pieces_of(workspace: Workspace, artifact: Artifact) -> Iterator[bytes]:
    """The bytes of an artifact that is here, in pieces."""
    content = artifacts.content(workspace, artifact, 0, artifact.size)

    async def following() -> bytes | None:
        return await anext(content, None)

    with asyncio.Runner() as runner:
        while (piece := runner.run(following())) is not None:
            yield piece


def of_record(workspace: Workspace, scope: Scope, project: str, record: str) -> list[Attachment]:
    """All artifacts that a record has."""
    found: list[Attachment] = []
    after = ""
    while True:
        page = artifacts.of_record(workspace, scope, project, record, after=after)
        found += page.artifacts
        if page.next is None:
            return found
        after = page.next
