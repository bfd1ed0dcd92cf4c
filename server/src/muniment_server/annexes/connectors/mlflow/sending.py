"""What an export keeps account of, and how MLflow's API spells tags and params."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from muniment.model.errors import MunimentError, Unavailable
from muniment_server.services.intake import Counted


class There(msgspec.Struct):
    """A run on the server.

    Attributes:
        id: which it has there.
        location: where its artifacts go.
        whole: the fingerprint of all that it has, if all of it is there.
        deleted: whether it is deleted there.
    """

    id: str
    location: str
    whole: str = ""
    deleted: bool = False


class Tally(Counted):
    """What was found, what was sent, and what was refused, by kind; several runs are sent at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def met(self, kind: str, count: int) -> None:
        """Note what the project has."""
        with self._lock:
            self.found[kind] += count

    def sent(self, kind: str, count: int) -> None:
        """Note what was sent."""
        with self._lock:
            self.new[kind] += count

    def attempt(self, kind: str, where: str, send: Callable[..., Any], *given: Any) -> bool:
        """Send something; whether it was taken. What is refused keeps nothing else.

        Raises:
            Unavailable: the server cannot be reached, or fails.
        """
        try:
            send(*given)
        except Unavailable:
            raise
        except MunimentError as error:
            self.note(kind, where, error)
            return False
        return True


def tags_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The tags of something, as the API lists them."""
    return {tag["key"]: tag.get("value", "") for tag in given.get("tags", [])}


def pairs(given: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags or params as the API takes them."""
    return [{"key": key, "value": value} for key, value in given.items()]
