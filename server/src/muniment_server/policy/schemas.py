"""Holding a document to a JSON Schema: what is wrong with it, at a cost that is known before.

A schema may lead to itself and be applied many times to one place, so that a few lines of it take hours. What a check
may cost is therefore estimated from above, and refused if it is too much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import msgspec

from muniment.model.errors import InvalidInput, TooLarge

WORK_LIMIT = 5_000_000
"""Places of a document times the rules that each may be held to: about a second's work."""
RULES_LIMIT = 250_000
"""Rules that one place may be held to: no document of more than 20 places could be checked by more of them."""
_TEXT = 200
_ELSEWHERE = frozenset(("$dynamicRef", "$recursiveRef"))
_CHILDREN = frozenset(("items", "prefixItems", "additionalProperties", "patternProperties", "additionalItems",
                       "unevaluatedItems", "unevaluatedProperties", "contains"))  # fmt: skip


def check(schema: dict[str, Any]) -> None:
    """Check that a document is a JSON Schema whose references stay within it.

    Raises:
        InvalidInput: it is none.
        TooLarge: one place of a document could be held to too many rules.
    """
    for key, value in _entries(schema):
        local = isinstance(value, str) and (value == "#" or value.startswith("#/"))
        if key == "$ref" and not local:
            raise InvalidInput(f"schema: $ref {one_line(str(value))!r} is not of the form #/…", field="schema")
        if key in _ELSEWHERE or (key == "$id" and value != schema.get("$id")):
            raise InvalidInput(f"schema: {key} is not supported within a schema; use $ref with #/…", field="schema")
    encoded = msgspec.json.encode(schema)
    try:
        _validator(encoded)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        said = one_line(str(error).partition("\n")[0])
        raise InvalidInput(f"schema is no JSON Schema: {said}", field="schema") from None
    if _weight(encoded)[0] > RULES_LIMIT:
        raise TooLarge("schema holds one place of a document to too many rules; use fewer references", field="schema")


def _entries(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a schema with its value, but for names of properties and examples."""
    waiting: list[tuple[Any, bool]] = [(schema, False)]
    while waiting:
        item, names = waiting.pop()
        if isinstance(item, list):
            waiting.extend((part, False) for part in item)
        elif isinstance(item, dict):
            for key, value in item.items():
                if not names:
                    yield key, value
                if names or key not in {"const", "enum", "default", "examples"}:
                    within = not names and key in {"properties", "patternProperties", "$defs", "definitions",
                                                   "dependentSchemas"}  # fmt: skip
                    waiting.append((value, within))


def wrong(schema: dict[str, Any], value: Any, limit: int) -> list[str]:
    """What of a document is not as a schema says, a line each, `limit` of them at the most.

    Raises:
        TooLarge: to say so would take too long.
    """
    encoded = msgspec.json.encode(schema)
    weight, circles = _weight(encoded)
    work = weight * _nodes(value) * max(1, circles) ** _depth(value)
    if weight > RULES_LIMIT or work > WORK_LIMIT:
        raise TooLarge("value is too large for its type to check", field="value")
    found = []
    for error in _validator(encoded).iter_errors(value):
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        found.append(f"value{one_line(path)}: {one_line(error.message)}")
        if len(found) == limit:
            break
    return found


def one_line(text: str) -> str:
    """The beginning of a text as one line, whatever is in it."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:_TEXT])


@lru_cache(maxsize=256)
def _weight(encoded: bytes) -> tuple[int, int]:
    """(rules that one place may be held to, times that it may be led back to one rule by way of one child).

    Beyond `RULES_LIMIT` nobody counts on.
    """
    schema = msgspec.json.decode(encoded)
    circles: Counter[tuple[str, ...]] = Counter()
    total = 0
    waiting: list[tuple[Any, tuple[str, ...], tuple[str, ...]]] = [(schema, (), ("#",))]
    while waiting and total <= RULES_LIMIT:
        item, path, within = waiting.pop()
        total += 1
        if isinstance(item, list):
            waiting.extend((part, path, within) for part in item)
        if not isinstance(item, dict):
            continue
        for key, value in item.items():
            if key == "$ref" and isinstance(value, str):
                if value in within:
                    circles[value, *path] += 1
                else:
                    waiting.append((_at(schema, value), path, (*within, value)))
            elif key == "properties" and isinstance(value, dict):
                waiting.extend((part, (*path, f"p{name}"), within) for name, part in value.items())
            elif key in _CHILDREN:
                waiting.append((value, (*path, "*"), within))
            elif key not in {"$defs", "definitions", "const", "enum", "default", "examples"}:
                waiting.append((value, path, within))
    return total, max(circles.values(), default=1)


def _at(root: Any, pointer: str) -> Any:
    """What a local reference leads to."""
    found = root
    for part in unquote(pointer).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(name)] if name.isdigit() and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found


def _nodes(document: Any) -> int:
    count, waiting = 0, [document]
    while waiting:
        item = waiting.pop()
        count += 1
        waiting.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
    return count


def _depth(document: Any) -> int:
    deepest, waiting = 0, [(document, 1)]
    while waiting:
        item, depth = waiting.pop()
        deepest = max(deepest, depth)
        inside = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((part, depth + 1) for part in inside)
    return deepest


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri[:100]} lies elsewhere, and references are not followed")


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    """The validator of a schema; its patterns take time in proportion to what they look at."""
    return jsonschema_rs.validator_for(
        msgspec.json.decode(schema), retriever=_refuse, validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(),
    )  # fmt: skip
