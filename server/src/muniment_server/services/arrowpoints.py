"""Points in Arrow columns, a row each, as the columns of requests: no step of Python for a point."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from muniment.model.errors import InvalidInput, TooLarge
from muniment_server.services.arrowmessages import MESSAGE_LIMIT
from muniment_server.services.arrowvalues import ITEM, is_text, weights

FIELDS = ("run", "key", "value", "step", "timestamp")
NEEDED = FIELDS[:3]
_A_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_Ints = npt.NDArray[np.int64]


def check_columns(fields: list[pa.Field]) -> None:
    """Check that the columns are those of points.

    Raises:
        InvalidInput: one is missing, is another's, or of a type that it cannot have.
    """
    kinds = {field.name: field.type for field in fields}
    for name, kind in kinds.items():
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        if name not in FIELDS:
            raise InvalidInput(
                f"column {name[:100]!r} is none of points; these are: {', '.join(FIELDS)}", field=name
            )  # fmt: skip
        if name in {"run", "key"}:
            good, what = is_text(plain), "text"
        elif name == "value":
            good, what = pa.types.is_floating(kind) or pa.types.is_integer(kind), "numbers"
        else:
            zoned = name == "timestamp" and pa.types.is_timestamp(kind) and kind.tz is not None
            good = zoned or pa.types.is_integer(kind)
            what = "integers" if name == "step" else "epoch milliseconds or timestamps with a time zone"
        if not good and not pa.types.is_null(kind):
            raise InvalidInput(f"column {name} is {str(kind)[:100]}; it takes {what}", field=name)
    for name in NEEDED:
        if name not in kinds:
            raise InvalidInput(f"there is no column {name}; points need run, key and value", field=name)


def groups(columns: dict[str, pa.Array]) -> Iterator[dict[str, Any] | InvalidInput]:
    """The points of each run, as the command that logs them, or why it cannot be carried out.

    Raises:
        InvalidInput: a number is out of range.
        TooLarge: texts come to too much.
    """
    run, runs = _numbered(columns["run"], "run")
    key, keys = _numbered(columns["key"], "key")
    numbers = {name: _int64(columns[name], name) for name in ("step", "timestamp") if name in columns}
    value = columns["value"].cast(pa.float64(), safe=False)
    empty = value.is_null().to_numpy(zero_copy_only=False) if value.null_count else None
    doubles = value.to_numpy(zero_copy_only=False)
    for rows in _parts(run):
        own, names = _reduced(key[rows], keys)
        name = runs[int(run[rows][0])]
        if name is None or None in names:
            yield InvalidInput("points have no run or no key: it is null", field="run" if name is None else "key")
        elif empty is not None and empty[rows].any():
            yield InvalidInput(
                f"{int(empty[rows].sum()):,} points of run {name[:40]} have no value: it is null", field="value"
            )
        else:
            yield {
                "do": "run.log", "run": name, "series": names,
                "value": doubles[rows].astype("<f8", copy=False).tobytes(),
                **({"key": own.tolist()} if len(names) > 1 else {}),
                **{name: given[rows].astype("<i8", copy=False).tobytes() for name, given in numbers.items()},
            }  # fmt: skip


def _numbered(array: pa.Array, field: str) -> tuple[_Ints, list[str | None]]:
    """Texts as numbers of distinct ones; null has the last number, which stands for None."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.int64), [None]
    source = array.dictionary if pa.types.is_dictionary(array.type) else array
    if weights(source, field).sum() > MESSAGE_LIMIT + ITEM * len(
        source
    ):  # views may stand for the same bytes again and again
        raise TooLarge(f"the texts of column {field} have more than {MESSAGE_LIMIT:,} bytes", field=field)
    coded = source.dictionary_encode()
    codes = coded.indices if source is array else coded.indices.take(array.indices)
    numbers, distinct = codes.cast(pa.int64()).fill_null(len(coded.dictionary)).to_numpy(), coded.dictionary
    if len(distinct) > 4 * len(array):  # of a large dictionary, what is meant
        kept, numbers = np.unique(numbers, return_inverse=True)
        return numbers, [None if at == len(distinct) else distinct[at].as_py() for at in kept.tolist()]
    return numbers, [*distinct.to_pylist(), None]


def _parts(run: _Ints) -> Iterator[Any]:
    """The rows of each run, in their order."""
    if len(run) == 0:
        return
    if (run == run[0]).all():
        yield slice(None)
        return
    order = np.argsort(run, kind="stable")
    ends = np.flatnonzero(np.diff(run[order])) + 1
    yield from np.split(order, ends)


def _reduced(key: _Ints, names: list[str | None]) -> tuple[_Ints, list[str | None]]:
    """The names that some points have, and the numbers of these."""
    if len(names) <= 4 * len(key):
        used = np.zeros(len(names), bool)
        used[key] = True
        kept = np.flatnonzero(used)
        numbers = (np.cumsum(used) - 1)[key]
    else:
        kept, numbers = np.unique(key, return_inverse=True)
    return numbers, [names[at] for at in kept.tolist()]


def _int64(array: pa.Array, field: str) -> _Ints:
    """Steps, or times in epoch milliseconds; what is null is step 0, or now."""
    default = 0 if field == "step" else time.time_ns() // 1_000_000
    kind = array.type
    try:
        whole = array.cast(pa.int64()).fill_null(default if not pa.types.is_timestamp(kind) else 0).to_numpy()
    except pa.ArrowInvalid:
        raise InvalidInput(f"column {field} holds a number of more than 64 bits with sign", field=field) from None
    if not pa.types.is_timestamp(kind):
        return np.asarray(whole, np.int64)
    unit = _A_SECOND[kind.unit]
    if unit == 1:
        if len(whole) and (whole.max() > 2**53 or whole.min() < -(2**53)):
            raise InvalidInput("column timestamp holds a time that is out of range", field=field)
        made = whole * 1_000
    else:
        made = whole // (unit // 1_000)
    if array.null_count:
        made = np.where(array.is_null().to_numpy(zero_copy_only=False), default, made)
    return np.asarray(made, np.int64)
