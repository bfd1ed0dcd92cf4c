"""What happened to a record, and what it was at any moment."""

from __future__ import annotations

from typing import Any

import msgspec

from search.oracle import Point, Record


class Life(msgspec.Struct):
    """Everything that ever happened to one record."""

    no: int
    versions: list[Any] = []
    params: list[tuple[int, str, str]] = []
    tags: list[tuple[int, str, str | None]] = []
    points: dict[str, list[Point]] = {}

    def at(self, position: int) -> Record | None:
        """The record as of a position; None if there was none yet."""
        versions = [version for version in self.versions if version.position <= position]
        if not versions:
            return None
        tags = {key: value for when, key, value in self.tags if when <= position}
        points = {key: [p for p in found if p.position <= position] for key, found in self.points.items()}
        return Record(
            no=self.no,
            record=max(versions, key=lambda version: version.position),
            params={key: value for when, key, value in self.params if when <= position},
            tags={key: value for key, value in tags.items() if value is not None},
            points={key: found for key, found in points.items() if found},
        )

    def erase(self, left: Any) -> None:
        """Forget everything but what is left."""
        self.versions, self.params, self.tags, self.points = [left], [], [], {}
