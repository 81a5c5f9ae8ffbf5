"""Options that would have no effect are rejected.

The message names the given option and says when it is allowed. No test here needs a database.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from warehouse import options, project
from warehouse.errors import WarehouseError
from warehouse.load.command import load
from warehouse.sample.command import sample

FOLDER = "no such folder"
DATABASE = "postgresql://nobody@host.invalid/shop"
ONLY_A_DATABASE = " allowed only with a source database (postgresql://...), not with a folder."


@pytest.mark.parametrize(
    ("command", "given", "message"),
    [
        (load, {"source": FOLDER, "schema": "shop"}, f"--schema shop is{ONLY_A_DATABASE}"),
        # An explicit default has no effect either.
        (load, {"source": FOLDER, "schema": "public"}, f"--schema public is{ONLY_A_DATABASE}"),
        (load, {"source": FOLDER, "from_start": True}, f"--from-start is{ONLY_A_DATABASE}"),
        (load, {"source": FOLDER, "overlap_hours": 0.0}, f"--overlap-hours 0 is{ONLY_A_DATABASE}"),
        (
            load,
            {"source": FOLDER, "schema": "x", "from_start": True, "overlap_hours": 3.0},
            f"--schema x, --overlap-hours 3, --from-start are{ONLY_A_DATABASE}",
        ),
        (
            load,
            {"source": FOLDER, "max_deletes": 60.0},
            "--max-deletes 60 is allowed only with --complete.",
        ),
        (
            load,
            {"source": DATABASE, "allow_empty": True, "max_deletes": 50.0},
            "--max-deletes 50, --allow-empty are allowed only with --complete.",
        ),
        *(
            (
                load,
                {"source": DATABASE, "overlap_hours": hours},
                f"--overlap-hours must be from 0 to 100000, got {hours:g}.",
            )
            for hours in (-1.0, 1e12, float("nan"))
        ),
        (
            load,
            {"source": DATABASE, "from_start": True, "overlap_hours": 3.0},
            "--overlap-hours 3 is allowed only without --from-start, which reads all rows.",
        ),
        (
            load,
            {"source": DATABASE, "complete": True, "overlap_hours": 3.0},
            "--overlap-hours 3 is allowed only without --complete, which reads all rows.",
        ),
        (
            load,
            {"source": DATABASE, "complete": True, "from_start": True},
            "--from-start is allowed only without --complete, which reads all rows.",
        ),
        (
            load,
            {"source": FOLDER, "accept_deletes": True},
            "--accept-deletes is allowed only with --complete.",
        ),
        (
            load,
            {"source": FOLDER, "complete": True, "accept_deletes": True, "max_deletes": 5.0},
            "--accept-deletes is allowed only without --max-deletes, which it overrules.",
        ),
        (load, {"source": FOLDER, "trust_times": True}, f"--trust-times is{ONLY_A_DATABASE}"),
        (
            load,
            {"source": "host=host.invalid dbname=shop", "complete": True, "trust_times": True},
            "--trust-times is allowed only without --complete, which reads all rows.",
        ),
        (
            load,
            {"source": FOLDER, "tables": " , "},
            "--tables names no table: leave it out to load all tables.",
        ),
        (
            sample,
            {"out": Path(FOLDER), "dirty": 0.01, "no_dirty": True},
            "--dirty 0.01 is allowed only without --no-dirty.",
        ),
        (
            sample,
            {"out": Path(FOLDER), "start_date": "2026-01-01", "end_date": "2026-02-01"},
            "Pass --start-date or --end-date, not both (2026-01-01, 2026-02-01): the other follows"
            " from --days.",
        ),
    ],
)
def test_an_option_without_effect_is_refused(
    command: Callable[..., None], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(WarehouseError) as refused:
        command(**given)
    assert str(refused.value) == message
    assert not Path(FOLDER).exists()


@pytest.mark.parametrize(
    "given",
    [
        {"source": FOLDER, "complete": True, "max_deletes": 60.0, "allow_empty": True},
        {"source": FOLDER, "max_rejected": 20.0, "tables": "users", "loaded_at": "2026-01-01"},
    ],
)
def test_an_option_with_effect_is_not(given: dict[str, Any]) -> None:
    with pytest.raises(WarehouseError, match="no such folder does not exist"):
        load(**given)


@pytest.mark.parametrize(
    ("given", "variable"),
    [
        (["--target", "prod"], "DBT_TARGET"),
        (["--target=prod"], "DBT_TARGET"),
        (["-t", "prod"], "DBT_TARGET"),
        (["-tprod"], "DBT_TARGET"),
        (["-xft", "prod"], "DBT_TARGET"),
        (["--profile", "prod"], "DBT_PROFILE"),
        (["--profiles-dir=prod"], "DBT_PROFILES_DIR"),
        (["--target-path", "prod"], "DBT_TARGET_PATH"),
    ],
)
def test_options_of_dbt_apply_to_the_command(
    given: list[str], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DBT_TARGET", "DBT_PROFILE", "DBT_PROFILES_DIR", "DBT_TARGET_PATH"):
        monkeypatch.setenv(name, "before")
    options.follow_dbt(["--select", "dim_time", *given])
    assert os.environ.pop(variable) == "prod"
    others = {"DBT_TARGET", "DBT_PROFILE", "DBT_PROFILES_DIR", "DBT_TARGET_PATH"} - {variable}
    assert {os.environ[name] for name in others} == {"before"}


def test_an_argument_that_only_resembles_an_option_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DBT_TARGET", "before")
    options.follow_dbt(["--select", "target", "--target-x", "prod", "-s", "test", "--target"])
    assert os.environ["DBT_TARGET"] == "before"


def test_another_project_is_refused(tmp_path: Path) -> None:
    options.follow_dbt(["--project-dir", str(project.root())])
    for given in (["--project-dir", str(tmp_path)], [f"--project-dir={tmp_path}"]):
        with pytest.raises(WarehouseError, match="is not the project of this command"):
            options.follow_dbt(given)


def test_a_moment_is_the_end_of_a_day_that_has_begun() -> None:
    now = datetime.now(UTC)
    assert now <= options.moment_of(None) <= now + timedelta(minutes=1)
    assert options.moment_of("2026-01-31").isoformat() == "2026-01-31T23:59:59.999999+00:00"
    assert options.moment_of(now.date().isoformat()) <= datetime.now(UTC)
    with pytest.raises(WarehouseError, match=r"--as-of must be a date such as .*, got 'soon'"):
        options.moment_of("soon")
    with pytest.raises(WarehouseError, match="is in the future"):
        options.moment_of((now.date() + timedelta(days=2)).isoformat())


def test_a_day_ends_where_the_business_is(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr(project, "variable", lambda name, default=None: given.get(name, default))
    for zone, day, end in (
        ("America/New_York", "2024-03-09", "2024-03-10T04:59:59.999999"),
        ("America/New_York", "2024-03-10", "2024-03-11T03:59:59.999999"),
        # Clocks change at midnight: backward, and forward so that 00:00 does not exist.
        ("America/Sao_Paulo", "2018-02-17", "2018-02-18T02:59:59.999999"),
        ("America/Sao_Paulo", "2018-11-03", "2018-11-04T02:59:59.999999"),
        ("Pacific/Kiritimati", "2024-12-31", "2024-12-31T09:59:59.999999"),
        # The hour after midnight comes twice.
        ("America/Havana", "2022-11-05", "2022-11-06T03:59:59.999999"),
        # On this day the clocks went from 23:00 to midnight.
        ("America/Nuuk", "2024-03-30", "2024-03-31T00:59:59.999999"),
    ):
        given["time_zone"] = zone
        moment = options.moment_of(day)
        assert moment.date().isoformat() == day
        assert moment.astimezone(UTC).replace(tzinfo=None).isoformat() == end, zone
    for wrong in ("Mars/Olympus", "../etc/passwd", 3):
        given["time_zone"] = wrong
        with pytest.raises(WarehouseError, match=r"time_zone .* takes UTC, or the name"):
            options.moment_of(None)
