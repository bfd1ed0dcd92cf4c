"""Conditions on where a run's artifacts are said to be, as conditions on its id.

No run keeps that address: it is what its experiment's address, the run's id and a few letters make. So a pattern that
the whole must match becomes, for each experiment, the patterns that the id in its middle must match.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence

from muniment_server.api.mlflow.translate.places import Place
from muniment_server.api.mlflow.translate.runs import artifact_uri

_ANY, _ONE = "%%", "__"
"""Tokens of a pattern: any text, and one character. Every other one is a character that stands for itself."""
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_DIGITS = frozenset("0123456789abcdef")
_LENGTH = 32
"""Characters of an id."""
_ALWAYS, _NEVER = "position >= 0", "position < 0"

Token = str
Patterns = frozenset[tuple[Token, ...]]
"""Patterns of ids, of which one must match."""
_EVERY: Patterns = frozenset([(_ANY,)])


def condition(op: str, value: str, places: Sequence[Place]) -> str:
    """A comparison of runs' addresses in our own language.

    Args:
        op: =, !=, LIKE or ILIKE.
        value: a text, or a pattern.
        places: the experiments that the runs may be of.
    """
    fold = op == "ILIKE"
    tokens = _tokens(value.translate(_FOLD) if fold else value) if op in {"LIKE", "ILIKE"} else list(value)
    found: dict[Patterns, list[str]] = {}
    for place in places:
        before, _, after = artifact_uri(place, "\0").partition("\0")
        if fold:
            before, after = before.translate(_FOLD), after.translate(_FOLD)
        found.setdefault(_of_ids(tokens, before, after), []).append(place.id)
    parts = []
    for patterns, experiments in found.items():
        if not patterns:
            continue
        listed = "', '".join(sorted(experiments))
        among = "" if len(found) == 1 else f"experiment IN ('{listed}')"
        text = " OR ".join(_rendered(patterns))
        parts.append(f"({among} AND ({text}))" if among else f"({text})")
    whole = " OR ".join(parts) or _NEVER
    return f"NOT ({whole})" if op == "!=" else f"({whole})"


def _tokens(pattern: str) -> list[Token]:
    made = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            made.append(next(letters, "\\"))
        elif letter == "%":
            if made[-1:] != [_ANY]:
                made.append(_ANY)
        else:
            made.append(_ONE if letter == "_" else letter)
    return made


def _of_ids(tokens: Sequence[Token], before: str, after: str) -> Patterns:
    """The patterns of ids that between two texts make what a pattern matches."""
    begins = _reached(tokens, before)
    ends = {len(tokens) - at for at in _reached(tokens[::-1], after[::-1])}
    # what stands between the last "any text" that is reached from the beginning and the first from the end is enough
    first = max((at for at in begins if tokens[at : at + 1] == [_ANY]), default=-1)
    last = min((at for at in ends if at and tokens[at - 1] == _ANY), default=len(tokens) + 1)
    if first >= last - 1:
        return _EVERY
    found = {
        tuple(tokens[begin:end]) for begin in begins if begin >= first for end in ends if begin <= end <= last
    }  # fmt: skip
    possible = frozenset(one for one in found if _possible(one))
    return _EVERY if (_ANY,) in possible else possible


def _reached(tokens: Sequence[Token], text: str) -> set[int]:
    """How many tokens of a pattern a text can have met, with what follows it left for the others."""
    states = _further(tokens, {0})
    for letter in text:
        met = {at if tokens[at] == _ANY else at + 1 for at in states if at < len(tokens) and _meets(tokens[at], letter)}
        states = _further(tokens, met)
    return states


def _further(tokens: Sequence[Token], states: set[int]) -> set[int]:
    """With what can be reached by no text at all."""
    return states | {at + 1 for at in states if at < len(tokens) and tokens[at] == _ANY}


def _meets(token: Token, letter: str) -> bool:
    return token in {_ANY, _ONE, letter}


def _possible(pattern: tuple[Token, ...]) -> bool:
    """Whether some id matches."""
    fixed = [token for token in pattern if token != _ANY]
    length = len(fixed) <= _LENGTH if len(fixed) < len(pattern) else len(fixed) == _LENGTH
    return length and all(token == _ONE or token in _DIGITS for token in fixed)


def _rendered(patterns: Patterns) -> Iterator[str]:
    for pattern in sorted(patterns):
        if pattern == (_ANY,):
            yield _ALWAYS
        elif _ANY in pattern or _ONE in pattern:
            yield f"id LIKE '{''.join(token[0] for token in pattern)}'"
        else:
            yield f"id = '{''.join(pattern)}'"
