"""Requests: protocol messages in JSON, as the protobuf library would read them, and the checks made of them.

A field is spelled in snake or in camel case; a 64-bit integer is a number or a string; a double may be ``"NaN"``;
null is a field that is left out; unknown fields are ignored.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

import msgspec

from muniment_server.api.mlflow.wire.refusals import Refusal, invalid

Kind = Literal["string", "int32", "int64", "double", "bool", "enum", "message"]

SEE_DOCS = " See the API docs for more information about request parameters."
_NUMBER = re.compile(r"[+-]?[0-9]+\Z")
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


class Field(msgspec.Struct, frozen=True):
    """One field of a message.

    Attributes:
        kind: what it holds.
        many: whether it is a list.
        message: its own fields, of a message.
        values: the names of an enumeration, each with its number.
    """

    kind: Kind
    many: bool = False
    message: Message | None = None
    values: dict[str, int] = {}


Message = dict[str, Field]
"""A message's fields by their names in snake case."""

STRING, INT32, INT64, DOUBLE, BOOL = (Field(kind) for kind in ("string", "int32", "int64", "double", "bool"))
STRINGS = Field("string", many=True)


def enum(*names: str, first: int = 1) -> Field:
    """An enumeration, its names numbered on from `first`."""
    return Field("enum", values={name: first + at for at, name in enumerate(names)})


def one(**fields: Field) -> Field:
    """A message within another."""
    return Field("message", message=fields)


def many(**fields: Field) -> Field:
    """A list of messages."""
    return Field("message", many=True, message=fields)


class Misfit(Exception):
    """A field that holds something else than it should; the message says where and what."""


Check = tuple[str, tuple[Callable[[Any], bool] | str, ...]]
"""A parameter and what is checked of it, in order: ``required``, ``string``, ``bool``, ``integer``, ``number``,
``array``, ``strings``, or a function that is true of what is acceptable."""


def document_of(raw: bytes, media: str) -> dict[str, Any]:
    """The JSON object in a request's body; none is an empty one.

    Raises:
        Refusal: it is no JSON, or no object.
    """
    if media.partition(";")[0].strip().lower() != "application/json":
        raise Refusal("INVALID_PARAMETER_VALUE", "Bad Request. Content-Type must be one of ['application/json'].")
    found = _decoded(raw)
    if isinstance(found, str):  # old clients encode twice
        found = _decoded(found.encode("utf-8", "surrogatepass"))
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Refusal("BAD_REQUEST", f"The body must be a JSON object, not {type(found).__name__}.")
    return found


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):  # msgspec's own errors are among them
        try:
            return json.loads(raw)  # which also reads NaN, so that it can be refused where it stands
        except (ValueError, RecursionError):
            return None


def of_query(pairs: list[tuple[str, str]], message: Message) -> dict[str, Any]:
    """A message's fields in a query string, as they would stand in a document."""
    found: dict[str, Any] = {}
    for name, field in message.items():
        values = [value for key, value in pairs if key == name]
        if not values:
            continue
        if field.kind == "bool":
            if values[0].lower() not in {"true", "false"}:
                raise invalid(f"Invalid boolean value: {values[0]}, must be 'true' or 'false'.")
            found[name] = values[0].lower() == "true"
        else:
            found[name] = values if field.many else values[0]
    return found


def read(document: Mapping[str, Any], message: Message, checks: tuple[Check, ...] = ()) -> dict[str, Any]:
    """The fields of a message that are present, by name, after the checks.

    Raises:
        Refusal: a check failed, or a field cannot be read.
    """
    _refuse_ambiguous(document, message)
    misfit = None
    values: dict[str, Any] = {}
    try:
        values = _fields(document, message, "")
    except Misfit as error:
        misfit = error
    for name, wanted in checks:
        _check(document, name, wanted, typed=misfit is None)
    if misfit is not None:
        raise invalid(f"{misfit}{SEE_DOCS}")
    return values


