"""The pages on BI tools and on updates: their statements and commands do what they say."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support import dbt_project
from tests.support.database import Database, do, fetch
from tests.support.documents import blocks
from tests.support.roles import dropped_roles
from tests.support.server import temporary_server
from warehouse.privacy import roles
from warehouse.server import Server

ROOT = dbt_project.ROOT
CONNECTING = ROOT / "docs" / "connecting-bi.md"
RIGHTS = ROOT / "tests" / "privacy" / "rights.txt"
UPDATING = ROOT / "docs" / "updating.md"


@pytest.fixture
def analyst(server: Server, built: Database) -> Iterator[str]:
    """The role of the page, on the built sample; roles belong to the whole server."""
    creating, granting = blocks(CONNECTING)
    assert "create role analyst" in creating and "grant" not in creating
    # The builder may not create or alter roles.
    assert " role " not in granting
    with built.connect() as session:
        session.autocommit = True
        roles.apply(session)
        session.execute(creating)
        dbt_project.invoke(built, "run-operation", "grant_to_roles")
        session.execute(granting)
    yield "analyst"
    do(built, "drop role analyst", *dropped_roles())


def test_an_analyst_reads_what_is_granted_and_nothing_else(built: Database, analyst: str) -> None:
    """Also after a full refresh, and in a view that is created later."""
    with built.connect() as session:
        session.execute("drop view reporting.user_rfm")
    models = ("dim_categories", "daily_revenue", "rpt_user_rfm")
    dbt_project.build(built, *models, options=dbt_project.NO_TESTS, full_refresh=True)
    listed = re.findall(r"^warehouse_analyst +(\S+)", RIGHTS.read_text(), re.MULTILINE)
    expected = {*listed}
    assert "reporting.user_rfm" in expected and "marts.fct_orders" in expected
    readable = fetch(
        built,
        "select relnamespace::regnamespace || '.' || relname from pg_class"
        " where relkind in ('r', 'p', 'v', 'm')"
        " and relnamespace::regnamespace::text !~ '^pg_|^information_schema|^public$'"
        " and has_table_privilege(%s, oid, 'select')"
        " and has_schema_privilege(%s, relnamespace, 'usage')",
        analyst,
        analyst,
    )
    assert {name for (name,) in readable} == expected
    with psycopg.connect(
        host=built.environment["PGHOST"],
        port=built.environment["PGPORT"],
        user=analyst,
        dbname=built.name,
    ) as session:
        assert session.execute("select count(*) from reporting.user_rfm").fetchone() != (0,)
        if session.info.server_version >= 180000:
            # Of the tables on which the page grants references.
            joins = session.execute(
                "select count(*), array_agg(distinct table_name::text order by table_name::text)"
                " from information_schema.table_constraints where constraint_type = 'FOREIGN KEY'"
            ).fetchone()
            assert joins == (
                9,
                ["bridge_category_ancestors", "dim_products", "fct_order_items"],
            )
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute("create temporary table copied (id int)")


def commands(page: Path, word: str) -> list[str]:
    """The commands of the block that has this word, as they run in a test."""
    (block,) = [each for each in blocks(page, "") if word in each]
    block = block.replace(".venv/bin/python", sys.executable)
    block = block.replace(".venv/bin/warehouse", f"{sys.executable} -m warehouse.cli")
    return block.splitlines()


def test_the_embedded_server_listens_with_passwords_only() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with temporary_server(settings={"port": str(port), "fsync": "off"}) as server:
        lines = commands(CONNECTING, "listen_addresses")
        (trusting,) = [line for line in lines if line.startswith("sed ")]
        listening = next(line for line in lines if "alter system" in line).split('"')[1]
        with server.connect() as session:
            session.execute("create role analyst login password 'long enough'")
            session.execute(listening)
        script = trusting.replace(".warehouse", str(server.home))
        subprocess.run(["bash", "-ec", script], check=True)
        server.down()
        server.up()
        where = f"host=localhost port={port} dbname=warehouse"
        with psycopg.connect(f"{where} user=analyst password='long enough'") as session:
            assert session.execute("select inet_server_port()").fetchone() == (port,)
        for login in ("user=analyst password=wrong", "user=warehouse passfile=/dev/null"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(f"{where} {login}")


def test_the_embedded_server_is_dumped_and_restored(server: Server, tmp_path: Path) -> None:
    with server.connect() as session:
        session.execute("create table to_be_dumped as select 1 as id")
    environment = {**os.environ, "WAREHOUSE_HOME": str(server.home)}
    script = "\n".join(commands(UPDATING, 'pg_dump" --format custom --file warehouse.dump'))
    script = script.replace("warehouse.dump", str(tmp_path / "warehouse.dump"))
    subprocess.run(["bash", "-ec", script], check=True, env=environment, cwd=ROOT)
    restoring = "\n".join(commands(UPDATING, "pg_restore"))
    restoring = restoring.replace("warehouse.dump", str(tmp_path / "warehouse.dump"))
    parameters = server.parameters("postgres")
    environment |= {
        "PATH": f"{server.bin}:{os.environ['PATH']}",
        "PGHOST": parameters["host"],
        "PGPORT": parameters["port"],
        "PGUSER": parameters["user"],
    }
    try:
        subprocess.run(["bash", "-ec", restoring], check=True, env=environment)
        with server.connect("analytics") as session:
            assert session.execute("select id from to_be_dumped").fetchall() == [(1,)]
    finally:
        with server.connect("postgres") as session:
            session.execute("drop database if exists analytics with (force)")
        with server.connect() as session:
            session.execute("drop table to_be_dumped")
