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
from warehouse.load.source import _hidden, _parameters


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example([], "\n", 'a","')
@example([], "\n", 'a,"b" c\n')
@example([], "\n", 'a""b,c\n')
@given(
    st.lists(
        st.lists(st.text(alphabet='ab",\n\r\\ é0', max_size=6), min_size=2, max_size=2), max_size=8
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.text(alphabet='a",\n\r', max_size=8),
)
def test_the_fast_and_the_careful_way_agree(tmp_path_factory, rows, ending, tail) -> None:
    """If the fast parser accepts a CSV file, it reads the same rows as the careful parser."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=ending).writerows([["user_id", "email"], *rows])
    path = tmp_path_factory.mktemp("csv") / "users.csv"
    path.write_bytes((text.getvalue() + tail).encode())
    results = []
    for way in (read_csv._stage_fast, read_csv._stage_carefully):
        collected = Collector()
        try:
            way(path, ["user_id", "email"], lambda c=collected: c, lambda *_: None)
        except (pa.ArrowInvalid, read_csv.Suspicious):
            continue
        results.append((collected.written, collected.rejected))
    assert results
    if len(results) == 2:
        assert results[0] == results[1]


class Collector:
    """Replaces the writer, and records the rows passed to it."""

    def __init__(self) -> None:
        self.written: list[tuple] = []
        self.rejected: list[int] = []
        self.rows = 0

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
    [b'user_id,email\n1,a\n2,"b\n', b"user_id,email\n1,a\r2,b\r", b'user_id,email\n1,"a\n2,b\n'],
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
