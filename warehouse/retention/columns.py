"""How the columns of a table are stored in Parquet, so that every value comes back exactly.

Each value has one canonical text, which PostgreSQL and this module compute alike: PostgreSQL from
the table, this module from a file. The checksum of a row is a hash of these texts.

| PostgreSQL | Parquet | canonical text |
|---|---|---|
| boolean, integers | the same | the value |
| real, double precision | the same | its bits as an integer |
| numeric with a precision up to 38 | decimal | its digits without the point |
| date | date32; infinity is its largest value, and -infinity minus that | days since 1970 |
| timestamp, timestamptz | timestamp in microseconds; likewise | microseconds since 1970 |
| everything else, such as text, jsonb, arrays, numeric | string | as PostgreSQL prints it |

DuckDB reads these infinities as its own. A decimal cannot hold NaN, nor a timestamp the years after
294246: a file with such a value stores that column as a string.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

DAY = 86_400_000_000  # microseconds
INFINITE_DAYS = 2**31 - 1
INFINITE_MICROSECONDS = 2**63 - 1
# What PostgreSQL prints must not depend on the settings of a session.
FORMATS = (
    "set local timezone = 'UTC'; set local datestyle = 'ISO'; set local intervalstyle = 'postgres';"
    " set local extra_float_digits = 1; set local bytea_output = 'hex';"
    " set local xmlbinary = 'base64'"
)

_COLUMNS = """
    select
        attribute.attname::text,
        format_type(attribute.atttypid, attribute.atttypmod),
        pg_type.typname::text,
        attribute.atttypmod
    from pg_attribute as attribute
    inner join pg_type on attribute.atttypid = pg_type.oid
    where attribute.attrelid = to_regclass(%s) and attribute.attnum > 0
        and not attribute.attisdropped
    order by attribute.attnum
"""
_PLAIN = {"bool": "bool", "int2": "int16", "int4": "int32", "int8": "int64"}
_BITS = {"float4": ("float", "int32", 32), "float8": ("double", "int64", 64)}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of an archived table.

    Attributes:
        name: its name.
        type: its type in PostgreSQL, such as numeric(20,4).
        stored: its type in the file: bool, int16, int32, int64, float, double, date,
            timestamp, timestamptz, string, or decimal with its precision and scale.
    """

    name: str
    type: str
    stored: str

    @property
    def scale(self) -> int:
        """The digits after the point of a decimal."""
        return int(self.stored.rstrip(")").partition(",")[2])

    def arrow_type(self) -> pa.DataType:
        """Its type in Arrow."""
        import pyarrow as pa

        if self.stored.startswith("decimal"):
            precision, scale = re.findall(r"\d+", self.stored)
            return pa.decimal128(int(precision), int(scale))
        return {
            "bool": pa.bool_(),
            "int16": pa.int16(),
            "int32": pa.int32(),
            "int64": pa.int64(),
            "float": pa.float32(),
            "double": pa.float64(),
            "date": pa.date32(),
            "timestamp": pa.timestamp("us"),
            "timestamptz": pa.timestamp("us", tz="UTC"),
            "string": pa.string(),
        }[self.stored]

    def text(self) -> Any:
        """SQL of the canonical text of a value."""
        from psycopg import sql

        infinite = "case {c} when 'infinity' then '{n}' when '-infinity' then '-{n}' else {v} end"
        template = "{c}::text"
        if self.stored in ("float", "double"):
            size, bits, kind = (4, 32, "int") if self.stored == "float" else (8, 64, "bigint")
            template = f"('x' || encode(float{size}send({{c}}), 'hex'))::bit({bits})::{kind}::text"
        elif self.stored.startswith("decimal"):
            template = f"trunc({{c}} * 1{'0' * self.scale})::text"
        elif self.stored == "date":
            template = infinite.replace("{n}", str(INFINITE_DAYS)).replace(
                "{v}", "({c} - date '1970-01-01')::text"
            )
        elif self.stored in ("timestamp", "timestamptz"):
            template = infinite.replace("{n}", str(INFINITE_MICROSECONDS)).replace(
                "{v}", "trunc(extract(epoch from {c}) * 1000000)::text"
            )
        return sql.SQL(template).format(c=sql.Identifier(self.name))

    def value(self) -> Any:
        """SQL of the value, from the text of `readable` in a column of the same name."""
        from psycopg import sql

        template = f"{{c}}::{self.type}"
        if self.stored.startswith("decimal"):
            template = f"({{c}} || 'e-{self.scale}')::{self.type}"
        elif self.stored == "date":
            template = (
                f"case {{c}} when '{INFINITE_DAYS}' then date 'infinity'"
                f" when '-{INFINITE_DAYS}' then date '-infinity'"
                " else date '1970-01-01' + {c}::integer end"
            )
        elif self.stored in ("timestamp", "timestamptz"):
            # An interval of microseconds alone would pass through a double, which has 53 bits.
            template = (
                f"case {{c}} when '{INFINITE_MICROSECONDS}' then {self.stored} 'infinity'"
                f" when '-{INFINITE_MICROSECONDS}' then {self.stored} '-infinity'"
                f" else {self.stored} '1970-01-01 00:00:00+00'"
                f" + make_interval(days => ({{c}}::bigint / {DAY})::integer)"
                f" + {{c}}::bigint % {DAY} * interval '1 microsecond' end"
            )
        return sql.SQL(template).format(c=sql.Identifier(self.name))

    def from_texts(self, texts: list[str | None]) -> pa.Array:
        """Values in Arrow, from their canonical texts."""
        import pyarrow as pa

        kind = self.arrow_type()
        found = pa.array(texts, pa.string())
        if self.stored == "string":
            return found
        if self.stored == "bool":
            return found.cast(kind)
        if self.stored.startswith("decimal"):
            whole = found.cast(pa.decimal128(38, 0))
            return pa.Array.from_buffers(kind, len(whole), whole.buffers(), offset=whole.offset)
        return found.cast(self._integers()).view(kind)

    def to_texts(self, values: pa.Array) -> pa.Array:
        """The canonical texts of values in Arrow."""
        import pyarrow as pa

        if self.stored in ("string", "bool"):
            return values.cast(pa.string())
        if self.stored.startswith("decimal"):
            values = pa.Array.from_buffers(
                pa.decimal128(38, 0), len(values), values.buffers(), offset=values.offset
            )
        else:
            values = values.view(self._integers())
        return values.cast(pa.string())

    def readable(self, values: pa.Array) -> pa.Array:
        """The texts that `value` reads: PostgreSQL cannot make a float from its bits."""
        import pyarrow as pa

        return (
            values.cast(pa.string())
            if self.stored in ("float", "double")
            else self.to_texts(values)
        )

    def _integers(self) -> pa.DataType:
        import pyarrow as pa

        kind = self.arrow_type()
        if pa.types.is_integer(kind):
            return kind
        return pa.int32() if kind.bit_width == 32 else pa.int64()


