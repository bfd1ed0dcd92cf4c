"""An experiment as every answer needs it."""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True):
    """An experiment's id here, its number there, and where its artifacts go."""

    id: str
    number: str
    artifacts: str
