"""Every type that pyarrow writes to Parquet arrives exactly, or is refused by name."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.load.test_load_files import one, quarantined, refused
from warehouse.load.formats import parquet
from warehouse.load.formats.arrow import as_text, unsupported

LONG = 2**63
DIGITS = Decimal("1234567890123456789012345678.1234567890")


def extension(kind: pa.DataType, storage: pa.Array) -> pa.Array:
    return pa.ExtensionArray.from_storage(kind, storage)


# The values, their texts, and their texts in JSON (None: as a JSON string).
TYPES: list[tuple[pa.Array, list[str], list[str] | None]] = [
    (pa.array([True, False]), ["true", "false"], ["true", "false"]),
    *(
        (pa.array([low, high], kind), [str(low), str(high)], [str(low), str(high)])
        for kind, low, high in [
            (pa.int8(), -128, 127), (pa.uint8(), 0, 255), (pa.int16(), -(2**15), 2**15 - 1),
            (pa.uint16(), 0, 2**16 - 1), (pa.int32(), -(2**31), 2**31 - 1),
            (pa.uint32(), 0, 2**32 - 1), (pa.int64(), -LONG, LONG - 1),
            (pa.uint64(), 0, 2**64 - 1),
        ]
    ),
    (pa.array([1.5, 65504.0]).cast(pa.float16()), ["1.5", "65504"], ["1.5", "65504"]),
    (pa.array([0.1, 3.4028234e38], pa.float32()), ["0.1", "3.4028235e+38"],
     ["0.1", "3.4028235e+38"]),
    (pa.array([0.1, 5e-324, 1.7976931348623157e308]), ["0.1", "5e-324", "1.7976931348623157e+308"],
     ["0.1", "5e-324", "1.7976931348623157e+308"]),
    (pa.array([float("nan"), float("inf"), -float("inf")]), ["NaN", "Infinity", "-Infinity"], None),
    (pa.array([Decimal("-1.50"), Decimal("9999999.99")], pa.decimal32(9, 2)),
     ["-1.50", "9999999.99"], ["-1.50", "9999999.99"]),
    (pa.array([Decimal("1.50")], pa.decimal64(18, 2)), ["1.50"], ["1.50"]),
    (pa.array([DIGITS], pa.decimal128(38, 10)), [str(DIGITS)], [str(DIGITS)]),
    (pa.array([Decimal("9" * 76)], pa.decimal256(76, 0)), ["9" * 76], ["9" * 76]),
    (pa.array([-(2**31), -719_163, -719_162, 2_932_897, 2**31 - 1], pa.date32()),
     ["5877642-06-23 BC", "0001-12-31 BC", "0001-01-01", "10000-01-01", "5881580-07-11"], None),
    (pa.array([0, 253_402_300_800_000], pa.date64()), ["1970-01-01", "10000-01-01"], None),
    (pa.array([-62_135_596_801, 0, 316_518_796_800], pa.timestamp("s")),
     ["0001-12-31 23:59:59.000 BC", "1970-01-01 00:00:00.000", "12000-01-31 00:00:00.000"],
     ['"0001-12-31T23:59:59.000 BC"', '"1970-01-01T00:00:00.000"', '"12000-01-31T00:00:00.000"']),
    (pa.array([-LONG, LONG - 1], pa.timestamp("us", "America/New_York")),
     ["290309-12-21 19:59:05.224192 BC", "294247-01-10 04:00:54.775807"],
     ['"290309-12-21T19:59:05.224192Z BC"', '"294247-01-10T04:00:54.775807Z"']),
    (pa.array([-LONG, LONG - 1], pa.timestamp("ns", "UTC")),
     ["1677-09-21 00:12:43.145224192", "2262-04-11 23:47:16.854775807"],
     ['"1677-09-21T00:12:43.145224192Z"', '"2262-04-11T23:47:16.854775807Z"']),
    (pa.array([0, 86_399_999], pa.time32("ms")), ["00:00:00.000", "23:59:59.999"], None),
    (pa.array([0, 86_399_999_999_999], pa.time64("ns")),
     ["00:00:00.000000000", "23:59:59.999999999"], None),
    (pa.array([-1_500, 0, LONG - 1], pa.duration("ms")),
     ["-PT1.5S", "PT0S", "PT9223372036854775.807S"], None),
    *((pa.array(["", 'é "\n'], kind), ["", 'é "\n'], None)
      for kind in (pa.string(), pa.large_string(), pa.string_view())),
    *((pa.array([b"ab"], kind), ["ab"], None)
      for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2))),
    (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"], None),
    (extension(pa.uuid(), pa.array([UUID(int=5).bytes], pa.binary(16))), [str(UUID(int=5))], None),
    (extension(pa.json_(), pa.array(['{"a": 1.10}'])), ['{"a": 1.10}'], ['{"a": 1.10}']),
    (extension(pa.bool8(), pa.array([0, 1], pa.int8())), ["false", "true"], ["false", "true"]),
    *((pa.array([[1, None], [3, 4]], kind(pa.int8())), ["[1, null]", "[3, 4]"],
       ["[1, null]", "[3, 4]"])
      for kind in (pa.list_, pa.large_list, pa.list_view, pa.large_list_view,
                   lambda kind: pa.list_(kind, 2))),
    (pa.array([[("a", 1), ("b", None)], []], pa.map_(pa.string(), pa.int8())),
     ['{"a": 1, "b": null}', "{}"], ['{"a": 1, "b": null}', "{}"]),
    (pa.array([[(1, DIGITS)]], pa.map_(pa.int32(), pa.decimal128(38, 10))),
     [f'{{"1": {DIGITS}}}'], [f'{{"1": {DIGITS}}}']),
    (pa.array([{"a": [{"b": 1}], "c": None}]), ['{"a": [{"b": 1}], "c": null}'],
     ['{"a": [{"b": 1}], "c": null}']),
]  # fmt: skip


def through_a_file(tmp_path, array: pa.Array) -> pa.Array:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": array}), path)
    assert parquet.columns(path)[2] == {}
    return pq.read_table(path)["x"].combine_chunks()


@pytest.mark.parametrize(
    ("array", "texts", "in_json"), TYPES, ids=[str(array.type) for array, _, _ in TYPES]
)
def test_every_type_arrives_exactly(tmp_path, array, texts, in_json) -> None:
    with_null = pa.concat_arrays([array, pa.nulls(1, array.type)])
    read = through_a_file(tmp_path, with_null)
    assert as_text(read).to_pylist() == [*texts, None]
    assert as_text(read.slice(1)).to_pylist() == [*texts, None][1:]
    expected = in_json or [json.dumps(text, ensure_ascii=False) for text in texts]
    # Within a struct, a list and a map.
    for wrap, opening, closing in (
        (lambda a: pa.StructArray.from_arrays([a], ["x"]), '{"x": ', "}"),
        (lambda a: pa.ListArray.from_arrays(list(range(len(a) + 1)), a), "[", "]"),
        (lambda a: pa.MapArray.from_arrays(list(range(len(a) + 1)), ["x"] * len(a), a),
         '{"x": ', "}"),
    ):  # fmt: skip
        found = as_text(through_a_file(tmp_path, wrap(with_null))).to_pylist()
        assert found == [f"{opening}{text}{closing}" for text in [*expected, "null"]]
        for text in found:
            json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (pa.month_day_nano_interval(), "month_day_nano_interval"),
        (pa.list_(pa.month_day_nano_interval()), "month_day_nano_interval"),
        (pa.dense_union([pa.field("a", pa.int8())]), "dense_union<a: int8=0>"),
        (pa.opaque(pa.int32(), "x", "y"), "extension arrow.opaque"),
        (pa.map_(pa.list_(pa.int8()), pa.int8()), "map with keys of list<element: int8>"),
        (pa.struct([("a", pa.int8()), ("a", pa.int8())]), "struct<a: int8, a: int8>, with two f"),
    ],
)
def test_a_type_without_a_rule_is_named(kind: pa.DataType, named: str) -> None:
    assert unsupported(kind).replace("<item:", "<element:").startswith(named)
    assert unsupported(pa.struct([("x", pa.list_(kind))])) == unsupported(kind)


def test_run_ends_and_dictionaries_are_decoded_where_they_are_nested() -> None:
    array = pa.StructArray.from_arrays(
        [pa.array(["a", "a", None]).dictionary_encode(), pa.array([1, 1, 2])], ["x", "y"]
    )
    assert as_text(array).to_pylist()[2] == '{"x": null, "y": 2}'
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["a", None]))
    assert as_text(runs).to_pylist() == ["a", "a", None]


def test_nested_values_reach_jsonb_with_every_digit(connection, tmp_path) -> None:
    everything = {
        f"{number} {array.type}": array.slice(0, 1)
        for number, (array, _, _) in enumerate(TYPES)
    }  # fmt: skip
    struct = pa.StructArray.from_arrays([*everything.values()], [*everything])
    nothing = pa.nulls(1, struct.type)
    table = pa.table(
        {
            "event_id": ["a", "b"],
            "properties": pa.concat_arrays([struct, nothing]),
            # A time in the year 12000, and one of nanoseconds, which PostgreSQL rounds.
            "event_timestamp": pa.array([316_518_796_800_000_000, 1], pa.timestamp("us")),
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    assert one(tmp_path, connection) == {"read": 2, "new": 2}
    rows = connection.execute(
        "select properties::text, event_timestamp::text from raw.events order by 1"
    ).fetchall()
    assert rows[1] == (None, "1970-01-01 00:00:00.000001+00")
    assert rows[0][1] == "12000-01-31 00:00:00+00"
    found = json.loads(rows[0][0], parse_float=Decimal)
    assert len(found) == len(TYPES)
    assert found[next(name for name in everything if "decimal128(38" in name)] == DIGITS


def test_a_type_or_a_map_that_json_cannot_hold_stops_the_load(connection, tmp_path) -> None:
    maps = pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8()))
    pq.write_table(pa.table({"event_id": ["a"], "properties": maps}), tmp_path / "events.parquet")
    refused(tmp_path, connection, "the column properties has a map with a key twice")
    opaque = pa.ExtensionArray.from_storage(
        pa.opaque(pa.int8(), "x", "y"), pa.array([1], pa.int8())
    )
    pq.write_table(pa.table({"user_id": ["a"], "email": opaque}), tmp_path / "users.parquet")
    refused(tmp_path, connection, "users.parquet: the column email has the type extension arrow.op")


def test_a_value_that_is_no_text_or_no_json_is_rejected(connection, tmp_path) -> None:
    properties = [{"a": b"x"}] * 20
    properties[3] = {"a": b"\xff"}
    properties[4] = {"a": b"\0"}
    ids = [str(number) for number in range(20)]
    table = pa.table({"event_id": ids, "properties": properties})
    pq.write_table(table, tmp_path / "events.parquet")
    assert one(tmp_path, connection, max_rejected=20) == {"read": 20, "new": 18, "rejected": 2}
    reasons = [row[3].split(":")[1] for row in quarantined(connection)]
    assert reasons == [" not UTF-8, byte 0xff", " unsupported Unicode escape sequence (\\u0000 can"
                       "not be converted to text.)"]  # fmt: skip
    # A column of times, or of truth values, in a column of JSON.
    table = pa.table({"event_id": ids[:1], "properties": pa.array([0], pa.timestamp("s"))})
    pq.write_table(table, tmp_path / "events.parquet")
    one(tmp_path, connection)
    ((value,),) = connection.execute("select properties from raw.events where event_id = '0'")
    assert value == "1970-01-01T00:00:00.000"
