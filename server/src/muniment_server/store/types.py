"""Column types: how a record's field lies in each engine, so that both give back exactly what was put in.

All that is particular to one engine's storage of a value stands here; `muniment_server.store.engine` holds the rest.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Integer = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
"""64 bits on both engines; STRICT tables of SQLite know it as INTEGER."""

Small = sa.Integer().with_variant(sqlite.INTEGER(), "sqlite")
"""32 bits where the engine distinguishes."""

Double: sa.types.TypeEngine[float] = sa.Double().with_variant(sqlite.REAL(), "sqlite")
"""IEEE double. SQLite keeps NaN as NULL and forgets the sign of zero, so no column relies on either."""

Text = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Unicode compared by code point on both engines. NUL is refused before it gets here."""

Bytes = sa.LargeBinary().with_variant(sqlite.BLOB(), "sqlite")


def to_micros(moment: datetime) -> int:
    """Epoch microseconds of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The UTC datetime of epoch microseconds."""
    return _EPOCH + timedelta(microseconds=micros)


class Instant(sa.types.TypeDecorator[datetime]):
    """A time as epoch microseconds: the same integer, order and precision on both engines."""

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        """The column type of the engine."""
        return dialect.type_descriptor(sqlite.INTEGER() if dialect.name == "sqlite" else sa.BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """From Python to the driver."""
        del dialect
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the driver to Python."""
        del dialect
        return None if value is None else from_micros(value)


class Id(sa.types.TypeDecorator[str]):
    """A record's id: 32 hex digits in Python, 16 bytes in SQLite, uuid in PostgreSQL."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        """The column type of the engine."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sqlite.BLOB())
        return dialect.type_descriptor(postgresql.UUID(as_uuid=True))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | uuid.UUID | None:
        """From Python to the driver."""
        if value is None:
            return None
        return bytes.fromhex(value) if dialect.name == "sqlite" else uuid.UUID(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """From the driver to Python."""
        del dialect
        return None if value is None else value.hex() if isinstance(value, bytes) else value.hex


class Json(sa.types.TypeDecorator[Any]):
    """A struct or document as JSON text; text, because an engine's own JSON type would rewrite it."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, shape: Any = Any) -> None:
        super().__init__()
        self.shape = shape
        self._decoder = msgspec.json.Decoder(shape)

    def __repr__(self) -> str:
        return "Json()"

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """From Python to the driver."""
        del dialect
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """From the driver to Python."""
        del dialect
        return None if value is None else self._decoder.decode(value)
