"""The one spelling of a document that hashes are taken over: RFC 8785, and what RFC 8785 cannot carry.

RFC 8785 (JSON Canonicalization Scheme) knows only IEEE doubles.
Values beyond it travel as tagged strings, and a string that happens to look like a tag is escaped, so that no two
different documents share one spelling:

========================  ==========================
value                     spelling
========================  ==========================
integer beyond ±(2⁵³−1)   ``"$int:9007199254740993"``
NaN, ±Infinity            ``"$float:NaN"``, ``"$float:Infinity"``, ``"$float:-Infinity"``
negative zero             ``"$float:-0"``
a string starting ``$``   ``"$$…"``
========================  ==========================
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import msgspec
import rfc8785

_EXACT = 2**53 - 1


def tagged(value: Any) -> Any:
    """`value` with everything that RFC 8785 cannot carry replaced by its tagged string."""
    if isinstance(value, str):
        return "$" + value if value.startswith("$") else value
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -_EXACT <= value <= _EXACT else f"$int:{value}"
    if isinstance(value, float):
        return _tagged_float(value)
    if isinstance(value, dict):
        return {tagged(key): tagged(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tagged(item) for item in value]
    raise TypeError(f"a canonical document holds JSON values, not {type(value).__name__}")


def _tagged_float(value: float) -> float | str:
    if math.isnan(value):
        return "$float:NaN"
    if math.isinf(value):
        return "$float:Infinity" if value > 0 else "$float:-Infinity"
    if value == 0 and math.copysign(1.0, value) < 0:
        return "$float:-0"
    return value


def untagged(value: Any) -> Any:
    """The document that `tagged` was given."""
    if isinstance(value, str):
        return _untagged_str(value)
    if isinstance(value, dict):
        return {untagged(key): untagged(item) for key, item in value.items()}
    if isinstance(value, list):
        return [untagged(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -_EXACT <= value <= _EXACT:
        return float(value)  # an integer of this size would be tagged, so it was a double that is spelled without e
    return value


def _untagged_str(text: str) -> Any:
    if text.startswith("$$"):
        return text[1:]
    if text.startswith("$int:"):
        return int(text[5:])
    if text.startswith("$float:"):
        return float(text[7:])
    return text


def canonical(value: Any) -> bytes:
    """The canonical bytes of a JSON-like document."""
    if _plain(value):
        # for these documents msgspec writes the same bytes, some forty times faster (a property test holds them equal)
        return msgspec.json.encode(value, order="sorted")
    return rfc8785.dumps(tagged(value))


def _plain(value: Any) -> bool:
    """Whether a document needs no tag, has no float, and no key whose order depends on the encoding.

    Nearly all that is in a document are texts, nulls and whole numbers; these are looked at without another call.
    """
    if type(value) is dict:
        for key in value:
            if key[:1] == "$" or not key.isascii():
                return False
        items: Iterable[Any] = value.values()
    else:
        items = value if type(value) is list else (value,)
    for item in items:
        kind = type(item)
        if kind is str:
            if item[:1] == "$":
                return False
        elif kind is int:
            if not -_EXACT <= item <= _EXACT:
                return False
        elif item is not None and kind is not bool and not (kind in {dict, list} and _plain(item)):
            return False
    return True


def alike(one: Any, other: Any) -> bool:
    """Whether two records or documents are the same, which to Python ``1`` and ``true`` are."""
    if one != other:
        return False
    if type(one) is str and type(other) is str:
        return True
    return canonical(msgspec.to_builtins(one)) == canonical(msgspec.to_builtins(other))


def salted(salt: bytes, content: bytes) -> bytes:
    """``sha256(salt ‖ content)``: 32 bytes that tell nothing about the content once the salt is gone."""
    return hashlib.sha256(salt + content).digest()
