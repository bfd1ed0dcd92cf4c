"""As of when: from what a caller writes to a position."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from muniment.model.errors import InvalidInput
from muniment.model.names import check_time
from muniment_server.store import heads, ledger


def position(connection: sa.Connection, project_id: int, as_of: int | str | None) -> int | None:
    """The position meant by `as_of`: a position, its digits, or a time; None stays None, which is now.

    Raises:
        InvalidInput: it is neither, or lies in the future.
    """
    if as_of is None:
        return None
    head = heads.read(connection, project_id)
    if isinstance(as_of, str) and as_of.isascii() and as_of.isdigit() and len(as_of) < 19:
        as_of = int(as_of)
    if isinstance(as_of, int):
        if not 0 <= as_of <= head.position:
            raise InvalidInput(
                f"as_of {as_of} is not a position of this project, which goes from 0 to {head.position}", field="as_of"
            )
        return as_of
    return ledger.position_at(connection, project_id, _moment(as_of))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if text.count(" ") == 1 and "+" not in text else text)
    except ValueError:
        raise InvalidInput(
            f"as_of is a position such as 42 or a time such as 2026-01-31T12:00:00Z, not {text[:60]!r}", field="as_of"
        ) from None
    return check_time(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment, "as_of")
