"""Reading files and addresses for a load, without a database."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.files import write
from warehouse import project
from warehouse.load import checks
from warehouse.load.formats import csv as read_csv
from warehouse.load.formats import jsonl
from warehouse.load.source import _hidden, _parameters, is_database

FIELD = st.text(alphabet='ab",\n\r\\ é0\0', max_size=6)
QUOTED = FIELD.map(lambda text: '"' + text.replace('"', '""') + '"')
# What exports write, what they should not write, and whole rows that a stray quote may swallow.
PIECE = st.one_of(
    QUOTED, st.text(alphabet="ab 0é\0", max_size=3), st.sampled_from(['"', '"a', 'a"', "user_id"])
)
LINE = st.one_of(
    st.lists(PIECE, min_size=2, max_size=2).map(",".join),
    st.lists(PIECE, max_size=3).map(",".join),
    st.sampled_from(["1,a", '1,"a', '2,b"', "user_id,email", '"2","b"', ""]),
)
TEXT = st.tuples(st.lists(LINE, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans()).map(
    lambda parts: parts[1].join([*parts[0], ""]) if parts[2] else parts[1].join(parts[0])
)


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example('a","')
@example('a,"b" c\n')
@example('a""b,c\n')
@example('1,"a\n2,b\n3,c"\n')
@example('1,"a\n\n2,b"\n')
@example("\ufeff1,a\n2,b\n")
@given(TEXT)
def test_the_fast_and_the_careful_way_agree(tmp_path_factory, text: str) -> None:
    """If the fast parser accepts a file, it reads the same rows as the careful one, which leaves
    no line out, and reads the same if it leaves groups of lines to the fast one."""
    path = tmp_path_factory.mktemp("csv") / "users.csv"
    path.write_bytes(f"user_id,email\n{text}".encode())
    careful = Collector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_csv, "_take", ignore)
        count = read_csv._stage_carefully(path, ["user_id", "email"], lambda: careful, ignore)
        rows = list(read_csv.row_texts(path, set(range(1, count + 1))))
    for size in (1, 12, 1000):
        mixed = Collector()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(read_csv, "_LINES", size)
            assert count == read_csv._stage_carefully(
                path, ["user_id", "email"], mixed.clear, ignore
            )
            for row in rows[::3]:
                assert list(read_csv.row_texts(path, {row[0]})) == [row]
        assert (mixed.written, mixed.rejected) == (careful.written, careful.rejected)
    numbers = [row[0] for row in careful.written] + careful.rejected
    assert sorted(numbers) == list(range(1, count + 1))
    with path.open("rb") as stream:
        read_csv.header(stream)
        found = [record.text for record in read_csv.records(stream, 2)]
    assert len(found) == count
    lines = [line.strip("\r") for line in text.split("\n") if line.strip("\r")]
    assert [
        line.strip("\r") for each in found for line in each.decode().split("\n") if line.strip("\r")
    ] == lines
    fast = Collector()
    try:
        read_csv._stage_fast(path, ["user_id", "email"], lambda: fast, ignore)
    except (pa.ArrowInvalid, read_csv.Suspicious):
        return
    assert (fast.written, fast.rejected) == (careful.written, careful.rejected)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(*[FIELD.map(lambda text: text.replace("\0", ""))] * 3), max_size=8))
def test_correct_csv_is_read_as_python_reads_it(tmp_path_factory, rows: list[tuple]) -> None:
    rows = [(f"key {number}", *row) for number, row in enumerate(rows)]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([("user_id", "a", "b", "c"), *rows])
    path = tmp_path_factory.mktemp("csv") / "users.csv"
    path.write_bytes(text.getvalue().encode())
    careful = Collector()
    read_csv._stage_carefully(path, ["user_id", "a", "b", "c"], lambda: careful, ignore)
    assert [row[1:] for row in careful.written] == [
        tuple(value or None for value in row) for row in rows
    ]


@pytest.mark.parametrize(
    ("text", "keys", "rejected"),
    [
        # Two opening quotes, of rows some lines apart.
        ('1,"a,DE\n2,b,DE\n3,"c,DE\n4,d,DE\n', [2, 4], [1, 3]),
        # An opening quote, and a closing one below: the rows between would be one field.
        ('1,"a,DE\n2,b,DE\n3,c",DE\n4,d,DE\n', [2, 4], [1, 3]),
        ('1,a,"DE\n2,b,FR\n3,c,IT"\n4,d,DE\n', [2, 4], [1, 3]),
        ('"1,a,DE\n2,b,FR\n3",c,IT\n4,d,DE\n', [2, 4], [1, 3]),
        ('u1,"Doe, J",D"E\nu2,"Doe, J","DE\nu3,b,FR\nu4,c,IT"\n', [3], [1, 2, 4]),
        # The record has too many or too few columns.
        ('1,"a,DE\n2,b,DE\n3,",c",DE\n4,d,DE\n', [2, 3, 4], [1]),
        ('1,"a,DE\n2,b,DE\n3,c"\n4,d,DE\n', [2, 4], [1, 3]),
        ('1,"a,DE\n2,"",DE\n3,,DE\n', [2, 3], [1]),
        ('1,"Best" coffee,DE\n2,b,DE\n', [2], [1]),
        ('1,5" pipe,DE\n2,b,DE\n', [2], [1]),
        ('1, "a",DE\n2,b,DE\n', [2], [1]),
        ("1,a\rb,DE\n2,b,DE\n", [2], [1]),
        # Line breaks that belong to a field.
        ('1,"Main St 1,\n12345 City, DE",DE\n2,"12, Main St\n13, Side St",DE\n', [1, 2], []),
        ('1,"1 Main St,\n\nCity",DE\n2,"{\n  ""a"": 1,\n  ""b"": 2\n}",DE\n', [1, 2], []),
        ("1,a,DE\nUser_ID,E-mail ,Country\n2,b,DE\n\ufeffuser_id,e-mail,country\n", [1, 3], [2, 4]),
    ],
)
@pytest.mark.parametrize("padding", [0, 30])
def test_a_stray_quote_costs_no_other_row(
    monkeypatch, tmp_path, text: str, keys: list[int], rejected: list[int], padding: int
) -> None:
    """With padding, the doubtful lines are in another block of the fast parser."""
    monkeypatch.setattr(read_csv, "_BLOCK", 500)
    before = "".join(f"p{n},{'x' * 30},y\n" for n in range(padding))
    write(tmp_path, "users.csv", f"user_id,e-mail,country\n{before}{text}")
    found = Collector()
    count = read_csv.stage(
        tmp_path / "users.csv", ["user_id", "e-mail", "country"], found.clear, ignore
    )
    assert [row[0] - padding for row in found.written if row[0] > padding] == keys
    assert [number - padding for number in found.rejected] == rejected
    assert count == padding + len(keys) + len(rejected)


def test_one_bad_line_does_not_slow_down_the_others(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(read_csv, "_LINES", 1000)
    slow = []
    fields = read_csv._fields
    monkeypatch.setattr(read_csv, "_fields", lambda text: slow.append(text) or fields(text))
    rows = [f'{number},"{"a" * 40}"\n' for number in range(1000)]
    rows[500] = '500,5" pipe\n'
    write(tmp_path, "users.csv", "user_id,email\n" + "".join(rows))
    found = Collector()
    path = tmp_path / "users.csv"
    assert read_csv.stage(path, ["user_id", "email"], found.clear, ignore) == 1000
    assert found.rejected == [501]
    assert [row[0] for row in read_csv.row_texts(path, {501})] == [501]
    assert len(slow) < 100


def ignore(*_) -> None:
    """Take the place of `advance`."""


class Collector:
    """Replaces the writer, and records the rows passed to it."""

    def __init__(self) -> None:
        self.written: list[tuple] = []
        self.rejected: list[int] = []
        self.rows = 0

    def clear(self) -> Collector:
        self.__init__()
        return self

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_) -> None:
        pass

    def write(self, columns, numbers=None) -> None:
        count = len(columns[0])
        if numbers is None:
            numbers = pa.array(range(self.rows + 1, self.rows + count + 1))
        self.rows += count
        values = [column.to_pylist() for column in columns]
        self.written += zip(numbers.to_pylist(), *values, strict=True)

    def reject(self, row: int, reason: str, text: str | None = None) -> None:
        self.rejected.append(row)


@pytest.mark.parametrize(
    "text",
    [
        b'user_id,email\n1,a\n2,"b\n',
        b"user_id,email\n1,a\r2,b\r",
        b'user_id,email\n1,"a\n2,b\n',
        b'user_id,email\n1,"a\n2,b"\n',
        b"user_id,email\n1,a\nuser_id,email\n",
    ],
)
def test_the_fast_way_leaves_doubtful_files_alone(tmp_path, text: bytes) -> None:
    path = write(tmp_path, "users.csv", text) / "users.csv"
    with pytest.raises((pa.ArrowInvalid, read_csv.Suspicious)):
        read_csv._stage_fast(path, ["user_id", "email"], Collector, lambda *_: None)


def test_a_password_in_a_message_is_hidden() -> None:
    assert _hidden("no, not\nsecret", {"password": "secret"}) == "no, not ***"


def test_the_warehouses_port_is_not_the_sources(monkeypatch) -> None:
    monkeypatch.setenv("PGPORT", "7777")
    assert _parameters("postgresql://u@host/db")["port"] == "5432"
    assert _parameters("postgresql://u@host:6543/db")["port"] == "6543"


def test_a_load_and_staging_agree_on_blank() -> None:
    """A key that the load accepts must not be a blank one to staging."""
    macro = (project.root() / "macros/sql/internal/whitespace.sql").read_text(encoding="utf-8")
    blank = checks._BLANK.as_string(None)
    assert len(blank) > 10
    assert blank in macro


def test_blank_lines_hide_no_rows(tmp_path) -> None:
    """A file whose rows are not found counts as empty, and with --complete empties its table."""
    folder = write(tmp_path, "users.jsonl", "\n" * 1_001 + '{"user_id": 1}\n')
    assert jsonl.sample(folder / "users.jsonl") == ({"user_id"}, True)


@pytest.mark.parametrize(
    ("text", "is_address"),
    [
        ("connect_timeout=5 host=db.example dbname=shop", True),
        ("dbname = shop", True),
        ("POSTGRES://db.example/shop", True),
        ("exports/country=DE", False),
        ("exports", False),
    ],
)
def test_the_keywords_of_an_address_have_any_order(text: str, is_address: bool) -> None:
    assert is_database(text) == is_address
