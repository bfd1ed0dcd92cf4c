"""Filters and orders over logged models, decided here one model after the other."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from muniment.model.mlflow import milliseconds, model_id
from muniment_server.api.mlflow.translate.filters import Clause, holds, listed, tokens
from muniment_server.api.mlflow.translate.kept import STATUSES, Point
from muniment_server.api.mlflow.translate.logged import (
    artifact_uri,
    latest,
    points,
    rank,
    said_of,
    updated,
)
from muniment_server.api.mlflow.translate.places import Place
from muniment_server.api.mlflow.wire.refusals import Refusal, invalid
from muniment_server.services.registry import Version

_ENTITIES = ("attributes", "metrics", "params", "tags")
_NUMBER_OPS = ("<", "<=", ">", ">=", "=", "!=")
_TEXT_OPS = ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
_OTHER_NAMES = {
    "creation_time": "creation_timestamp_ms", "creation_timestamp": "creation_timestamp_ms",
    "last_updated_timestamp": "last_updated_timestamp_ms",
}  # fmt: skip
_NUMBERS = frozenset(("creation_timestamp_ms", "last_updated_timestamp_ms"))
_ATTRIBUTES = frozenset((
    "name", "model_id", "model_type", "status", "source_run_id", "experiment_id", "lifecycle_stage",
    "artifact_location", *_NUMBERS,
))  # fmt: skip
_STATUS = dict(zip(("UNSPECIFIED", "PENDING", "READY", "FAILED"), STATUSES, strict=True))
_IDENTIFIER = re.compile(r"([a-z]+)\.(.+)\Z", re.DOTALL)


class Dataset(msgspec.Struct, frozen=True):
    """The data on which metrics are asked about: its name, and its digest if that matters."""

    name: str
    digest: str = ""


class Asked(msgspec.Struct, frozen=True):
    """A logged model as filters and orders see it."""

    found: Version
    attributes: dict[str, str | int]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: list[Point]


def asked(found: Version, place: Place) -> Asked:
    """A logged model to be asked."""
    said, model = said_of(found), model_id(found.version.id)
    attributes: dict[str, str | int] = {
        "name": said.name, "model_id": model, "model_type": said.model_type, "status": said.status,
        "source_run_id": said.source_run_id, "experiment_id": place.number, "lifecycle_stage": "active",
        "artifact_location": artifact_uri(place, model),
        "creation_timestamp_ms": milliseconds(found.version.created_at), "last_updated_timestamp_ms": updated(found),
    }  # fmt: skip
    return Asked(found, attributes, said.params, found.details.tags, points(found))


def parse(text: str) -> list[Clause]:
    """The comparisons of a filter.

    Raises:
        Refusal: it cannot be read, or asks for what a logged model does not have.
    """
    if text and not text.strip():
        raise invalid(f"Invalid filter string: {text!r}. Expected a single SQL expression.")
    try:
        words = tokens(text)
    except Refusal:
        raise _unreadable(text) from None
    clauses: list[Clause] = []
    at = 0
    while at < len(words):
        if clauses:
            if words[at][1].upper() != "AND" or at + 1 == len(words):
                raise _unreadable(text)
            at += 1
        at = _clause(words, at, text, clauses)
    return clauses


def _unreadable(text: str) -> Refusal:
    return invalid(
        f"Invalid filter string: {text!r}. Expected a list of comparisons separated by 'AND' (e.g. 'metrics.loss > 0.1 "
        "AND params.lr = 0.01')."
    )


def _clause(words: list[tuple[str, str]], at: int, text: str, clauses: list[Clause]) -> int:
    """Read one comparison; where the next word is."""
    sort, name = words[at]
    following = [spelling.upper() for _, spelling in words[at + 1 : at + 4]]
    if sort != "name" or not following:
        raise _unreadable(text)
    if following[0] == "IS":
        raise invalid(f"Invalid comparison: {name} {' '.join(following)}. Expected a comparison with 3 tokens.")
    op, value_at = following[0], at + 2
    if following[:2] == ["NOT", "IN"]:
        op, value_at = "NOT IN", at + 3
    if value_at >= len(words) or words[value_at][0] == "other":
        raise _unreadable(text)
    entity, key = _identifier(name)
    numeric = entity == "metrics" or key in _NUMBERS
    known = _NUMBER_OPS if numeric else _TEXT_OPS
    if op not in known:
        raise invalid(f"Invalid comparison operator for {entity}.{key}: {op!r}. Expected one of {known}.")
    clauses.append(Clause(entity, key, op, _value(words[value_at], entity, key, op, numeric=numeric)))
    return value_at + 1


def _identifier(name: str) -> tuple[str, str]:
    match = _IDENTIFIER.match(name)
    entity, key = (match[1], match[2]) if match else ("attributes", name)
    if entity not in _ENTITIES:
        raise invalid(f"Invalid entity type: {entity!r}. Expected one of {list(_ENTITIES)}.")
    key = key.strip('`"')
    if entity == "attributes":
        key = _OTHER_NAMES.get(key, key)
        if key not in _ATTRIBUTES:
            raise invalid(f"Invalid attribute key '{key}' specified. Valid keys are {sorted(_ATTRIBUTES)}")
    return entity, key


def _value(
    word: tuple[str, str], entity: str, key: str, op: str, *, numeric: bool
) -> str | float | tuple[str, ...]:  # fmt: skip
    sort, spelling = word
    if numeric:
        if sort != "number":
            raise invalid(f"Invalid value for {entity}.{key}: {spelling} is no number")
        return float(spelling)
    if op in {"IN", "NOT IN"}:
        texts = listed(sort, spelling)
        return tuple(map(_status, texts)) if key == "status" and entity == "attributes" else texts
    text = spelling[1:-1] if sort == "text" else spelling
    return _status(text) if key == "status" and entity == "attributes" and op in {"=", "!="} else text


def _status(text: str) -> str:
    if text not in _STATUS:
        raise invalid(f"Unknown model status in filter: {text!r}")
    return _STATUS[text]


def meets(model: Asked, clauses: Sequence[Clause], datasets: Sequence[Dataset]) -> bool:
    """Whether a logged model meets all comparisons; those of metrics on any of some data, if data is asked for."""
    measured = [point for point in model.points if not datasets or any(_is_on(point, data) for data in datasets)]
    if datasets and not measured:
        return False
    return all(_meets(model, clause, measured) for clause in clauses)


def _is_on(point: Point, data: Dataset) -> bool:
    return point.dataset_name == data.name and data.digest in {"", point.dataset_digest}


def _meets(model: Asked, clause: Clause, measured: Sequence[Point]) -> bool:
    if clause.entity == "metrics":
        return any(_compared(point.value, clause) for point in measured if point.key == clause.key)
    if clause.entity == "attributes":
        value = model.attributes[clause.key]
        return holds(clause, value) if isinstance(value, str) else _compared(value, clause)
    texts = model.params if clause.entity == "params" else model.tags
    return clause.key in texts and holds(clause, texts[clause.key])


def _compared(value: float, clause: Clause) -> bool:
    assert isinstance(clause.value, float)
    return _OPERATORS[clause.op](value, clause.value)


def narrowed(clauses: Sequence[Clause], key: str) -> str | None:
    """The value that an attribute must be equal to, if there is one."""
    return next(
        (
            str(clause.value)
            for clause in clauses
            if (clause.entity, clause.key, clause.op) == ("attributes", key, "=")
        ),
        None,
    )  # fmt: skip


def ordered(models: list[Asked], order_by: Sequence[Mapping[str, Any]]) -> list[Asked]:
    """Logged models in order; ties are broken by the creation, newest first.

    Raises:
        Refusal: nothing can be sorted by a key.
    """
    keys = [_key(said) for said in order_by]
    models = sorted(models, key=lambda model: str(model.attributes["model_id"]))
    models.sort(key=lambda model: int(model.attributes["creation_timestamp_ms"]), reverse=True)
    for key, descending in reversed(keys):
        models.sort(key=key, reverse=descending)
    return models


def _key(said: Mapping[str, Any]) -> tuple[Callable[[Asked], Any], bool]:
    """What to sort by, and whether that is turned round."""
    name, descending = said.get("field_name", ""), not said.get("ascending", True)
    entity, dot, metric = name.partition(".")
    if not dot:
        attribute = _OTHER_NAMES.get(name, name)
        if attribute not in _ATTRIBUTES:
            raise invalid(f"Invalid order by field name: {name}")
        return lambda model: model.attributes[attribute], descending
    if entity != "metrics":
        raise invalid(f"Invalid order by field name: {name}. Only metrics are supported.")
    data, digest = said.get("dataset_name") or None, said.get("dataset_digest") or None

    def key(model: Asked) -> tuple[int, float]:
        chosen = latest(
            point
            for point in model.points
            if point.key == metric and data in {None, point.dataset_name} and digest in {None, point.dataset_digest}
        )
        return rank(chosen, descending=descending)

    return key, False