def _refuse_ambiguous(document: Any, message: Message) -> None:
    if not isinstance(document, Mapping):
        return
    for name, field in message.items():
        other = camel(name)
        if other != name and name in document and other in document:
            raise invalid(f"Request specifies both '{name}' and '{other}'; provide only one of them.")
        if field.message is not None:
            value = document.get(name, document.get(other))
            for item in value if isinstance(value, list) else [value]:
                _refuse_ambiguous(item, field.message)


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """A field's other spelling."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _fields(document: Any, message: Message, place: str) -> dict[str, Any]:
    if not isinstance(document, Mapping):
        raise Misfit(f"Invalid value for '{place}': it must be an object.")
    found: dict[str, Any] = {}
    for name, field in message.items():
        value = document.get(name)
        if value is None:
            value = document.get(camel(name))
        if value is None or (field.kind == "enum" and _unknown(value, field)):
            continue
        where = f"{place}.{name}" if place else name
        if not field.many:
            found[name] = _value(value, field, where)
        elif isinstance(value, list):
            found[name] = [_value(item, field, f"{where}[{at}]") for at, item in enumerate(value)]
        else:
            raise Misfit(f"Invalid value for '{where}': it must be a list.")
    return found


def _value(value: Any, field: Field, where: str) -> Any:
    if field.kind == "message":
        return _fields(value, field.message or {}, where)
    if field.kind == "string" and isinstance(value, str):
        return value
    if field.kind == "bool" and isinstance(value, bool):
        return value
    if field.kind in _RANGES and not isinstance(value, bool):
        return _integer(value, field.kind, where)
    if field.kind == "double":
        return _double(value, where)
    if field.kind == "enum" and not isinstance(value, bool):
        return _enumerated(value, field, where)
    raise Misfit(f"Invalid value for '{where}': it must be a {field.kind}.")


def _integer(value: Any, kind: str, where: str) -> int:
    number = value
    spelled = isinstance(value, str) and _NUMBER.match(value) is not None and len(value) < 25
    if spelled or (isinstance(value, float) and value.is_integer()):
        number = int(value)
    low, high = _RANGES[kind]
    if not isinstance(number, int) or not low <= number <= high:
        raise Misfit(f"Invalid value for '{where}': it must be a {kind}.")
    return number


def _double(value: Any, where: str) -> float:
    if isinstance(value, int | float) and (isinstance(value, int) or math.isfinite(value)):
        try:
            return float(value)
        except OverflowError:
            raise Misfit(f"Invalid value for '{where}': it is too large for a double.") from None
    if isinstance(value, str) and value.isascii() and value == value.strip():
        try:
            return float(value)
        except ValueError:
            pass
    raise Misfit(f"Invalid value for '{where}': it must be a double.")


def _unknown(value: Any, field: Field) -> bool:
    """A name that an enumeration does not have is as good as none, so that newer clients are understood."""
    return isinstance(value, str) and value not in field.values and not value.isdigit()


def _enumerated(value: Any, field: Field, where: str) -> str:
    by_number = {str(number): name for name, number in field.values.items()}
    name = value if value in field.values else by_number.get(str(value))
    if not isinstance(name, str):
        raise Misfit(f"Invalid value for '{where}': it must be one of {', '.join(field.values)}.")
    return name


def _check(document: Mapping[str, Any], name: str, wanted: tuple[Any, ...], *, typed: bool) -> None:
    """Check one parameter, as the document has it."""
    if name not in document and "required" not in wanted:
        return
    value = document.get(name)
    if name == "run_id" and value is None:
        value = document.get("run_uuid")
    for check in wanted:
        if check == "required":
            if value is None or value == "":
                raise invalid(f"Missing value for required parameter '{name}'.{SEE_DOCS}")
        elif callable(check):
            if value is not None and not check(value):
                raise wrong(name, value)
        elif not typed and not _TYPES[check](value):
            raise wrong(name, value)


def wrong(name: str, value: Any) -> Refusal:
    """What is answered to a value of another type or out of bounds."""
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"))[:500]
    return invalid(
        f"Invalid value {shown} for parameter '{name}' supplied:  Hint: Value was of type "
        f"'{type(value).__name__}'.{SEE_DOCS}"
    )


def _like(kind: type[Any]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        try:
            kind(value)
        except (ValueError, TypeError, OverflowError):
            return isinstance(value, kind)
        return True

    return check


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "integer": _like(int),
    "number": _like(float),
    "array": lambda value: isinstance(value, list),
    "strings": lambda value: all(isinstance(item, str) for item in value),
}
