"""Where we answer otherwise than MLflow's server, and why. Whatever is not in this table must be the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mlflow_door.calls import Answer, Call, Case


class Pair(NamedTuple):
    """The answers of both to one call."""

    case: str
    call: Call
    theirs: Answer
    ours: Answer

    @property
    def code(self) -> str:
        """What we call the error, if it is one."""
        return _said(self.ours, "error_code")

    @property
    def words(self) -> str:
        """What we say of the error, if it is one."""
        return _said(self.ours, "message")


def _said(answer: Answer, key: str) -> str:
    return str(answer.body.get(key, "")) if isinstance(answer.body, dict) else ""


def _refused(answer: Answer) -> bool:
    return 400 <= answer.status < 500


KNOWN: dict[str, Callable[[Pair], bool]] = {
    "What a caller did wrong is no failure of the server, which clients would try again": lambda pair: (
        (pair.theirs.status >= 500 or pair.theirs.status == 0) and _refused(pair.ours)
    ),
    "Their parser stops in the middle of a wrong body and stores the half it has read, as a success": lambda pair: (
        pair.theirs.status == 200 and pair.ours.status == 400 and pair.words.startswith("Invalid value for '")
    ),
    "A path or a method that is none is an error like every other one here, theirs is a page of its framework": (
        lambda pair: pair.theirs.body == "<page>" and pair.ours.status in {404, 405}
    ),
}
"""Reasons, and what they are reasons for."""


def differences(played: Case, theirs: list[Answer], ours: list[Answer]) -> Iterator[str]:
    """What differs between two playings of a case and is not in the table, a text for each call.

    Where one of the two refused a change that the other made, what they hold afterwards is not compared.
    """
    for one, their, our in zip(played.calls, theirs, ours, strict=True):
        plain = _plain(their), _plain(our)
        if plain[0] == plain[1]:
            continue
        pair = Pair(played.name, one, *plain)
        if not any(holds(pair) for holds in KNOWN.values()):
            yield f"{played.name}: {one.method} {one.path} {one.query or ''} {one.body or ''}\n{_shown(pair)}"
        if (their.status < 300) != (our.status < 300) and not _reads(one):
            return


def _reads(one: Call) -> bool:
    return one.method == "GET" or "search" in one.path or "get-latest" in one.path


def _plain(answer: Answer) -> Answer:
    """An answer without what only MLflow's dashboards read, and without a database driver's words."""
    if not isinstance(answer.body, dict) or "error_code" not in answer.body:
        return answer
    body = {key: value for key, value in answer.body.items() if key in {"error_code", "message"}}
    body["message"] = re.sub(r"( Error: )?<the driver's words>", "", str(body.get("message", "")))
    return Answer(answer.status, body, answer.headers)


def _shown(pair: Pair) -> str:
    if pair.theirs.status == pair.ours.status and isinstance(pair.theirs.body, dict):
        found = [
            f"  at {at}: theirs {a!r:.300}, ours {b!r:.300}" for at, a, b in deep(pair.theirs.body, pair.ours.body)
        ]
        if found:
            return "\n".join(found[:5])
    return f"  theirs {pair.theirs!r:.500}\n  ours   {pair.ours!r:.500}"


def deep(theirs: Any, ours: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The places where two documents differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            yield from deep(theirs.get(key, "(absent)"), ours.get(key, "(absent)"), f"{at}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for place, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from deep(one, other, f"{at}[{place}]")
    elif theirs != ours:
        yield at, theirs, ours
