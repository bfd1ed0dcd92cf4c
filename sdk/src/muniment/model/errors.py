"""Every error that Muniment raises on purpose.

A message is one line: what is wrong, where, and what to do about it.

::

    MunimentError
    ├── InvalidInput          the request cannot be understood or breaks a rule; `field` says where
    │   ├── TooLarge          it exceeds a stated limit
    │   └── UnsatisfiableRange  the bytes that were asked for do not exist
    ├── NotFound              there is no such record, or the caller may not know of it
    ├── Conflict              it contradicts what is already recorded
    │   └── KeyReused         an idempotency key came back with another request
    ├── Gone                  it was there and has been erased or expired
    ├── Denied                the caller may not do this
    └── Unavailable           the store cannot do this now; nothing was written
        ├── StoreFull         the disk or the quota of the store is exhausted
        └── SchemaMismatch    this program and this store are of different releases
"""

from __future__ import annotations

from typing import ClassVar

_MESSAGE_LIMIT = 1_000
_FIELD_LIMIT = 200


class MunimentError(Exception):
    """Base of every error raised on purpose.

    `code` is the stable, machine-readable name of the class; `field` the dotted place in the input, where there is one.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        self.message = _one_line(message, _MESSAGE_LIMIT)
        self.field = None if field is None else _one_line(field, _FIELD_LIMIT)
        super().__init__(self.message)


def _one_line(text: str, limit: int) -> str:
    """Input that is quoted in a message must neither break the line nor flood it."""
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class InvalidInput(MunimentError):
    """The request cannot be understood or breaks a rule."""

    code = "invalid_input"


class TooLarge(InvalidInput):
    """The request exceeds a stated limit."""

    code = "too_large"


class UnsatisfiableRange(InvalidInput):
    """The bytes that were asked for do not exist."""

    code = "unsatisfiable_range"


class NotFound(MunimentError):
    """There is no such record, or the caller may not know of it."""

    code = "not_found"


class Conflict(MunimentError):
    """The request contradicts what is already recorded."""

    code = "conflict"


class KeyReused(Conflict):
    """An idempotency key came back with another request."""

    code = "key_reused"


class Gone(MunimentError):
    """It was there and has been erased or has expired."""

    code = "gone"


class Denied(MunimentError):
    """The caller may not do this."""

    code = "denied"


class Unavailable(MunimentError):
    """The store cannot do this now; nothing was written."""

    code = "unavailable"


class StoreFull(Unavailable):
    """The disk or the quota of the store is exhausted."""

    code = "store_full"


class SchemaMismatch(Unavailable):
    """This program and this store are of different releases."""

    code = "schema_mismatch"


def misshapen(error: Exception, whole: str) -> InvalidInput:
    """What msgspec says of a document of another shape, in our own words: the place first.

    Args:
        error: its `ValidationError`.
        whole: what to call the document itself.
    """
    what, _, where = str(error).partition(" - at `")
    place = where.rstrip("`").removeprefix("$").removeprefix(".") or whole
    return InvalidInput(f"{place}: {what}", field=place)


def all_errors() -> dict[str, type[MunimentError]]:
    """Every error class by its code, the base included."""
    found: dict[str, type[MunimentError]] = {}
    waiting: list[type[MunimentError]] = [MunimentError]
    while waiting:
        cls = waiting.pop()
        found[cls.code] = cls
        waiting.extend(cls.__subclasses__())
    return found
