"""Values of Arrow columns as JSON would give them, and how much they come to before they are made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from muniment.model.errors import InvalidInput, TooLarge
from muniment.model.metric import to_wire

COLUMNS_LIMIT = 1_000
"""Columns, those within others included."""
DEPTH_LIMIT = 32
"""Columns within columns."""
ITEM = 64
"""Bytes of a value in Python, about."""
VALUES_LIMIT = 8 * 1024 * 1024
"""Values of a column in one record batch, those in its lists."""

_types = pa.types


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of the three of text."""
    return bool(_types.is_string(kind) or _types.is_large_string(kind) or _types.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(_types.is_list(kind) or _types.is_large_list(kind) or _types.is_fixed_size_list(kind))


def _is_plain(kind: pa.DataType) -> bool:
    return bool(
        is_text(kind) or _types.is_boolean(kind) or _types.is_integer(kind) or _types.is_floating(kind)
        or _types.is_timestamp(kind)
    )  # fmt: skip


def check_columns(fields: list[pa.Field]) -> None:
    """Check that columns are of types that JSON has values for.

    Raises:
        InvalidInput: one is not, or two of one name lie side by side.
        TooLarge: there are too many, or they are nested too deeply.
    """
    count = 0
    waiting = [(fields, "", 1)]
    while waiting:
        level, place, depth = waiting.pop()
        count += len(level)
        if count > COLUMNS_LIMIT or depth > DEPTH_LIMIT:
            raise TooLarge(
                f"the schema has more than {COLUMNS_LIMIT:,} columns, or more than {DEPTH_LIMIT} within each other",
                field="body",
            )
        names = [field.name for field in level]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(f"the schema has two columns {place}{twice[:100]}", field=f"{place}{twice}")
        for field in level:
            within = _within(field.type, f"{place}{field.name}")
            if within:
                waiting.append((within, f"{place}{field.name}.", depth + 1))


def _within(kind: pa.DataType, place: str) -> list[pa.Field]:
    """The columns within one."""
    if _types.is_struct(kind):
        return [kind.field(at) for at in range(kind.num_fields)]
    if _is_list(kind):
        return [kind.value_field]
    if _types.is_map(kind) and is_text(kind.key_type):
        return [kind.key_field, kind.item_field]
    if _types.is_null(kind) or _is_plain(kind) or (_types.is_dictionary(kind) and _is_plain(kind.value_type)):
        return []
    raise InvalidInput(
        f"column {place[:200]} is {str(kind)[:100]}; it takes text, numbers, booleans, timestamps, lists, structs and "
        "maps by text: cast it",
        field=place,
    )


def weights(array: pa.Array, place: str) -> npt.NDArray[np.int64]:
    """Bytes that each value of a column comes to in Python, about: told without making them; shape (n,).

    Views, dictionaries and lists of nothing take next to no bytes and may stand for any number of values.

    Raises:
        TooLarge: there are more values than can be told.
    """
    if len(array) > VALUES_LIMIT:
        raise TooLarge(
            f"column {place} has {len(array):,} values in one record batch; the limit is {VALUES_LIMIT:,}: "
            "write smaller ones (max_chunksize)",
            field=place,
        )
    kind, made = array.type, np.full(len(array), ITEM, np.int64)
    if _types.is_dictionary(kind):
        if is_text(kind.value_type):
            made += _lengths(array.dictionary).take(array.indices).fill_null(0).to_numpy()
    elif is_text(kind):
        made += _lengths(array).fill_null(0).to_numpy()
    elif _types.is_struct(kind):
        for child in array.flatten():
            made += weights(child, place)
    elif _types.is_map(kind) or _is_list(kind):
        listed = _listed(array)
        sums = np.append(0, np.cumsum(weights(listed.flatten(), place)))
        sizes = pc.list_value_length(listed).cast(pa.int64()).fill_null(0).to_numpy()
        ends = np.cumsum(sizes)
        made += sums[ends] - sums[ends - sizes]
    return made


def _lengths(array: pa.Array) -> pa.Array:
    """Bytes of each text."""
    if not _types.is_string_view(array.type):
        return pc.binary_length(array).cast(pa.int64())
    views = np.frombuffer(array.buffers()[1] or b"", "<i4")[::4]  # each begins with its length
    return pa.array(
        views[array.offset : array.offset + len(array)].astype(np.int64),
        mask=np.asarray(array.is_null().to_numpy(zero_copy_only=False)),
    )


def _listed(array: pa.Array) -> pa.Array:
    """Lists as they are, and maps as lists of their entries."""
    if not _types.is_map(array.type):
        return array
    return array.cast(pa.list_(pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])))


def values(array: pa.Array) -> list[Any]:
    """The values of a column, None for null: text for times, the words of JSON for doubles that are no numbers.

    Of structs, what is null is left out; `weights` must have been asked before.
    """
    kind = array.type
    if _types.is_dictionary(kind):
        if _types.is_string_view(kind.value_type):  # which Arrow has no `take` for
            entries = {at: array.dictionary[at].as_py() for at in array.indices.unique().drop_null().to_pylist()}
            return [entries.get(at) for at in array.indices.to_pylist()]
        return values(array.dictionary.take(array.indices))
    if _types.is_floating(kind):
        doubles = array.cast(pa.float64())
        made: list[Any] = doubles.to_pylist()
        if pc.all(pc.is_finite(doubles)).as_py() is False:
            made = [value if value is None or math.isfinite(value) else to_wire(value) for value in made]
        return made
    if _types.is_timestamp(kind):
        return _times(array)
    if _types.is_struct(kind):
        return _structs(array)
    if _types.is_map(kind):
        listed = _listed(array)
        pairs = listed.flatten()
        items = list(zip(values(pairs.field(0)), values(pairs.field(1)), strict=True))
        return [None if part is None else dict(part) for part in _cut(listed, items)]
    if _is_list(kind):
        return _cut(array, values(array.flatten()))
    return list(array.to_pylist())


def _cut(lists: pa.Array, items: list[Any]) -> list[list[Any] | None]:
    """The items of each list; of null, None."""
    made: list[list[Any] | None] = []
    at = 0
    for size in pc.list_value_length(lists).to_pylist():
        made.append(None if size is None else items[at : at + size])
        at += size or 0
    return made


def _structs(array: pa.StructArray) -> list[Any]:
    names = [array.type.field(at).name for at in range(array.type.num_fields)]
    columns = [values(child) for child in array.flatten()]
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    made: list[Any] = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None} for row in rows
    ]
    if array.null_count:
        for at in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist():
            made[at] = None
    return made


def _times(array: pa.TimestampArray) -> list[str | None]:
    """Times as RFC 3339 writes them; without a zone if the column has none."""
    whole = array.cast(pa.int64()).fill_null(0).to_numpy()
    zone = "" if array.type.tz is None else "Z"  # Arrow keeps UTC whatever zone it names
    texts = np.datetime_as_string(whole.view(f"M8[{array.type.unit}]")).tolist()
    nulls = array.is_null().to_pylist()
    return [None if null else f"{text}{zone}" for text, null in zip(texts, nulls, strict=True)]
