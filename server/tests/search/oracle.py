r"""The search language again, in plain Python over plain records: slow, short, and with no engine in it.

What a condition means is said in `muniment_server.language.tree`, what an order means in
`muniment_server.store.search.ordering`; this file says both a second time, so that the property test in
`test_search.py` has somebody to ask. It shares with the product only the tree and the rule of which texts are numbers.
"""

from __future__ import annotations

import math
import operator
import string
import unicodedata
from collections.abc import Sequence
from typing import Any

import msgspec

from muniment.model.metric import Summary, to_wire
from muniment.model.run import param_number
from muniment_server.language.tree import And, Compare, Field, In, Like, Match, Missing, Node, Not, Or, Order

MISSING = object()
"""What a record says of a field that it lacks."""

_OPERATORS = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
ANY = object()
ONE = object()


class Point(msgspec.Struct, frozen=True):
    """A metric point as it was received, and the position of its entry."""

    position: int
    step: int
    timestamp: int
    value: float


class Record(msgspec.Struct):
    """One record as it was at one moment.

    Attributes:
        no: numbers ascend in the order in which records were made.
        record: the struct that the store must answer with.
        related: attributes that are those of another record.
        relations: what each relation gives: any of it may meet a condition.
        scores: the metrics of evaluations of it, or its own.
    """

    no: int
    record: Any
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    points: dict[str, list[Point]] = {}
    related: dict[str, Any] = {}
    relations: dict[str, list[Any]] = {}
    scores: dict[str, list[float]] = {}


def value_of(record: Record, field: Field) -> Any:
    """The value of a field, or `MISSING`."""
    if field.kind == "attribute":
        value = record.related[field.name] if field.name in record.related else getattr(record.record, field.name)
        return MISSING if value is None else value
    if field.kind == "score":  # of an evaluation, which has one of each
        return record.scores.get(field.name, [MISSING])[0]
    if field.kind == "metric":
        points = record.points.get(field.name)
        return aggregate(points, field.aggregate) if points else MISSING
    return (record.params if field.kind == "param" else record.tags).get(field.name, MISSING)


def texts_of(record: Any) -> str:
    """Everything that full text reads of a record."""
    names = ("name", "namespace", "title", "description", "text", "type", "slice", "license", "uri", "user", "version")
    return " ".join(text for name in names if isinstance(text := getattr(record, name, None), str))


def words(text: str) -> set[str]:
    """Runs of letters, digits and underscores, without case and accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c)).lower()
    return {word[:100] for word in "".join(c if c.isalnum() or c == "_" else " " for c in plain).split(" ") if word}


def _place(point: Point) -> tuple[Any, ...]:
    """Points in the order of (step, timestamp, value), NaN before every number."""
    number = (0, 0.0) if math.isnan(point.value) else (1, point.value)
    return point.step, point.timestamp, number


def aggregate(points: list[Point], name: str) -> Any:
    """One aggregate of the points of a series."""
    if name == "count":
        return float(len(points))
    if name in {"first", "last"}:
        return (min if name == "first" else max)(points, key=_place).value
    finite = [point.value for point in points if math.isfinite(point.value)]
    return (min if name == "min" else max)(finite) if finite else MISSING


def summary(points: list[Point]) -> Summary:
    """The summary of a series; zeros of both signs are one value."""
    first, last = min(points, key=_place), max(points, key=_place)
    finite = [point for point in points if math.isfinite(point.value)]
    low = min(finite, key=lambda point: (point.value, point.step), default=None)
    high = min(finite, key=lambda point: (-point.value, point.step), default=None)
    return Summary(
        count=len(points),
        last=to_wire(last.value + 0.0), last_step=last.step, last_timestamp=last.timestamp,
        first=to_wire(first.value + 0.0), first_step=first.step, first_timestamp=first.timestamp,
        min=None if low is None else low.value + 0.0, min_step=None if low is None else low.step,
        max=None if high is None else high.value + 0.0, max_step=None if high is None else high.step,
        position=max(point.position for point in points),
    )  # fmt: skip


def holds(node: Node, record: Record) -> bool:
    """Whether a record meets a condition. There is no third truth value."""
    if isinstance(node, And):
        return all(holds(item, record) for item in node.items)
    if isinstance(node, Or):
        return any(holds(item, record) for item in node.items)
    if isinstance(node, Not):
        return not holds(node.item, record)
    if isinstance(node, Match):
        held = words(texts_of(record.record))
        return all(any(has.startswith(word) if more else has == word for has in held) for word, more in node.words)
    if node.field.kind in {"relation", "score"}:
        found: list[Any] = (record.relations if node.field.kind == "relation" else record.scores).get(
            node.field.name, []
        )
        return not found if isinstance(node, Missing) else any(_meets(node, value) for value in found)
    value = value_of(record, node.field)
    if isinstance(node, Missing):
        return value is MISSING
    return value is not MISSING and _meets(node, value)


def _meets(node: Compare | In | Like, value: Any) -> bool:
    """Whether a value that is there meets a condition."""
    if isinstance(node, Compare):
        return _compares(node.field, value, node.op, node.value)
    if isinstance(node, In):
        return any(_compares(node.field, value, "=", item) for item in node.values) != node.negated
    text, pattern = (value.translate(_FOLD), node.pattern.translate(_FOLD)) if node.fold else (value, node.pattern)
    return like(text, pattern) != node.negated


def _compares(field: Field, value: Any, op: str, wanted: Any) -> bool:
    if field.kind == "param" and not isinstance(wanted, str):
        value = param_number(value)
        if value is None:  # no number is like NaN: it differs from every number
            return op == "!="
    if field.kind in {"metric", "param", "score"} and not isinstance(wanted, str):
        wanted = float(wanted)
    return bool(_OPERATORS[op](value, wanted))


def like(text: str, pattern: str) -> bool:
    """SQL's LIKE over whole characters: the set of places that the pattern can have reached."""
    parts: list[Any] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            parts.append(next(letters, "\\"))
        else:
            parts.append(ANY if letter == "%" else ONE if letter == "_" else letter)
    reached = {0}
    for part in parts:
        if part is ANY:
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(text) and (part is ONE or text[at] == part)}
    return len(text) in reached


def rank_and_value(record: Record, order: Order) -> tuple[int, Any]:
    """Which stretch of a sort key a record is in, and what sorts it there."""
    value = value_of(record, order.field)
    if value is MISSING:
        return 2, None
    if order.field.kind == "param":
        number = param_number(value)
        return (1, (value,)) if number is None else (0, (number, value))
    if isinstance(value, float) and math.isnan(value):
        return 1, None
    return 0, value


def ordered(records: Sequence[Record], orders: list[Order]) -> list[Record]:
    """Records in order; one stable sort for each key, the last key first."""
    made = sorted(records, key=lambda record: record.no, reverse=orders[0].descending if orders else True)
    for order in reversed(orders):
        ranks: dict[int, list[tuple[Any, Record]]] = {0: [], 1: [], 2: []}
        for record in made:
            rank, value = rank_and_value(record, order)
            ranks[rank].append((value, record))
        made = []
        for found in ranks.values():
            if found and found[0][0] is not None:
                found.sort(key=lambda pair: pair[0], reverse=order.descending)
            made.extend(record for _, record in found)
    return made


def search(records: Sequence[Record], where: Node, orders: list[Order], lifecycle: str) -> list[Record]:
    """The whole answer of a search."""
    matching = [record for record in records if lifecycle in {"any", record.record.lifecycle} and holds(where, record)]
    return ordered(matching, orders)
