"""Passwords in arguments and variables are found in every form, and hidden in every message."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.command import warehouse
from warehouse import redaction

MARKER = "hunter2marker"
FORMS = [
    f"postgresql://u:{MARKER}@h.invalid/d",
    f"POSTGRESQL://u:{MARKER}@h.invalid/d",
    f"postgresql+psycopg2://u:{MARKER}@h.invalid/d",
    f"mysql://u:{MARKER}@h.invalid/d",
    f"./postgresql://u:{MARKER}@h.invalid/d",
    f"jdbc:postgresql://h.invalid/d?user=u&password={MARKER}",
    f"u:{MARKER}@h.invalid/d",
    f"host=h.invalid user=u password={MARKER}",
    f"host=h.invalid password='{MARKER}'",
    f"PGPASSWORD={MARKER}",
    f"--password={MARKER}",
    f"{{password: {MARKER}}}",
    f'{{"db_password": "{MARKER}"}}',
]


@pytest.mark.parametrize("form", FORMS)
def test_a_password_is_found_in_every_form(form: str) -> None:
    assert MARKER in redaction.passwords_of([form])


@pytest.mark.parametrize(
    "harmless",
    [
        "postgresql://reader@db.example:5432/shop",
        "config.materialized:view,@model",
        "tag:nightly+",
        "{as_of: 2026-01-31, from: 2026-01-01}",
        '{"mail": "ana@shop.example"}',
        "2024-01-31T06:00:00+02:00",
        "test_type:unit",
        "--select",
        "--no-password",
    ],
)
def test_what_holds_no_password_is_left_alone(harmless: str) -> None:
    assert redaction.passwords_of([harmless, "analytics"]) == set()


def test_variables_are_hidden_but_not_the_words_of_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redaction, "_hidden", set())
    monkeypatch.setattr(redaction, "_hidden_words", set())
    redaction.watch(
        ["--password", "p%40ss:wörd"],
        {
            "PGPASSWORD": "warehouse",
            "DBT_ENV_SECRET_PG_PASSWORD": "long-enough",
            "DATABASE_URL": "postgresql://u:from-the-url@h/d",
            "OTHER_PASSWORD": "analytics",
            "PWD": "/srv/warehouse",
        },
    )
    said = "`warehouse up` in /srv/analytics: long-enough from-the-url p@ss:wörd p%40ss:wörd"
    assert redaction.redact(said) == "`warehouse up` in /srv/analytics: *** *** *** ***"


def commands(form: str) -> list[list[str]]:
    """Each command with an argument that holds a password, and mistaken ones."""
    return [
        *([name, form] for name in ("up", "down", "status", "marts", "retain", "build", "psql")),
        ["build", "--vars", form],
        ["build", "--password", MARKER],
        ["clv", "fit", "--as-of", form],
        ["clv", "backtest", "--plot", form],
        ["recall", "2024-01", "--model", form],
        ["sample", "--out", form],
        ["sample", "--users", form, "--out", "x"],
        ["load", form],
        ["load", "nowhere", form],
        ["load", "nowhere", "--max-rejected", form],
        ["load", "nowhere", "--loaded-at", form],
        ["load", "nowhere", "--tables", form],
        ["load", "--password", MARKER, "nowhere"],
        ["lod", form],
        [form],
        ["--password", MARKER, "load"],
    ]


def leaks(said: subprocess.CompletedProcess[str]) -> bool:
    # Boxes break lines.
    whole = "".join(character for character in said.stdout + said.stderr if character.isalnum())
    return MARKER in whole


def test_no_command_prints_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, because there are a hundred cases."""
    from warehouse import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dbt_project.yml").write_text("name: probe\n")
    for name, value in {
        "PGHOST": "h.invalid",
        "PGPASSWORD": f"{MARKER}-of-libpq",
        "DBT_ENV_SECRET_PG_PASSWORD": f"{MARKER}-of-dbt",
        "DATABASE_URL": f"postgresql://u:{MARKER}@h/d",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(redaction, "_hidden", set())
    monkeypatch.setattr(redaction, "_hidden_words", set())
    failed = []
    cases = [each for form in FORMS[::4] for each in commands(form)]
    cases += [each for form in FORMS for each in (["load", form], ["build", form], [form])]
    for arguments in cases:
        monkeypatch.setattr("sys.argv", ["warehouse", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = subprocess.CompletedProcess(arguments, 0, *capsys.readouterr())
        if leaks(said) or not stopped.value.code:
            failed.append(arguments)
    assert failed == []
    assert [path.name for path in tmp_path.rglob("*")] == ["dbt_project.yml"]


def test_a_traceback_hides_it_too() -> None:
    said = warehouse(None, "load", f"u:{MARKER}@h/d", WAREHOUSE_DEBUG="1")
    assert "Traceback" in said.stderr
    assert "u:***@h/d does not exist" in said.stderr
    assert not leaks(said)


def test_the_list_of_processes_shows_none() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host, port = silent.getsockname()
        address = f"postgresql://u:{MARKER}@{host}:{port}/d"
        # The database to load into never answers either: without it, the embedded server starts.
        own = {"PGHOST": host, "PGPORT": str(port), "PGUSER": "u", "PGDATABASE": "d"}
        process = subprocess.Popen(
            [sys.executable, "-m", "warehouse.cli", "load", address], env={**os.environ, **own}
        )
        try:
            deadline = time.monotonic() + 30
            shown = ""  # as it is for a moment while the program starts
            while not shown or MARKER in shown:
                assert time.monotonic() < deadline
                time.sleep(0.05)
                shown = " ".join(psutil.Process(process.pid).cmdline())
        finally:
            process.kill()
            process.wait()
    assert shown.endswith(address.replace(MARKER, "***"))


def test_psql_gets_its_statements() -> None:
    from warehouse.cli import _without_sql

    given = [
        "-X",
        "-c",
        "alter role a password = 'b'",
        "--set=password=x",
        "-v",
        "token=y",
        "-f",
        "z",
    ]
    assert _without_sql(given) == ["-X", "-f", "z"]
