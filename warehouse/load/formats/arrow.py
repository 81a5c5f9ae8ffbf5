"""Values of Arrow as texts: one rule for each type, none of which loses a digit.

PostgreSQL parses the texts. Nested values become JSON: numbers with all their digits, times in ISO
8601, binary data as the UTF-8 text that it holds, maps as objects, NaN and infinities as strings.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring as quote

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY = 86_400
# The days, since 1970, of the years 1 to 9999, which pyarrow prints correctly.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_EXTENSIONS = ("arrow.uuid", "arrow.json", "arrow.bool8", "arrow.fixed_shape_tensor")


class Repeated(Exception):
    """A map has a key twice, which JSON cannot hold."""


def unsupported(kind: pa.DataType) -> str | None:
    """The type, within this one, that has no rule; None if all have one."""
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name not in _EXTENSIONS:
            return f"extension {kind.extension_name}"
        return unsupported(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return unsupported(kind.value_type)
    if types.is_map(kind):
        if _is_nested(kind.key_type):
            return f"map with keys of {kind.key_type}"
        return unsupported(kind.key_type) or unsupported(kind.item_type)
    if types.is_struct(kind):
        names = [field.name for field in kind]
        if len(set(names)) < len(names):
            return f"{kind}, with two fields of one name"
        return next(filter(None, (unsupported(field.type) for field in kind)), None)
    if _is_list(kind):
        return unsupported(kind.value_type)
    return None if any(test(kind) for test in _RULES) else str(kind)


def as_text(array: pa.Array, *, for_json: bool = False) -> pa.Array:
    """A column as strings.

    Args:
        array: the values.
        for_json: whether PostgreSQL will read the text as JSON. Text is then a JSON document.
    """
    array = _plain(array)
    kind = array.type
    if _is_json(kind) or (
        for_json and not (_is_text(kind) or _is_binary(kind) or types.is_null(kind))
    ):
        if isinstance(kind, pa.BaseExtensionType):
            return array.storage.cast(pa.string())
        texts = [
            None if text == "null" else text.encode("utf-8", "surrogateescape")
            for text in _json(array)
        ]
        # The writer checks for UTF-8, row by row.
        return pa.array(texts, pa.binary()).view(pa.string())
    return next(rule for test, rule in _RULES.items() if test(kind))(array)


def _plain(array: pa.Array) -> pa.Array:
    """The values without the ways to store them: dictionaries, runs, extensions."""
    kind = array.type
    if types.is_dictionary(kind):
        return _plain(array.dictionary_decode())
    if types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(array))
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.bool8":
            return pc.not_equal(array.storage, 0)
        if kind.extension_name not in ("arrow.uuid", "arrow.json"):
            return _plain(array.storage)
    return array


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


def _is_list(kind: pa.DataType) -> bool:
    return (
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def _is_nested(kind: pa.DataType) -> bool:
    return types.is_struct(kind) or types.is_map(kind) or _is_list(kind)


def _is_json(kind: pa.DataType) -> bool:
    return _is_nested(kind) or (
        isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.json"
    )


def _is_text(kind: pa.DataType) -> bool:
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return (
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _texts(array: pa.Array) -> pa.Array:
    return array.cast(pa.string())


def _uuids(array: pa.Array) -> pa.Array:
    return pa.array([value and str(value) for value in array.to_pylist()], pa.string())


def _binary(array: pa.Array) -> pa.Array:
    # The writer checks for UTF-8, row by row.
    return array.cast(pa.binary()).view(pa.string())


def _floats(array: pa.Array) -> pa.Array:
    if types.is_float16(array.type):
        array = array.cast(pa.float32())
    texts = array.cast(pa.string())
    for special, text in (("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")):
        texts = pc.if_else(pc.equal(texts, special), text, texts)
    return texts


def _decimals(array: pa.Array) -> pa.Array:
    if array.type.bit_width < 128:
        array = array.cast(pa.decimal128(array.type.precision, array.type.scale))
    return array.cast(pa.string())


def _dates(array: pa.Array) -> pa.Array:
    days = array.cast(pa.int32()) if types.is_date32(array.type) else array.cast(pa.date32())
    return _in_range_or_each(
        array, days.cast(pa.int32()).cast(pa.int64()), 1, lambda day: "{}{}".format(*_date(day))
    )


def _timestamps(array: pa.Array) -> pa.Array:
    """Times in UTC, without a zone: a name of a zone would need a database on this machine."""
    unit = array.type.unit
    per_second = _PER_SECOND[unit]

    def each(value: int) -> str:
        day, rest = divmod(value, _DAY * per_second)
        date, era = _date(day)
        return f"{date} {_time(rest, unit)}{era}"

    plain = array.cast(pa.timestamp(unit))
    return _in_range_or_each(plain, plain.cast(pa.int64()), _DAY * per_second, each)


def _in_range_or_each(
    array: pa.Array, numbers: pa.Array, per_day: int, each: Callable[[int], str]
) -> pa.Array:
    """Cast to strings if all values are in the years 1 to 9999; otherwise write each value."""
    bounds = pc.min_max(numbers).as_py()
    if bounds["min"] is None or (
        bounds["min"] >= _FIRST_DAY * per_day and bounds["max"] < (_LAST_DAY + 1) * per_day
    ):
        return array.cast(pa.string())
    return _each(numbers, each)


def _each(numbers: pa.Array, text: Callable[[int], str]) -> pa.Array:
    return pa.array(
        [None if value is None else text(value) for value in numbers.to_pylist()], pa.string()
    )


def _date(day: int) -> tuple[str, str]:
    """A date of the Gregorian calendar, and ` BC` if it is before the year 1."""
    era, day_of_era = divmod(day + 719_468, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153  # from March on
    day = day_of_year - (153 * month + 2) // 5 + 1
    year = year_of_era + era * 400 + (month >= 10)
    month = month + 3 if month < 10 else month - 9
    shown = year if year > 0 else 1 - year
    return f"{shown:04d}-{month:02d}-{day:02d}", "" if year > 0 else " BC"


def _time(value: int, unit: str) -> str:
    """A time of day, with the digits of its unit."""
    seconds, fraction = divmod(value, _PER_SECOND[unit])
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    digits = len(str(_PER_SECOND[unit])) - 1
    return f"{text}.{fraction:0{digits}d}" if digits else text


def _times(array: pa.Array) -> pa.Array:
    numbers = array.cast(pa.int32() if types.is_time32(array.type) else pa.int64())
    return _each(numbers, lambda value: _time(value, array.type.unit))


def _durations(array: pa.Array) -> pa.Array:
    """ISO 8601, in seconds."""
    unit = array.type.unit

    def each(value: int) -> str:
        seconds, fraction = divmod(abs(value), _PER_SECOND[unit])
        digits = len(str(_PER_SECOND[unit])) - 1
        shown = f"{seconds}.{fraction:0{digits}d}".rstrip("0").rstrip(".") if fraction else seconds
        return f"{'-' if value < 0 else ''}PT{shown}S"

    return _each(array.cast(pa.int64()), each)


def _nulls(array: pa.Array) -> pa.Array:
    return pa.nulls(len(array), pa.string())


_RULES: dict[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]] = {
    _is_text: _texts,
    types.is_integer: _texts,
    types.is_boolean: _texts,
    types.is_floating: _floats,
    types.is_decimal: _decimals,
    types.is_date: _dates,
    types.is_timestamp: _timestamps,
    types.is_time: _times,
    types.is_duration: _durations,
    _is_uuid: _uuids,
    _is_binary: _binary,
    types.is_null: _nulls,
}


def _json(array: pa.Array) -> list[str]:
    """The JSON of each value; bytes that are not UTF-8 are kept as surrogates."""
    array = _plain(array)
    kind = array.type
    if types.is_struct(kind):
        names = [quote(field.name) for field in kind]
        rows = zip(*map(_json, array.flatten()), strict=True) if names else [()] * len(array)
        texts = [_object(zip(names, row, strict=True)) for row in rows]
    elif types.is_map(kind):
        keys = map(quote, _strings(array.keys))
        pairs = [*zip(keys, _json(array.items), strict=True)]
        ends = array.offsets.to_pylist()
        maps = [pairs[start:end] for start, end in itertools.pairwise(ends)]
        if any(len(dict(each)) < len(each) for each in maps):
            raise Repeated
        texts = [_object(each) for each in maps]
    elif _is_list(kind):
        texts = [f"[{', '.join(values)}]" for values in _slices(array, _json(array.flatten()))]
    elif _is_json(kind):
        return ["null" if value is None else value for value in array.storage.to_pylist()]
    else:
        return [_scalar(value, kind) for value in _strings(array)]
    return [
        text if is_valid else "null"
        for text, is_valid in zip(texts, array.is_valid().to_pylist(), strict=True)
    ]


def _strings(array: pa.Array) -> list[str | None]:
    """The text of each value that is not nested."""
    return [
        None if value is None else value.decode("utf-8", "surrogateescape")
        for value in as_text(array).view(pa.binary()).to_pylist()
    ]


def _scalar(text: str | None, kind: pa.DataType) -> str:
    if text is None:
        return "null"
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_decimal(kind):
        return text
    if types.is_floating(kind) and text not in ("NaN", "Infinity", "-Infinity"):
        return text
    if types.is_timestamp(kind):
        text = text.replace(" ", "T", 1)
        if kind.tz:
            text = text.removesuffix(" BC") + "Z" + (" BC" if text.endswith(" BC") else "")
    return quote(text)


def _slices(array: pa.Array, values: list) -> list[list]:
    """The values of each list; none for null."""
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_pylist()
    slices = []
    start = 0
    for length in lengths:
        slices.append(values[start : start + length])
        start += length
    return slices


def _object(pairs: Iterable[tuple[str, str]]) -> str:
    return f"{{{', '.join(f'{name}: {value}' for name, value in pairs)}}}"
