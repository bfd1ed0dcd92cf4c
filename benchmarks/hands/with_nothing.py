"""Nothing: what the loop and the machine cost by themselves."""

from __future__ import annotations

from pathlib import Path

from benchmarks.hands.driver import Found


class Nothing:
    """Takes the values and forgets them."""

    def __init__(self) -> None:
        self.where = "0"

    def one(self, value: float, step: int) -> None:
        """Nothing."""

    def many(self, values: dict[str, float], step: int) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""

    def sent(self, points: int, seconds: float) -> bool:
        """There was nothing to send."""
        return points >= 0 and seconds >= 0


def open_hand(_folder: Path, _url: str) -> Nothing:
    """Start nothing."""
    return Nothing()


def read(_folder: Path, _url: str, _where: str, _keys: list[str]) -> list[Found]:
    """Nothing is there."""
    return []
