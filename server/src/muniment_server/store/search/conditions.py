"""Conditions: each leaf of the tree becomes an expression that is true or false, never NULL."""

from __future__ import annotations

import operator
import string
from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muniment_server.language.tree import And, Compare, Field, In, Like, Match, Missing, Node, Not, Or, Value
from muniment_server.store import current, words
from muniment_server.store.dialects import folded_ascii, matches, pattern_for, spelled_id
from muniment_server.store.search import relations
from muniment_server.store.search.source import Source
from muniment_server.store.tables import PREFIX, experiments, prefix
from muniment_server.store.types import Id

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
EXPERIMENT_NAME = "experiment.name"
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def condition(source: Source, node: Node) -> sa.ColumnElement[bool]:
    """The SQL of a condition over the source's table."""
    if isinstance(node, And):
        # engines try them in this order, row by row: what is equal to something holds more rarely
        items = sorted(node.items, key=lambda item: not (isinstance(item, Compare) and item.op == "="))
        return sa.and_(sa.true(), *(condition(source, item) for item in items))
    if isinstance(node, Or):
        return sa.or_(sa.false(), *(condition(source, item) for item in node.items))
    if isinstance(node, Not):
        return sa.not_(condition(source, node.item))
    if isinstance(node, Missing):
        return _missing(source, node.field)
    if isinstance(node, Match):
        found = words.matching(source.connection.dialect.name, source.project_id, node.words)
        return source.table.c.no.in_(found)
    if node.field.kind == "relation":
        return relations.has(source, node.field, lambda column: _compared(source, column, node))
    if node.field.kind == "attribute":
        return _attribute(source, node)
    if node.field.kind in {"metric", "score"}:
        return _metric(source, node)
    return _text(source, node)


def _missing(source: Source, field: Field) -> sa.ColumnElement[bool]:
    if field.kind == "attribute":
        return column_of(source, field).is_(None)
    return sa.not_(relations.has(source, field, lambda _: sa.true()))


def column_of(source: Source, field: Field) -> sa.ColumnElement[Any]:
    """The column of an attribute, or what stands for one."""
    if field.name == EXPERIMENT_NAME:
        return _named(source).where(experiments.c.id == source.table.c.experiment).scalar_subquery()
    return source.table.c["valid_from" if field.name == "position" else field.name]


def _named(source: Source, *columns: Any) -> sa.Select[Any]:
    """The experiments of the source's project and moment."""
    return sa.select(*(columns or (experiments.c.name,))).where(
        experiments.c.project_id == source.project_id, current.at(experiments, source.as_of)
    )


def _attribute(source: Source, node: Compare | In | Like) -> sa.ColumnElement[bool]:
    if node.field.name == EXPERIMENT_NAME:  # few experiments are asked once, rather than one for every run
        asked = _named(source, experiments.c.id).where(_compared(source, experiments.c.name, node))
        return source.table.c.experiment.in_(asked)
    column = column_of(source, node.field)
    return sa.and_(column.isnot(None), _compared(source, column, node))


def _compared(source: Source, column: Any, node: Compare | In | Like) -> sa.ColumnElement[bool]:
    if isinstance(node, Compare):
        return _compare(column, node.op, _attribute_value(node.value))
    if isinstance(node, In):
        found: sa.ColumnElement[bool] = column.in_([_attribute_value(value) for value in node.values])
        return sa.not_(found) if node.negated else found
    return _like(source, column, node)


def _attribute_value(value: Value) -> Any:
    return value if isinstance(value, str | datetime | int) else sa.literal(value, sa.Double())


def _compare(column: Any, op: str, value: Any) -> sa.ColumnElement[bool]:
    compared: sa.ColumnElement[bool] = _OPERATORS[op](column, value)
    return compared


def _metric(source: Source, node: Compare | In | Like) -> sa.ColumnElement[bool]:
    if isinstance(node, Compare):
        value = _number(node.value)
        if node.op == "!=":  # NaN, which is NULL here, differs from every number
            return relations.has(source, node.field, lambda column: sa.or_(column.is_(None), column != value))
        return relations.has(source, node.field, lambda column: _compare(column, node.op, value))
    assert isinstance(node, In)
    values = [_number(item) for item in node.values]
    if node.negated:
        return relations.has(source, node.field, lambda column: sa.or_(column.is_(None), column.notin_(values)))
    return relations.has(source, node.field, lambda column: column.in_(values))


def _number(value: Value) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _text(source: Source, node: Compare | In | Like) -> sa.ColumnElement[bool]:
    """A param or tag; a param also compares as a number with numbers."""
    if isinstance(node, Like):
        return relations.has(source, node.field, lambda table: _like(source, table.c.value, node))
    if isinstance(node, Compare):
        value = node.value
        if isinstance(value, str):
            return relations.has(source, node.field, lambda table: text_compare(table, node.op, value))
        number = _number(value)
        if node.op == "!=":
            return relations.has(
                source, node.field, lambda table: sa.or_(table.c.number.is_(None), table.c.number != number)
            )
        return relations.has(
            source,
            node.field,
            lambda table: sa.and_(table.c.number.isnot(None), _compare(table.c.number, node.op, number)),
        )
    return _membership(source, node)


def text_compare(table: sa.Table, op: str, value: str) -> sa.ColumnElement[bool]:
    """A comparison of a value that its index can serve: the index holds the first characters."""
    if op != "=":
        return _compare(table.c.value, op, value)
    found = prefix(table) == value[:PREFIX]
    if len(value) < PREFIX:
        return found  # a value that is no longer than what the index holds is equal if that is
    # not "=": SQLite would put the constant into the indexed expression, and then not see the index
    return sa.and_(found, table.c.value >= value, table.c.value <= value)


def _membership(source: Source, node: In) -> sa.ColumnElement[bool]:
    if isinstance(node.values[0], str):
        texts = list(node.values)
        if node.negated:
            return relations.has(source, node.field, lambda table: table.c.value.notin_(texts))
        prefixes = sorted({str(text)[:PREFIX] for text in texts})
        return relations.has(
            source,
            node.field,
            lambda table: sa.and_(prefix(table).in_(prefixes), table.c.value.in_(texts)),
        )
    numbers = [_number(value) for value in node.values]
    if node.negated:
        return relations.has(
            source, node.field, lambda table: sa.or_(table.c.number.is_(None), table.c.number.notin_(numbers))
        )
    return relations.has(
        source, node.field, lambda table: sa.and_(table.c.number.isnot(None), table.c.number.in_(numbers))
    )


def _like(source: Source, column: Any, node: Like) -> sa.ColumnElement[bool]:
    dialect = source.connection.dialect.name
    column = spelled_id(column) if isinstance(column.type, Id) else column
    if node.fold:
        found: sa.ColumnElement[bool] = matches(
            folded_ascii(column), pattern_for(dialect, node.pattern.translate(_FOLD))
        )
    else:
        found = matches(column, pattern_for(dialect, node.pattern))
    return sa.not_(found) if node.negated else found
