"""Where the bytes of artifacts lie: a folder, or a bucket of S3, GCS or Azure.

Nothing here is named by a caller: a location is made by the store, and never used twice.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from muniment.model.errors import InvalidInput, MunimentError, NotFound, StoreFull, Unavailable
from muniment_server.store.engine import masked

CHUNK = 1 << 20
"""Bytes read at once."""
_PART = 5 * 1024 * 1024
"""Bytes of one part of an upload; the least that S3 takes."""
_PARTIAL = "#1"
"""What ends the name of a file as long as it is written; a bucket lets its own rules delete what was never ended."""
_FULL = ("No space left", "os error 28", "os error 27")
"""What an error says if a disk is full, or a file may not be as large (ENOSPC, EFBIG)."""
_LEAVING_SECONDS = 0.1
"""obstore's threads let go of what they gave to Python a moment after they gave it. Should the interpreter end in that
moment, it ends by an abort, whatever the exit status was to be (39 of 60 runs of a program that reads three files)."""
_SCHEMES = ("file", "s3", "gs", "az", "abfss", "memory")


class Blobs:
    """One place for bytes.

    Args:
        url: ``file:///FOLDER``, ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX`` or ``az://CONTAINER/PREFIX``;
            credentials come from the environment, as the provider's own tools read them.
        durable: whether what is written survives a loss of power; a bucket always does.
    """

    def __init__(self, url: str, *, durable: bool = False) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise InvalidInput(f"artifacts lie at file:///FOLDER, s3://, gs:// or az://…, not {masked(url)[:120]!r}")
        self.url = url
        self.folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        self._durable = durable
        self._opened: Any = None

    @property
    def _store(self) -> Any:
        """The provider's store; opened when it is first needed, since importing it takes a while."""
        if self._opened is None:
            from obstore.store import LocalStore, from_url  # noqa: PLC0415

            atexit.unregister(_let_go)
            atexit.register(_let_go)  # as the last that was registered, it is the first that is done
            if self.folder is not None:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._opened = LocalStore(str(self.folder), mkdir=True)
            else:
                self._opened = from_url(self.url)
        return self._opened

    async def put(self, location: str, chunks: AsyncIterator[bytes]) -> None:
        """Write bytes as they come. If they end with an error, nothing is left.

        Raises:
            StoreFull: there is no room.
            Unavailable: the place cannot be reached, or what had arrived was deleted meanwhile.
        """
        failures: list[BaseException] = []

        async def watched() -> AsyncIterator[bytes]:
            try:
                async for chunk in chunks:
                    yield chunk
            except BaseException as error:
                failures.append(error)
                raise

        import obstore  # noqa: PLC0415

        try:
            await obstore.put_async(
                self._store, location, watched(), use_multipart=True, chunk_size=_PART, max_concurrency=2
            )
            if self._durable and self.folder is not None:
                await asyncio.to_thread(_flush, self.folder, self.folder / location)
        except Exception as error:
            if failures:
                raise failures[0] from None
            if isinstance(error, FileNotFoundError) or "Upload aborted" in str(error):
                raise Unavailable("the upload was given up before it was complete; send it again") from error
            raise self._translated(error) from error

    async def get(self, location: str, first: int, length: int) -> AsyncIterator[bytes]:
        """Bytes from `first` on, `length` of them, in pieces.

        Raises:
            NotFound: nothing lies there.
            Unavailable: the place cannot be reached.
        """
        import obstore  # noqa: PLC0415

        if not length:
            return
        try:
            found = await obstore.get_async(self._store, location, options={"range": (first, first + length)})
            async for chunk in found.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)
        except Exception as error:
            raise self._translated(error) from error

    async def whole(self, location: str) -> AsyncIterator[bytes]:
        """All bytes at a location, in pieces, however many they are.

        Raises:
            NotFound, Unavailable: as `get`.
        """
        import obstore  # noqa: PLC0415

        try:
            found = await obstore.get_async(self._store, location)
            async for chunk in found.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)
        except Exception as error:
            raise self._translated(error) from error

    async def digest(self, location: str) -> str | None:
        """``sha256:HEX`` of what lies at a location; None if nothing does, or it cannot be read."""
        hashed = hashlib.sha256()
        try:
            async for piece in self.whole(location):
                hashed.update(piece)
        except MunimentError:
            return None
        return f"sha256:{hashed.hexdigest()}"

    async def delete(self, location: str) -> None:
        """Delete bytes, if they are there, and what a process that died left of them.

        Raises:
            Unavailable: the place cannot be reached.
        """
        import obstore  # noqa: PLC0415

        try:
            if self.folder is not None:
                (self.folder / f"{location}{_PARTIAL}").unlink(missing_ok=True)
            await obstore.delete_async(self._store, location)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        text = str(error)
        if isinstance(error, FileNotFoundError):
            return NotFound("the bytes of this artifact are not where they were put; muniment verify --bytes tells")
        if "quota exceeded" in text.lower() or any(sign in text for sign in _FULL):
            return StoreFull(f"there is no room for artifacts at {self.url}; free some, then try again")
        return Unavailable(
            f"artifacts at {self.url} cannot be reached: {text.splitlines()[0][:200] if text else error}"
        )


def _let_go() -> None:
    """Give the threads of obstore the time to let go of Python, before it ends."""
    time.sleep(_LEAVING_SECONDS)


def _flush(folder: Path, path: Path) -> None:
    """Ask the disk to keep a file and its name, and those of the folders that were made for it."""
    for name in (path, *(parent for parent in path.parents if parent.is_relative_to(folder))):
        handle = os.open(name, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
