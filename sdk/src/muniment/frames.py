"""Tables as people have them (pandas, polars, Arrow, rows in Python), told without importing what they come from."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import msgspec

from muniment.model.errors import InvalidInput
from muniment.model.metric import to_wire
from muniment.model.schema import Column

NDJSON, PARQUET = "application/x-ndjson", "application/vnd.apache.parquet"


_TABLES = {("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table")}


class Told(msgspec.Struct, frozen=True):
    """What is recorded of a table.

    Attributes:
        schema: its columns, in order, with the types as its library calls them.
        rows: how many.
        digest: names the content, and by which library it was read: the same rows in another have another digest.
    """

    schema: list[Column]
    rows: int
    digest: str


def library(data: Any) -> str:
    """``pandas``, ``polars``, ``pyarrow``, ``rows``, or nothing."""
    for cls in type(data).__mro__:
        name = cls.__module__.partition(".")[0]
        if (name, cls.__name__) in _TABLES:
            return name
    return "rows" if isinstance(data, (list, tuple)) and all(isinstance(row, Mapping) for row in data) else ""


def tell(data: Any) -> Told:
    """What is recorded of a table.

    Args:
        data: a pandas or polars DataFrame, an Arrow table, or a list of mappings.

    Raises:
        InvalidInput: it is none of these.
    """
    found = library(data)
    if found == "pandas":
        return _pandas(data)
    if found == "polars":
        whole = data.rechunk()
        columns = [Column(name=str(name), type=str(kind)) for name, kind in whole.schema.items()]
        sink = io.BytesIO()
        whole.write_ipc(sink, compression="uncompressed")
        return Told(columns, whole.height, f"polars-sha256:{hashlib.sha256(sink.getvalue()).hexdigest()}")
    if found == "pyarrow":
        return _arrow(data)
    if found == "rows":
        keys = dict.fromkeys(str(key) for row in data for key in row)
        columns = [Column(name=key, type=_kind(row.get(key) for row in data)) for key in keys]
        hashed = hashlib.sha256()
        for row in data:
            hashed.update(_line(row))
        return Told(columns, len(data), f"rows-sha256:{hashed.hexdigest()}")
    raise InvalidInput(
        f"data is {type(data).__module__}.{type(data).__qualname__}; it takes a pandas or polars DataFrame, an Arrow "
        "table, or a list of mappings",
        field="data",
    )


def _pandas(data: Any) -> Told:
    from pandas.util import hash_pandas_object  # noqa: PLC0415 - whoever has a frame of it, has it

    columns = [Column(name=str(name), type=str(kind)) for name, kind in zip(data.columns, data.dtypes, strict=True)]
    hashed = hashlib.sha256(msgspec.json.encode([(column.name, column.type) for column in columns]))
    hashed.update(hash_pandas_object(data, index=True).to_numpy().astype("<u8").tobytes())
    return Told(columns, len(data), f"pandas-sha256:{hashed.hexdigest()}")


def _arrow(data: Any) -> Told:
    pa = sys.modules["pyarrow"]  # whoever has a table of it, has it

    whole = data.combine_chunks().replace_schema_metadata(None)
    columns = [Column(name=field.name, type=str(field.type), nullable=field.nullable) for field in whole.schema]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole, max_chunksize=65_536)
    return Told(columns, whole.num_rows, f"arrow-sha256:{hashlib.sha256(sink.getvalue()).hexdigest()}")


def _kind(values: Iterable[Any]) -> str:
    kinds = sorted({type(value).__name__ for value in values if value is not None})
    return " | ".join(kinds) or "null"


def _line(row: Mapping[Any, Any]) -> bytes:
    """A row as a line of JSON; what JSON has no word for is written as its text."""
    return (
        msgspec.json.encode(
            {str(key): _plain(value) for key, value in row.items()}, enc_hook=str, order="deterministic"
        )
        + b"\n"
    )


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return item()
    return to_wire(value) if isinstance(value, float) else value


def as_file(data: Any) -> tuple[bytes, str, str]:
    """A table as bytes to keep: (content, suffix, media type). Parquet where its library writes it, else NDJSON.

    Raises:
        InvalidInput: it is no table; see `tell`.
    """
    found = library(data)
    sink = io.BytesIO()
    if found == "polars":
        data.write_parquet(sink)
        return sink.getvalue(), ".parquet", PARQUET
    if found == "pyarrow":
        import_module("pyarrow.parquet").write_table(data, sink)
        return sink.getvalue(), ".parquet", PARQUET
    if found == "pandas":
        try:
            data.to_parquet(sink)
        except ImportError:  # pandas alone cannot write it
            return b"".join(_line(row) for row in data.to_dict(orient="records")), ".ndjson", NDJSON
        return sink.getvalue(), ".parquet", PARQUET
    if found == "rows":
        return b"".join(map(_line, data)), ".ndjson", NDJSON
    tell(data)
    raise AssertionError("unreachable: `tell` has refused it")


def drawn(figure: Any, path: str) -> tuple[bytes, str]:
    """A figure as bytes to keep, in the format that the path's suffix says: (content, media type).

    Args:
        figure: of matplotlib (or whatever has ``savefig``), plotly (``to_image``, ``to_html``), altair or Pillow
            (``save``).
        path: such as ``confusion.png`` or ``curve.svg``.

    Raises:
        InvalidInput: it is no figure that can be written.
    """
    suffix = path.rpartition(".")[2].lower() if "." in path else ""
    sink = io.BytesIO()
    if hasattr(figure, "savefig"):
        figure.savefig(sink, format=suffix or "png", bbox_inches="tight")
    elif hasattr(figure, "figure") and hasattr(figure.figure, "savefig"):  # axes
        figure.figure.savefig(sink, format=suffix or "png", bbox_inches="tight")
    elif suffix in {"html", "htm"} and hasattr(figure, "to_html"):
        sink.write(figure.to_html().encode())
    elif hasattr(figure, "to_image"):
        sink.write(figure.to_image(format=suffix or "png"))
    elif hasattr(figure, "save") and hasattr(figure, "mode"):  # Pillow's images
        figure.save(sink, format={"jpg": "JPEG"}.get(suffix, suffix.upper() or "PNG"))
    elif hasattr(figure, "to_html"):
        sink.write(figure.to_html().encode())
        suffix = "html"
    else:
        raise InvalidInput(
            f"{type(figure).__module__}.{type(figure).__qualname__} is no figure that can be written; "
            "write it to a file yourself and use log_artifact",
            field="figure",
        )
    kinds = {"svg": "image/svg+xml", "html": "text/html", "htm": "text/html", "pdf": "application/pdf",
             "jpg": "image/jpeg"}  # fmt: skip
    return sink.getvalue(), kinds.get(suffix, f"image/{suffix or 'png'}")
