"""What an import and an export tell: how far they are, and at their end what they have done."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from muniment_server.services.intake import Refused

Report = Callable[[str, int, int | None], None]
"""Told what is being done, how much of it is, and how much there is."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done.

    Attributes:
        project: where to, or where from.
        found: things that there are, by kind.
        new: things that were brought or sent because they were not there or were different, by kind.
        refused: things that were not taken, by kind.
        refusals: the first thousand of them.
        seconds: how long it took.
    """

    project: str
    found: dict[str, int]
    new: dict[str, int]
    refused: dict[str, int]
    refusals: list[Refused]
    seconds: float
