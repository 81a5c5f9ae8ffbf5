"""The commands `warehouse build` and `warehouse marts`."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.command import warehouse
from tests.support.database import new_database
from warehouse import dbt
from warehouse.build import marts as listing
from warehouse.database import build_lock as lock
from warehouse.database import profile
from warehouse.errors import WarehouseError


@pytest.fixture(scope="module")
def dbt_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for dbt's files, shared by several builds to parse the project only once."""
    return tmp_path_factory.mktemp("dbt")


def call(database: Any, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `warehouse` against a test's database, with dbt's files in `folder`."""
    variables = {"DBT_TARGET_PATH": str(folder / "target"), "DBT_LOG_PATH": str(folder / "logs")}
    return warehouse(database, *arguments, **variables)


def test_build_passes_its_arguments_on_and_lists_the_marts(built: Any, dbt_files: Path) -> None:
    answer = call(built, dbt_files, "build", "--select", "dim_time")

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert re.search(r"\d s  marts.dim_time +(unchanged|\d+ rows)\n", answer.stdout)
    assert "Built 1 model, 0 snapshots, 0 seeds; " in answer.stdout
    assert " tests passed, 0 with warnings; " in answer.stdout
    # dbt's own lines are in its log.
    assert "dim_time_has_every_minute" not in answer.stdout
    assert "PASS" not in answer.stdout
    assert "dim_time_has_every_minute" in (dbt_files / "logs" / "dbt.log").read_text()
    assert "dim_users" not in answer.stdout.split("The marts")[0]
    assert "Not published, and reporting shows what it showed before" in answer.stdout
    assert len(answer.stdout.split("The marts")[0].splitlines()) < 8
    listed = answer.stdout.split("The marts")[1]
    assert "1,440" in listed
    assert "reporting.user_analytics" in listed
    assert "warehouse psql" in listed


def test_build_explains_warnings_and_failures(built: Any, dbt_files: Path) -> None:
    with built.connect() as session:
        session.execute(
            "insert into raw.users (user_id, email, created_at, updated_at, _loaded_at) values"
            " ('odd', 'at nobody', now(), now(), now())"
        )
        session.execute("alter table raw.users drop constraint users_pkey")
        session.execute("insert into raw.users select * from raw.users where user_id = 'odd'")
    answer = call(built, dbt_files, "build", "--select", "stg_app__users", "dim_users")

    assert answer.returncode == 1
    said = answer.stdout
    failed, warned = said.split("failed:\n")[1].split(" warning")[:2]
    assert "- 1 row: unique_stg_app__users_user_id\n" in failed
    assert "rows: The e-mail address is malformed. (stg_app__users_email_is_wellformed)" in warned
    (query,) = re.findall(r"warehouse psql -c (.*stg_app__users where email.*)", warned)
    assert "skipped after a failure" in said
    rows = call(built, dbt_files, "psql", "-c", *shlex.split(query))
    assert rows.returncode == 0, rows.stderr
    assert "at nobody" in rows.stdout
    verbose = call(built, dbt_files, "build", "--verbose", "--select", "dim_time")
    assert "PASS dim_time_has_every_minute" in verbose.stdout


def test_marts_before_a_build(database: Any, tmp_path: Path) -> None:
    answer = call(database, tmp_path, "marts")

    assert answer.returncode == 1
    assert "run `warehouse build` first" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.long
def test_a_failing_build_says_so(server: Any, dbt_files: Path) -> None:
    """The empty database is named like `built`, so that dbt need not parse the project again."""
    with new_database(server, name="built") as unbuilt:
        answer = call(unbuilt, dbt_files, "build", "--select", "stg_app__users")
        assert answer.returncode == 2
        assert "raw.users does not exist" in answer.stderr
        answer = call(unbuilt, dbt_files, "build", "--select", "user_rfm")

    assert answer.returncode == 1
    assert "dbt build failed" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_check_lists_what_is_wrong_with_the_raw_tables(built: Any, dbt_files: Path) -> None:
    answer = call(built, dbt_files, "check")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "The raw tables fulfil the source contract: users, categories" in answer.stdout

    with built.connect() as session:
        session.execute("drop table raw.orders cascade")
        session.execute("drop table raw.events cascade")
    answer = call(built, dbt_files, "check")
    assert answer.returncode == 1
    assert "in 2 places" in answer.stderr
    assert "\n- raw.orders does not exist" in answer.stderr
    assert "\n- raw.events does not exist" in answer.stderr
    assert "in macro" not in answer.stderr


def test_what_dbt_does_not_know_is_named(built: Any, dbt_files: Path) -> None:
    answer = call(built, dbt_files, "build", "--bogus")

    assert answer.returncode == 2
    assert "dbt stopped: No such option" in answer.stderr
    assert "--bogus" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_second_build_names_the_first_and_leaves(built: Any, dbt_files: Path) -> None:
    with dbt_project.environment(built.environment):
        where = profile.settings()
        with lock.build_lock(where, wait=False):
            answer = call(built, dbt_files, "build", "--select", "dim_time")

    assert answer.returncode == 75
    assert "Another build is running: warehouse build by" in answer.stderr
    assert f"process {os.getpid()}" in answer.stderr
    assert "dim_time" not in answer.stdout


def test_targets_of_one_database_lock_what_they_share(built: Any) -> None:
    """dev and prod write to the same schemas, ci to its own."""
    with dbt_project.environment(built.environment):
        where = profile.settings()
    of = {name: dataclasses.replace(where, target=name) for name in ("dev", "prod", "ci", "eve")}
    with lock.build_lock(of["dev"], wait=False), lock.build_lock(of["ci"], wait=False):
        with pytest.raises(WarehouseError), lock.build_lock(of["prod"], wait=False):
            pass
        with pytest.raises(WarehouseError), lock.build_lock(of["ci"], wait=False):
            pass
        with lock.build_lock(of["eve"], wait=False):
            pass


@pytest.mark.long
def test_a_build_of_another_database_than_the_load_warns(
    built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last load of this folder went to another database: rows are missing in this one."""
    with dbt_project.environment(built.environment):
        here = profile.settings().description
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    for loaded, warns in ((here, False), ("the embedded server", True)):
        dbt.remember_load(loaded)
        answer = call(built, tmp_path, "build", "--bogus")
        said = f"the last `warehouse load` in this folder went to {loaded}" in answer.stderr
        assert (answer.returncode, said) == (2, warns), answer.stderr


@pytest.mark.long
def test_a_second_build_can_wait(built: Any, dbt_files: Path) -> None:
    command = [sys.executable, "-m", "warehouse.cli", "build", "--wait", "--select", "dim_time"]
    variables = {**os.environ, **built.environment, "DBT_TARGET_PATH": str(dbt_files / "target")}
    with dbt_project.environment(built.environment):
        where = profile.settings()
    with lock.build_lock(where, wait=False):
        waiting = subprocess.Popen(
            command,
            cwd=dbt_project.ROOT,
            env={**variables, "DBT_LOG_PATH": str(dbt_files)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("Database: PostgreSQL on ")
        assert "Waiting for another build" in waiting.stderr.readline()
        assert waiting.poll() is None
    out, _ = waiting.communicate(timeout=120)

    assert waiting.returncode == 0
    assert "dim_time" in out


def test_a_killed_build_gives_its_lock_back(built: Any, dbt_files: Path) -> None:
    with dbt_project.environment(built.environment):
        where = profile.settings()
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import time\nfrom warehouse.database import build_lock as lock, profile\n"
            "with lock.build_lock(profile.settings(), wait=False):\n"
            "    print('held', flush=True)\n    time.sleep(600)",
        ],
        cwd=dbt_project.ROOT,
        env={**os.environ, **built.environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(WarehouseError) as refused, lock.build_lock(where, wait=False):
        pass
    assert refused.value.exit_code == lock.BUSY
    holder.kill()
    holder.wait()
    with lock.build_lock(where, wait=True):
        pass


def test_every_mart_says_what_it_answers(built: Any, dbt_files: Path) -> None:
    assert call(built, dbt_files, "build", "--select", "dim_time").returncode == 0
    marts = listing.read_marts(dbt_files / "target" / "manifest.json")
    folders = [
        path.stem
        for folder in ("marts", "reporting", "quarantine")
        for path in (dbt_project.ROOT / "models" / folder).rglob("*.sql")
    ]

    assert len(marts) == len(folders)
    assert all(mart.question.endswith(("?", ".")) for mart in marts)
