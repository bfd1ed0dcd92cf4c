"""The trust folder: the key that signs seals, and the checkpoints published outside the database.

Whoever owns the database cannot rewrite what lies here, if this folder is kept somewhere else. It holds
``signing.key`` (Ed25519, PEM, readable by the owner only), ``KEY.pub`` for every key that ever signed, and
``checkpoints.ndjson``, to which every seal is appended.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from muniment.model.errors import Unavailable
from muniment.model.ledger import Seal

KEY_FILE = "signing.key"
CHECKPOINTS_FILE = "checkpoints.ndjson"
_TAIL = 4_096
"""Bytes in which the last line of the checkpoints certainly lies."""


def key_id(public: bytes) -> str:
    """The name of a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


class TrustFolder:
    """One store's trust folder; made on first use.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        file = self.path / KEY_FILE
        if not file.exists():
            made = Ed25519PrivateKey.generate()
            self._put(file, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
        try:
            found = load_pem_private_key(file.read_bytes(), None)
        except ValueError:
            found = None
        if not isinstance(found, Ed25519PrivateKey):
            raise Unavailable(f"{file} is no Ed25519 key; put the right one there, or move it away for a new one")
        return found

    @cached_property
    def key(self) -> str:
        """The id of the key that signs."""
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        name = key_id(public)
        if name not in self._public_keys:
            self._put(self.path / f"{name}.pub", f"{public.hex()}\n".encode(), mode=0o644)
            self.__dict__.pop("_public_keys", None)
        return name

    def _put(self, file: Path, content: bytes, *, mode: int) -> None:
        """Make a file that is there whole or not at all; one that another process made first stays.

        Raises:
            Unavailable: it cannot be written.
        """
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            if file.suffix == ".pub":
                part.replace(file)
            else:
                with suppress(FileExistsError):
                    os.link(part, file)
        except OSError as error:
            raise Unavailable(f"{file} cannot be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)

    def sign(self, digest: bytes) -> bytes:
        """The Ed25519 signature of 32 bytes."""
        return self._private.sign(digest)

    def secret(self, purpose: str) -> bytes:
        """32 bytes that only who has the signing key can make, for one purpose and no other."""
        raw = self._private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return hmac.digest(raw, purpose.encode(), "sha256")

    def verify(self, key: str, digest: bytes, signature: bytes) -> bool:
        """Whether a key that this folder knows made the signature."""
        public = self._public_keys.get(key)
        if public is None:
            return False
        try:
            public.verify(signature, digest)
        except InvalidSignature:
            return False
        return True

    @cached_property
    def _public_keys(self) -> dict[str, Ed25519PublicKey]:
        found = {}
        for file in sorted(self.path.glob("*.pub")):
            try:
                raw = bytes.fromhex(file.read_text().strip())
                found[key_id(raw)] = Ed25519PublicKey.from_public_bytes(raw)
            except ValueError:  # cut short by a crash: it is written again by the next server that signs with it
                continue
        return found

    @property
    def signing_key(self) -> Path:
        """Where the key that signs lies."""
        return self.path / KEY_FILE

    def public_files(self) -> list[Path]:
        """The files of the public keys."""
        return sorted(self.path.glob("*.pub"))

    def whole_lines(self) -> Iterator[bytes]:
        """The checkpoints as they lie there, but for a line that is being written."""
        file = self.path / CHECKPOINTS_FILE
        if not file.exists():
            return
        with file.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield line

    def knows_keys(self) -> bool:
        """Whether there is any public key to verify with."""
        return bool(self._public_keys)

    def publish(self, seals: Iterable[Seal]) -> None:
        """Append seals to the checkpoints, durably."""
        lines = b"".join(msgspec.json.encode(seal) + b"\n" for seal in seals)
        if not lines:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / CHECKPOINTS_FILE).open("a+b") as out:
            if out.seek(0, os.SEEK_END) and not _ends_a_line(out):
                out.write(b"\n")  # a crash cut the last line short; what it said is said again now
            out.write(lines)
            out.flush()
            os.fsync(out.fileno())

    def checkpoints(self) -> Iterator[Seal]:
        """Every published seal, in order; a line that a crash cut short is passed over."""
        file = self.path / CHECKPOINTS_FILE
        if not file.exists():
            return
        with file.open("rb") as lines:
            for line in lines:
                try:
                    yield msgspec.json.decode(line, type=Seal)
                except ValueError:
                    continue

    def last_published(self) -> int:
        """The number of the last published seal; 0 if there is none. Read from the end of the file."""
        file = self.path / CHECKPOINTS_FILE
        if not file.exists():
            return 0
        with file.open("rb") as lines:
            size = lines.seek(0, os.SEEK_END)
            lines.seek(max(0, size - _TAIL))
            tail = lines.read().split(b"\n")
        for line in reversed(tail):
            try:
                return msgspec.json.decode(line, type=Seal).number
            except ValueError:  # the beginning of the tail, or what a crash cut short
                continue
        return 0


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
