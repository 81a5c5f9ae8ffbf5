"""Arrow columns from numpy arrays without a Python object per row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
MONEY = pa.decimal128(14, 2)

_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), "u1").reshape(256, 2)
# the places of the 32 digits of a UUID between its hyphens
_UUID_PLACES = np.array(
    [i for i, c in enumerate("x" * 8 + ("-" + "x" * 4) * 3 + "-" + "x" * 12) if c == "x"]
)


def texts(characters: np.ndarray) -> pa.StringArray:
    """Strings of equal length from a matrix of bytes, one row per string."""
    rows, width = characters.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(characters)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(data))


def numbered(prefix: str, numbers: np.ndarray, width: int) -> pa.StringArray:
    """Keys such as `o-000123`: a prefix and a number with leading zeros."""
    head = np.frombuffer(prefix.encode(), "u1")
    out = np.empty((len(numbers), len(head) + width), "u1")
    out[:, : len(head)] = head
    rest = np.asarray(numbers, np.int64)
    for place in range(width - 1, -1, -1):
        rest, digit = np.divmod(rest, 10)
        out[:, len(head) + place] = digit + 48
    return texts(out)


def integers(numbers: np.ndarray, *, missing: np.ndarray | None = None) -> pa.StringArray:
    """Keys that are integers, as text; null where `missing`."""
    return pa.array(numbers, pa.int64(), mask=missing).cast(pa.string())


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit integers that looks random (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        x = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = x + np.uint64(0x5851F42D4C957F2D)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def _digits(words: np.ndarray) -> np.ndarray:
    """The hexadecimal digits of big-endian 64-bit words, 16 per word."""
    return _HEX[words.astype(">u8").view("u1")].reshape(len(words), 16)


def hexed(prefix: str, numbers: np.ndarray, salt: int) -> pa.StringArray:
    """Keys of a prefix and 16 hexadecimal digits: distinct for distinct numbers of one salt."""
    digits = _digits(_mixed(_mixed(numbers) ^ np.uint64(salt)))
    head = np.frombuffer(prefix.encode(), "u1")
    return texts(np.hstack([np.broadcast_to(head, (len(digits), len(head))), digits]))


def uuids(numbers: np.ndarray, salt: int) -> pa.StringArray:
    """UUIDs (formatted as version 4), derived from the numbers and the salt."""
    high = _mixed(_mixed(numbers) ^ np.uint64(salt))
    low = _mixed(high ^ np.uint64(0xD1B54A32D192ED03))
    high = (high & np.uint64(0xFFFFFFFFFFFF0FFF)) | np.uint64(0x4000)
    low = (low & np.uint64(0x3FFFFFFFFFFFFFFF)) | np.uint64(0x8000000000000000)
    out = np.full((len(numbers), 36), ord("-"), "u1")
    out[:, _UUID_PLACES] = np.hstack([_digits(high), _digits(low)])
    return texts(out)


def money(cents: np.ndarray) -> pa.Array:
    """Decimals with two places from whole cents."""
    words = np.empty((len(cents), 2), np.int64)
    words[:, 0] = cents
    words[:, 1] = np.asarray(cents) >> 63
    return pa.Array.from_buffers(MONEY, len(cents), [None, pa.py_buffer(words)])


def times(moments: np.ndarray, *, missing: np.ndarray | None = None) -> pa.Array:
    """UTC timestamps from microseconds since 1970; null where `missing`."""
    return pa.array(np.asarray(moments, np.int64), pa.int64(), mask=missing).cast(TIMESTAMP)


def pick(indices: np.ndarray, pool: pa.Array | list[str]) -> pa.DictionaryArray:
    """Values of a small pool, by index; null for an index below zero."""
    values = pool if isinstance(pool, pa.Array) else pa.array(pool, pa.string())
    places = np.asarray(indices, np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(places, mask=places < 0), values)


def nulls(rows: int) -> pa.Array:
    """A text column of nulls."""
    return pa.nulls(rows, pa.string())


def plain(table: pa.Table) -> pa.Table:
    """The table without dictionaries."""
    return table.cast(
        pa.schema(
            [
                field.with_type(field.type.value_type)
                if pa.types.is_dictionary(field.type)
                else field
                for field in table.schema
            ]
        )
    )
