"""Masks show what they say and nothing else, whatever the value is."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import Database, ask, new_database
from tests.support.small_project import run, write_project
from warehouse.server import Server

LONG = 1_000_000
JSON = '{"name": "Ada", "phone": "+44 20 7946 0018"}'
ARGUMENT = "given"
MASKED = """
    select
        number,
        {{ mask_email('given') }} as email,
        {{ mask_phone('given') }} as phone,
        {{ mask_name('given') }} as name,
        {{ mask_name("given || ' ' || given") }} as of_expression,
        {{ mask_birth_date('born') }} as born,
        {{ mask_free_text('given') }} as free_text
    from public.given
"""


@pytest.fixture(scope="module")
def masks(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database with the view marts.masked of the table public.given, and analyses/masks.sql."""
    analysis = (dbt_project.ROOT / "analyses" / "masks.sql").read_text()
    models = {"masked": "{{ config(materialized='view') }}" + MASKED, "masks": analysis}
    project = write_project(tmp_path_factory.mktemp("masks") / "project", models)
    with new_database(server) as database:
        with database.connect() as session:
            session.execute("create table public.given (number int, given text, born date)")
        run(database, project)
        yield database


def masked(database: Database, mask: str, values: Sequence[Any], column: str = ARGUMENT) -> list:
    """What a mask makes of values."""
    with database.connect() as session:
        session.cursor().executemany(
            f"insert into public.given (number, {column}) values (%s, %s)",
            list(enumerate(values)),
        )
        rows = session.execute(f"select {mask} from marts.masked order by number").fetchall()
        session.rollback()
    return [value for (value,) in rows]


def check(database: Database, mask: str, cases: Sequence[tuple[Any, Any]], **options: str) -> None:
    """Compare what a mask makes of values with what is expected."""
    found = masked(database, mask, [given for given, _ in cases], **options)
    assert [(given, each) for (given, _), each in zip(cases, found, strict=True)] == list(cases)


def test_the_last_digits_of_a_phone_number(masks: Database) -> None:
    cases = [
        ("+49 30 1234542", "***42"),
        ("030/12345-4 2", "***42"),
        ("12345", "***45"),
        ("1\n2\t3\u00a04 5", "***45"),
        ("ext. 9 8 7 6 5 (Ada)", "***65"),
        (JSON, "***18"),
        ("7" * LONG, "***77"),
        ("x" * LONG, "***"),
        ("1234", "***"),
        ("+1", "***"),
        ("call Ada", "***"),
        # Digits of other scripts.
        ("\u0661\u0662\u0663\u0664\u0665", "***"),
        ("\uff11\uff12\uff13\uff14\uff15", "***"),
        ("\\1$1\\", "***"),
        (" ", "***"),
        ("", "***"),
        (None, None),
    ]
    check(masks, "phone", cases)


def test_the_initials_of_a_name(masks: Database) -> None:
    cases = [
        ("Ada", "A."),
        ("Ada King Lovelace", "A. K. L."),
        (" \tada\u00a0\u00a0king\r\n", "a. k."),
        ("Anne-Marie O'Neill", "A. O."),
        ("Élise Ångström", "É. Å."),
        ("李 小龙", "李. 小."),
        ("Zoe\u0308", "Z."),
        ("\U0001f600ada", "\U0001f600."),
        ("ada@domain.com", "a."),
        ("\\1 $1 'x' %s", "\\. $. '. %."),
        (JSON, '{. ". ". ". 2. 7. 0.'),
        ("x" * LONG, "x."),
        ("", None),
        (" \t\r\n\u00a0", None),
        (None, None),
    ]
    check(masks, "name", cases)


def test_the_year_of_a_birth_date(masks: Database) -> None:
    cases = [
        (dt.date(1990, 5, 17), 1990),
        (dt.date(1, 1, 1), 1),
        (dt.date(9999, 12, 31), 9999),
        ("infinity", None),
        ("-infinity", None),
        ("0044-03-15 BC", None),
        ("12000-01-01", None),
        (None, None),
    ]
    check(masks, "born", cases, column="born")


def test_nothing_of_a_free_text(masks: Database) -> None:
    cases = [(text, "***") for text in ("Call Ada.", JSON, " ", "", "***", "x" * LONG)]
    check(masks, "free_text", [*cases, (None, None)])


def test_the_domain_of_an_email_address(masks: Database) -> None:
    """tests/macros/ has more cases."""
    cases = [
        ("user@domain.com", "u***@domain.com"),
        (JSON, "***"),
        ("x" * LONG, "***"),
        ("x" * LONG + "@domain.com", "x***@domain.com"),
        (" ", "***"),
        (None, None),
    ]
    check(masks, "email", cases)


def test_the_argument_may_be_an_expression(masks: Database) -> None:
    check(masks, "of_expression", [("Ada King", "A. K. A. K."), (None, None)])


def test_random_texts(masks: Database) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    alphabet = "0123456789 aB.@-+\t\n\u00a0é\\$%'\""
    texts = ["".join(chance.choices(alphabet, k=chance.randrange(12))) for _ in range(2_000)]
    digits = [re.sub("[^0-9]", "", text) for text in texts]
    expected = [f"***{each[-2:]}" if len(each) > 4 else "***" for each in digits]
    assert masked(masks, "phone", texts) == expected
    initials = [" ".join(f"{word[0]}." for word in text.split()) or None for text in texts]
    assert masked(masks, "name", texts) == initials


def test_the_analysis_applies_each_mask(masks: Database) -> None:
    shown = ask(masks, "select email, phone, name, birth_date, free_text from marts.masks")
    assert shown == [("u***@domain.com", "***42", "A. M.", 1990, "***")]
