"""Level 0: the payload of one points entry, as it lies in its row until it is compacted.

Layout, little-endian: version u8, flags u8, points u32, series u32; then the interned numbers of the series (u32
each); then, compressed by zstd if flag 1 is set, the columns: key index (u8, u16 or u32; none for a single series),
step i64, timestamp i64, value f64.
"""

from __future__ import annotations

import struct

import numpy as np
import zstandard

from muniment_server.segments.columns import Columns, Floats, Ints, Keys

_HEADER = struct.Struct("<BBII")
_VERSION = 1
_ZSTD = 1
_COMPRESS_FROM = 64
"""Points from which compression pays; below it only costs."""


def _index_type(series: int) -> str:
    return "<u1" if series <= 0x100 else "<u2" if series <= 0x10000 else "<u4"


def encode_body(columns: Columns) -> bytes:
    """The payload but for its header, which needs the interned numbers that only a transaction can give."""
    parts = [
        columns.step.astype("<i8", copy=False).tobytes(),
        columns.timestamp.astype("<i8", copy=False).tobytes(),
        columns.value.astype("<f8", copy=False).tobytes(),
    ]
    if len(columns.series) > 1:
        parts.insert(0, columns.key.astype(_index_type(len(columns.series))).tobytes())
    body = b"".join(parts)
    if len(columns) < _COMPRESS_FROM:
        return body
    return zstandard.ZstdCompressor(level=1).compress(body)


def payload_of(count: int, numbers: list[int], body: bytes) -> bytes:
    """The payload of `count` points whose series have the interned `numbers`, in the order of the columns."""
    flags = _ZSTD if count >= _COMPRESS_FROM else 0
    return _HEADER.pack(_VERSION, flags, count, len(numbers)) + struct.pack(f"<{len(numbers)}I", *numbers) + body


def series_numbers(payload: bytes) -> list[int]:
    """The interned numbers of the series in a payload, without reading its points.

    Raises:
        ValueError: the payload is not one of ours.
    """
    _, _, _, series = _header(payload)
    return list(np.frombuffer(payload, "<u4", series, _HEADER.size).tolist())


def decode(payload: bytes) -> tuple[list[int], Keys, Ints, Ints, Floats]:
    """(interned numbers, key index, step, timestamp, value) of a payload.

    Raises:
        ValueError: the payload is not one of ours, or damaged.
    """
    _, flags, count, series = _header(payload)
    numbers = np.frombuffer(payload, "<u4", series, _HEADER.size).tolist()
    body = payload[_HEADER.size + 4 * series :]
    index_type = _index_type(series)
    width = 0 if series == 1 else int(index_type[-1])
    size = count * (width + 24)
    if flags & _ZSTD:
        try:
            body = zstandard.ZstdDecompressor().decompress(body, max_output_size=size)
        except zstandard.ZstdError as error:
            raise ValueError(f"the payload cannot be decompressed: {error}") from None
    if len(body) != size:
        raise ValueError(f"the payload holds {len(body)} bytes of columns instead of {size}")
    if width:
        key = np.frombuffer(body, index_type, count).astype(np.uint32)
        if count and int(key.max()) >= series:
            raise ValueError("the payload names a series that it does not have")
    else:
        key = np.zeros(count, np.uint32)
    at = count * width
    step = np.frombuffer(body, "<i8", count, at)
    timestamp = np.frombuffer(body, "<i8", count, at + 8 * count)
    value = np.frombuffer(body, "<f8", count, at + 16 * count)
    return numbers, key, step, timestamp, value


def _header(payload: bytes) -> tuple[int, int, int, int]:
    if len(payload) < _HEADER.size:
        raise ValueError("the payload is shorter than its header")
    version, flags, count, series = _HEADER.unpack_from(payload)
    if version != _VERSION or flags & ~_ZSTD or series == 0 or len(payload) < _HEADER.size + 4 * series:
        raise ValueError("the payload has no header of version 1")
    return version, flags, count, series