def columns_of(
    session: psycopg.Connection[Any], relation: str, where: Any = None
) -> tuple[Column, ...]:
    """The columns of a table, stored as its rows need it.

    Args:
        session: a connection.
        relation: the table, quoted.
        where: a condition in SQL; only these rows are stored. None for all rows.
    """
    from psycopg import sql

    columns, unusual = [], []
    for name, kind, base, modifier in session.execute(_COLUMNS, [relation]).fetchall():
        stored, test = "string", None
        if base in _PLAIN:
            stored = _PLAIN[base]
        elif base in _BITS:
            stored = _BITS[base][0]
        elif base == "date":
            stored = "date"
        elif base in ("timestamp", "timestamptz"):
            stored = base
            test = "{c} >= '294247-01-01' and {c} < 'infinity'"
        elif base == "numeric" and modifier >= 0:
            precision, scale = re.findall(r"-?\d+", kind)
            if 0 <= int(scale) <= int(precision) <= 38:
                stored = f"decimal({precision},{scale})"
                test = "{c} = 'NaN'"
        column = Column(name, kind, stored)
        columns.append(column)
        if test:
            unusual.append((column, sql.SQL(test).format(c=sql.Identifier(name))))
    if unusual:
        query = sql.SQL("select {} from {} where {}").format(
            sql.SQL(", ").join(
                sql.SQL("coalesce(bool_or({}), false)").format(test) for _, test in unusual
            ),
            sql.SQL(relation),
            where or sql.SQL("true"),
        )
        found = session.execute(query).fetchone() or ()
        as_text = {column for (column, _), is_used in zip(unusual, found, strict=True) if is_used}
        columns = [
            dataclasses.replace(each, stored="string") if each in as_text else each
            for each in columns
        ]
    return tuple(columns)


def hash_of_row(columns: tuple[Column, ...]) -> Any:
    """SQL of the hash of a row: a 64-bit integer, from SHA-256 of the texts and their lengths."""
    from psycopg import sql

    texts = sql.SQL(" || ").join(
        sql.SQL("coalesce(octet_length({text}) || ':' || {text}, '~')").format(text=each.text())
        for each in columns
    )
    return sql.SQL(
        "('x' || encode(substr(sha256(convert_to({}, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint"
    ).format(texts)


def hashes_of(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> list[int]:
    """The hashes of the rows of a batch, as `hash_of_row` has them."""
    import hashlib

    import pyarrow as pa
    import pyarrow.compute as pc

    # A text of 32 bits would end at 2 GiB of a batch.
    kind = pa.large_string()
    parts = []
    for position, column in enumerate(columns):
        texts = column.to_texts(batch.column(position)).cast(kind)
        lengths = pc.binary_length(texts).cast(kind)
        joined = pc.binary_join_element_wise(lengths, texts, pa.scalar(":", kind))
        parts.append(pc.fill_null(joined, pa.scalar("~", kind)))
    rows = pc.binary_join_element_wise(*parts, pa.scalar("", kind))
    return [
        int.from_bytes(hashlib.sha256(row).digest()[:8], "big", signed=True)
        for row in rows.cast(pa.large_binary()).to_pylist()
    ]
