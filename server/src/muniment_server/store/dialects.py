"""What SQLite and PostgreSQL say differently in a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class matches(sa.sql.functions.GenericFunction[bool]):  # noqa: N801 - reads as a function in SQL
    r"""``matches(text, pattern)``: SQL's LIKE with ``\`` as escape, case-sensitive on every engine."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(matches, "postgresql")
def _matches_postgresql(element: matches, compiler: SQLCompiler, **options: Any) -> str:
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({text} LIKE {pattern} ESCAPE '\\')"


@compiles(matches, "sqlite")
def _matches_sqlite(element: matches, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite's LIKE folds ASCII case; its GLOB does not, and `pattern_for` has translated the pattern
    text, pattern = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({text} GLOB {pattern})"


def pattern_for(dialect: str, pattern: str) -> str:
    r"""A LIKE pattern (``%``, ``_``, ``\`` escapes) as `matches` wants it on an engine."""
    if dialect != "sqlite":
        return pattern + "\\" if _dangling(pattern) else pattern
    made: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            made.append(_glob_literal(next(letters, "\\")))
        elif letter == "%":
            made.append("*")
        elif letter == "_":
            made.append("?")
        else:
            made.append(_glob_literal(letter))
    return "".join(made)


def _dangling(pattern: str) -> bool:
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def _glob_literal(letter: str) -> str:
    return f"[{letter}]" if letter in "*?[" else letter


class among(sa.sql.functions.GenericFunction[Any]):  # noqa: N801 - reads as a function in SQL
    """``among(column, numbers)``: whether a column holds one of many numbers, sent as one parameter.

    See `numbers_for`. It has no type: of a truth value SQLite would be asked whether it is 1, and see no index.
    """

    inherit_cache = True


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} = ANY({numbers}))"


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({numbers})))"  # noqa: S608 - both are SQL already


class filtered(sa.sql.functions.GenericFunction[Any]):  # noqa: N801 - reads as a function in SQL
    """As `among`, of rows that another condition finds: SQLite would try every pair of the two lists in an index."""

    inherit_cache = True


compiles(filtered, "postgresql")(_among_postgresql)


@compiles(filtered, "sqlite")
def _filtered_sqlite(element: filtered, compiler: SQLCompiler, **options: Any) -> str:
    column, numbers = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(+{column} IN (SELECT value FROM json_each({numbers})))"  # noqa: S608 - both are SQL already


def numbers_for(dialect: str, numbers: Sequence[int]) -> Any:
    """Numbers as `among` wants them on an engine."""
    return msgspec.json.encode(numbers).decode() if dialect == "sqlite" else numbers


def listed(name: str) -> sa.BindParameter[Any]:
    """The parameter that numbers are sent as."""
    return sa.bindparam(name, type_=sa.types.NullType())


class OrderedJoin(sa.sql.expression.Join):
    """A join whose left side is read first. SQLite needs to be told; PostgreSQL knows its tables."""

    inherit_cache = True


@compiles(OrderedJoin, "postgresql")
def _join_postgresql(element: OrderedJoin, compiler: SQLCompiler, **options: Any) -> str:
    return str(cast("Any", compiler).visit_join(element, **options))


@compiles(OrderedJoin, "sqlite")
def _join_sqlite(element: OrderedJoin, compiler: SQLCompiler, **options: Any) -> str:
    inside = {**options, "asfrom": True}
    left, right = (compiler.process(side, **inside) for side in (element.left, element.right))
    assert element.onclause is not None
    return f"{left} CROSS JOIN {right} ON {compiler.process(element.onclause, **options)}"


class IndexedAlias(sa.sql.expression.Alias):
    """A table read through one of its indexes. SQLite needs to be told, since it prefers a table's own key."""

    inherit_cache = True  # the index is part of its name
    index = ""


def through(table: sa.Table, index: str) -> Any:
    """`table`, read through `index`."""
    made: Any = IndexedAlias._construct(table, name=f"by_{index}")  # noqa: SLF001 - SQLAlchemy has no other way
    made.index = index
    return made


@compiles(IndexedAlias, "postgresql")
def _alias_postgresql(element: IndexedAlias, compiler: SQLCompiler, **options: Any) -> str:
    return str(cast("Any", compiler).visit_alias(element, **options))


@compiles(IndexedAlias, "sqlite")
def _alias_sqlite(element: IndexedAlias, compiler: SQLCompiler, **options: Any) -> str:
    text = cast("Any", compiler).visit_alias(element, **options)
    return f"{text} INDEXED BY {element.index}" if options.get("asfrom") else str(text)


class folded_ascii(sa.sql.functions.GenericFunction[str]):  # noqa: N801 - reads as a function in SQL
    """``folded_ascii(text)``: A–Z as a–z and nothing else, on every engine."""

    type = sa.Text()
    inherit_cache = True


@compiles(folded_ascii, "postgresql")
def _folded_postgresql(element: folded_ascii, compiler: SQLCompiler, **options: Any) -> str:
    return f'lower({compiler.process(next(iter(element.clauses)), **options)} COLLATE "C")'


@compiles(folded_ascii, "sqlite")
def _folded_sqlite(element: folded_ascii, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(next(iter(element.clauses)), **options)})"


class spelled_id(sa.sql.functions.GenericFunction[str]):  # noqa: N801 - reads as a function in SQL
    """``spelled_id(id)``: a record's id as the 32 hex digits that it is outside of the database."""

    type = sa.Text()
    inherit_cache = True


@compiles(spelled_id, "postgresql")
def _spelled_postgresql(element: spelled_id, compiler: SQLCompiler, **options: Any) -> str:
    return f"replace(CAST({compiler.process(next(iter(element.clauses)), **options)} AS text), '-', '')"


@compiles(spelled_id, "sqlite")
def _spelled_sqlite(element: spelled_id, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower(hex({compiler.process(next(iter(element.clauses)), **options)}))"


def shipped(connection: sa.Connection, name: str, runs: list[int], values: list[float | None]) -> Any:
    """A table (run, value) of this transaction's own, to join with; doubles arrive bit by bit."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {name} (run INTEGER PRIMARY KEY, value REAL)")
        connection.exec_driver_sql(f"DELETE FROM temp.{name}")  # noqa: S608 - our own name
        if runs:
            pairs = list(zip(runs, values, strict=True))
            connection.exec_driver_sql(f"INSERT INTO temp.{name} VALUES (?, ?)", pairs)  # noqa: S608 - our own name
        return sa.table(name, sa.column("run", sa.BigInteger()), sa.column("value", sa.Double()))
    arrays = sa.func.unnest(
        sa.cast(sa.literal(runs, postgresql.ARRAY(sa.BigInteger())), postgresql.ARRAY(sa.BigInteger())),
        sa.cast(sa.literal(values, postgresql.ARRAY(sa.Double())), postgresql.ARRAY(sa.Double())),
    )
    columns: Any = sa.column("run", sa.BigInteger()), sa.column("value", sa.Double())
    return arrays.table_valued(*columns, name=name).render_derived()
