"""Seeds that can be seen without a hand in anybody's generator."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_NO_SEED = frozenset(("n", "num", "number", "max", "min", "use", "fix", "log"))
"""What stands before ``seed`` where it is a count or a switch."""
_WORDS = 624
_TWISTS = 16
"""How far back numpy's generator is wound, at the most: some ten thousand numbers, in a few milliseconds."""


class Seeds(NamedTuple):
    """Seeds by name, and what may have been seeded and cannot be seen."""

    seeds: dict[str, int]
    unseen: list[str]


def capture(params: Mapping[str, Any] | None = None) -> Seeds:
    """The seeds that can be seen now.

    Args:
        params: of the run; those whose names say that they are seeds count (``seed``, ``model.random_state``).
    """
    found: dict[str, int] = {}
    unseen = ["random: the standard library keeps no seed"]
    for name, value in (params or {}).items():
        number = _whole(value) if is_seed_name(str(name)) else None
        if number is not None:
            found[str(name)] = number
    for name, look in (("PYTHONHASHSEED", _hashes), ("torch", _torch), ("numpy", _numpy)):
        try:
            seed, why = look()
        except Exception:  # noqa: BLE001 - somebody else's module; capturing must never stop a training
            seed, why = None, "cannot be asked"
        if seed is not None:
            found[name] = seed
        if why:
            unseen.append(f"{name}: {why}")
    unseen += [f"{name}: it does not tell" for name in ("tensorflow", "jax", "cupy") if name in sys.modules]
    return Seeds(found, unseen)


def is_seed_name(name: str) -> bool:
    """Whether a param of this name is a seed: ``seed``, ``data.random_state``, ``split_seed``; not ``num_seed``."""
    words = [word.lower() for word in _WORD.findall(re.split(r"[./]", name)[-1])]
    if words[-2:] == ["random", "state"] or words[-1:] == ["randomstate"]:
        return True
    return words[-1:] == ["seed"] and not _NO_SEED & set(words[-2:-1])


def _whole(value: Any) -> int | None:
    """A whole number of 64 bits, also as text or as numpy has it."""
    if isinstance(value, str):
        number = int(value) if re.fullmatch(r"-?\d{1,19}", value) else None
    elif isinstance(value, (bool, float)) or not hasattr(value, "__index__"):
        number = None
    else:
        try:
            number = value.__index__()
        except Exception:  # noqa: BLE001 - an array of several
            return None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _hashes() -> tuple[int | None, str]:
    """The seed of hashes that the interpreter was started with; setting the variable later has no effect."""
    if sys.flags.ignore_environment:
        return None, ""
    try:
        begun = Path("/proc/self/environ").read_bytes().split(b"\x00")
        value = next((os.fsdecode(pair[15:]) for pair in begun if pair.startswith(b"PYTHONHASHSEED=")), "")
    except OSError:
        value = os.environ.get("PYTHONHASHSEED", "")
    return (int(value), "") if re.fullmatch(r"\d{1,10}", value) else (None, "")


def _torch() -> tuple[int | None, str]:
    ask = getattr(sys.modules.get("torch"), "initial_seed", None)
    if ask is None:
        return None, ""
    seed = int(ask())
    if 2**63 <= seed < 2**64 - 1:
        return seed - (2**64 - 1), ""  # as torch.manual_seed maps negative ones, backwards
    # an unseeded generator begins with 53 random bits; below 2³² one in two million does
    return (seed, "") if 0 <= seed < 2**32 else (None, "not seeded, or by a number that looks random")


def _numpy() -> tuple[int | None, str]:
    ask = getattr(sys.modules.get("numpy.random"), "get_state", None)
    if ask is None:
        return None, ""
    kind, key = ask()[:2]
    seed = mersenne_seed([int(word) for word in key]) if kind == "MT19937" else None
    generators = "generators of default_rng do not tell"
    return (seed, generators) if seed is not None else (None, f"not seeded, or long ago, or by an array; {generators}")


def mersenne_seed(key: list[int]) -> int | None:
    """The number with which ``numpy.random.seed`` filled this state, wound back as far as is cheap; None if it did not.

    The state of a Mersenne Twister is filled from its seed by a recurrence, and every 624 numbers it is replaced by one
    that can be wound back, all but 31 bits of the first word, which the recurrence gives again.
    """
    if len(key) != _WORDS:
        return None
    for _ in range(_TWISTS + 1):
        first = _first_word(key[1])
        if all(_next_word(key[at - 1], at) == key[at] for at in range(2, _WORDS)):
            return first
        key = _untwisted(key)
    return None


def _next_word(word: int, at: int) -> int:
    return (1812433253 * (word ^ (word >> 30)) + at) & 0xFFFFFFFF


def _first_word(second: int) -> int:
    mixed = ((second - 1) * pow(1812433253, -1, 1 << 32)) & 0xFFFFFFFF
    return mixed ^ (mixed >> 30)


def _untwisted(key: list[int]) -> list[int]:
    """The state before the last replacement; of its first word only the highest bit is right."""
    before = list(key)
    for at in range(_WORDS - 1, -1, -1):
        before[at] = _upper(before, at) | _lower(before, at)
    return before


def _upper(state: list[int], at: int) -> int:
    return _mixed(state, at) & 0x80000000


def _lower(state: list[int], at: int) -> int:
    return _mixed(state, at - 1) & 0x7FFFFFFF


def _mixed(state: list[int], at: int) -> int:
    """The highest bit of the word here and the lower ones of the word after, before they were mixed in."""
    mixed = state[at] ^ state[(at + 397) % _WORDS]
    return ((mixed ^ 0x9908B0DF) << 1 | 1) & 0xFFFFFFFF if mixed & 0x80000000 else (mixed << 1) & 0xFFFFFFFF
