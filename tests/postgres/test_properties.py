"""What hangs on a relation is still there when a build has replaced it, or the build refuses.

`pg_dump` is the judge: it reads the catalogs independently of the macros.
"""

from __future__ import annotations

import ast
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import dbt_project
from tests.support.database import Database, ask, do, new_database
from tests.support.relations import leftovers
from tests.support.small_project import WARNINGS, run, warned, write_model, write_project
from warehouse.server import Server

QUERY = (
    "select n as id, n % 3 as part, n::text as label, date '2026-01-01' + n as day"
    " from generate_series(0, 49) as n"
)
ROLES = ("properties_reader", "properties_auditor", "properties_owner")
PREPARED = (
    "create table public.parts as select generate_series(0, 2) as part",
    "alter table public.parts add primary key (part)",
    "create function public.notice() returns trigger language plpgsql as 'begin return old; end'",
)
CONSTRAINTS = (
    "add constraint few check (id < 1000), add constraint once unique (day, id)",
    "add constraint key primary key (id, day)",
    "add constraint of_part foreign key (part) references public.parts (part)",
    "alter column label set not null",
)
# At least one statement of each kind that read_properties knows.
OF_TABLES = (
    *(f"alter table marts.rows {constraint}" for constraint in CONSTRAINTS),
    "comment on constraint few on marts.rows is 'few of them'",
    "create index by_label on marts.rows (label) include (id) where part = 1",
    "comment on index marts.by_label is 'by hand'",
    "create statistics marts.label_and_part on label, part from marts.rows",
    "alter statistics marts.label_and_part set statistics 7",
    "alter table marts.rows alter column label set statistics 77,"
    " alter column label set (n_distinct = 7), alter column label set storage external,"
    " alter column label set compression pglz, alter column label set default 'none'",
    "create sequence marts.numbers owned by marts.rows.id",
    "alter table marts.rows alter column id set default nextval('marts.numbers')",
    "alter table marts.rows replica identity using index key",
    *(
        f"create trigger {name} before update on marts.rows for each row"
        " execute function public.notice()"
        for name in ("noticed", "unused")
    ),
    "alter table marts.rows disable trigger unused",
    "comment on trigger noticed on marts.rows is 'notices'",
    "create rule unchanged as on delete to marts.rows where old.id = 7 do instead nothing",
    "create policy own_part on marts.rows for select to properties_reader using (part = 1)",
    "create policy positive on marts.rows as restrictive using (id in"
    " (select others.id from marts.rows as others)) with check (id > 0)",
    "comment on policy own_part on marts.rows is 'one part each'",
    "alter table marts.rows enable row level security, force row level security",
    "create publication some_rows for table marts.rows (id, day, part) where (id > 3)"
    " with (publish_via_partition_root)",
    "create table public.guarded (id int, day date,"
    " foreign key (id, day) references marts.rows (id, day))",
    "create policy of_rows on public.guarded using (id in (select id from marts.rows))",
    "create function public.count_rows() returns bigint"
    " begin atomic select count(*) from marts.rows; end",
)
OF_PLAIN_TABLES = (
    "alter table marts.rows set (fillfactor = 70, toast.autovacuum_enabled = false)",
    "create index by_part on marts.rows (part) with (fillfactor = 60)",
    "alter table marts.rows cluster on by_part",
)
OF_MATERIALIZED_VIEWS = (
    "create index by_label on marts.rows (label)",
    "create statistics marts.label_and_part on label, part from marts.rows",
    "alter materialized view marts.rows alter column label set statistics 77",
    "alter materialized view marts.rows set (fillfactor = 70)",
    "create function public.count_rows() returns bigint"
    " begin atomic select count(*) from marts.rows; end",
)
OF_ALL = (
    "grant usage on schema marts to properties_auditor",
    "comment on column marts.rows.part is 'by hand'",
    "grant select on marts.rows to properties_reader",
    "grant select on marts.rows to properties_auditor with grant option",
    "grant select (label) on marts.rows to pg_monitor",
    "set role properties_auditor",
    "grant select on marts.rows to pg_read_all_stats",
    "reset role",
    "alter table marts.rows owner to properties_owner",
)
KINDS: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    "table": ((*OF_TABLES, *OF_PLAIN_TABLES, *OF_ALL), {"materialized": "table"}),
    "incremental": ((*OF_TABLES, *OF_PLAIN_TABLES, *OF_ALL), {"materialized": "incremental"}),
    "partitioned": (
        (*OF_TABLES, *OF_ALL),
        {"materialized": "incremental", "partition_by": {"fields": ["day"]}},
    ),
    "seed": ((*OF_TABLES, *OF_PLAIN_TABLES, *OF_ALL), {}),
    "view": (
        ("alter view marts.rows set (security_barrier, security_invoker)", *OF_ALL),
        {"materialized": "view"},
    ),
    "materialized_view": (
        (*OF_MATERIALIZED_VIEWS, *OF_ALL),
        {
            "materialized": "materialized_view",
            "indexes": [{"columns": ["id"], "unique": True}],
        },
    ),
}


@pytest.fixture(
    params=["server", pytest.param("server_16", marks=pytest.mark.long)], ids=["18", "16"]
)
def server_of_version(request: pytest.FixtureRequest) -> Server:
    """A server of PostgreSQL 18 and of 16."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def warehouse(server_of_version: Server) -> Iterator[Database]:
    """An empty database, with the roles of these tests."""
    with new_database(server_of_version) as made:
        do(
            made,
            *(
                f"do $$ begin create role {role}; exception when duplicate_object then null; end $$"
                for role in ROLES
            ),
            f"grant create on database {made.name} to properties_owner",
            *PREPARED,
        )
        yield made


def dump(server: Server, database: Database) -> set[str]:
    """The statements of pg_dump, without partitions and the names that tell old from new."""
    command = [str(server.bin / "pg_dump"), "--schema-only", database.name]
    connection = ["-h", database.environment["PGHOST"], "-U", database.environment["PGUSER"]]
    done = subprocess.run(
        [*command, *connection, "-p", database.environment["PGPORT"]],
        capture_output=True,
        text=True,
        check=True,
    )
    text = "\n".join(line for line in done.stdout.splitlines() if not re.match(r"--|SET |\\", line))
    text = text.replace(" ON ONLY ", " ON ").replace("ALTER TABLE ONLY ", "ALTER TABLE ")
    text = re.sub(r"\)\nPARTITION BY .*?;", ");", text)
    statements = (" ".join(statement.split()) for statement in text.split(";\n"))
    return {
        statement for statement in statements if not re.search(r"partitions\.|\w__dbt_", statement)
    }


def write_rows(project: Path, kind: str, more: str = "") -> None:
    """Write the model or the seed `rows`, with one more column at its beginning if it may."""
    if kind == "seed":
        lines = ["id,part,label,day", *(f"{n},{n % 3},x{n},2026-01-{n + 1:02}" for n in range(30))]
        (project / "seeds").mkdir(exist_ok=True)
        (project / "seeds" / "rows.csv").write_text("\n".join(lines) + "\n")
        dbt_project.forget(project)
    else:
        write_model(
            project, "rows", QUERY.replace("select ", f"select {more}", 1), **KINDS[kind][1]
        )


@pytest.mark.parametrize("kind", KINDS)
def test_what_hangs_on_a_relation_is_carried_over(
    server_of_version: Server, warehouse: Database, tmp_path: Path, kind: str
) -> None:
    is_view = kind in ("view", "materialized_view")
    project = write_project(tmp_path / "project", {})
    write_rows(project, kind)
    dbt_project.run(warehouse, "build", project=project)
    do(warehouse, *KINDS[kind][0])
    before = dump(server_of_version, warehouse)
    oid = ask(warehouse, "select 'marts.rows'::regclass::oid")

    write_rows(project, kind, "0 as zero, " if is_view else "")
    dbt_project.run(warehouse, "build", project=project, full_refresh=True)
    assert ask(warehouse, "select 'marts.rows'::regclass::oid") != oid
    after = dump(server_of_version, warehouse)
    if is_view:
        before, after = (
            {text for text in texts if "VIEW marts.rows WITH" not in text}
            for texts in (before, after)
        )
    assert after == before
    assert leftovers(warehouse) == []


def test_a_table_that_gains_partitions_stays_protected(
    server_of_version: Server, warehouse: Database, tmp_path: Path
) -> None:
    """And gets a storage for each of them. A role sees one row, at any moment."""
    project = write_project(tmp_path / "project", {})
    config = KINDS["incremental"][1]
    write_model(project, "rows", QUERY, **config)
    run(warehouse, project)
    do(
        warehouse,
        # This policy reads its own table, which PostgreSQL refuses to evaluate.
        *(statement for statement in OF_TABLES if "policy positive" not in statement),
        "alter table marts.rows set (fillfactor = 70)",
        *OF_ALL,
        "grant usage on schema marts to properties_reader",
    )
    declared = {
        text
        for text in dump(server_of_version, warehouse)
        if not text.startswith("CREATE TABLE marts.rows")
    }
    seen: set[Any] = set()
    is_over = threading.Event()

    def read() -> None:
        with warehouse.connect() as session:
            session.autocommit = True
            session.execute("set role properties_reader")
            while not is_over.is_set():
                seen.add(session.execute("select count(*) from marts.rows").fetchone()[0])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for partition_by in ({"fields": ["day"]}, {"fields": ["day"], "granularity": "year"}, None):
            more = {"partition_by": partition_by} if partition_by else {}
            write_model(project, "rows", f"{QUERY} where false", **config, **more)
            run(warehouse, project)
            kept = dump(server_of_version, warehouse)
            assert declared - kept == set(), partition_by
            options = ask(
                warehouse,
                "select distinct reloptions::text from pg_class where relkind = 'r'"
                " and (oid = 'marts.rows'::regclass or oid in"
                " (select relid from pg_partition_tree('marts.rows')))",
            )
            assert options == "{fillfactor=70}", partition_by
    finally:
        is_over.set()
        reader.join()
    assert seen == {17}


REFUSED = {
    "inheritance child public.heir": (
        "create table public.heir () inherits (marts.rows)",
        "drop table public.heir",
    ),
    "function public.rows_of": (
        "create function public.rows_of() returns setof marts.rows language sql"
        " as 'select null::marts.rows'",
        "drop function public.rows_of()",
    ),
    "dependent object column r of table public.of_rows": (
        "create table public.of_rows (r marts.rows)",
        "drop table public.of_rows",
    ),
    "constraint trigger guarded on public.other": (
        "create table public.other (id int)",
        "create function public.accept() returns trigger language plpgsql"
        " as 'begin return null; end'",
        "create constraint trigger guarded after insert on public.other from marts.rows"
        " for each row execute function public.accept()",
        "drop table public.other",
    ),
    "identity column id": (
        "alter table marts.rows alter column id set not null,"
        " alter column id add generated always as identity",
        "alter table marts.rows alter column id drop identity",
    ),
    "reloftype = ": (
        "create type public.shape as (id int, part int, label text, day date)",
        "alter table marts.rows of public.shape",
        "alter table marts.rows not of",
    ),
}


def test_what_cannot_be_carried_over_stops_the_build(warehouse: Database, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", {})
    write_model(project, "rows", QUERY, materialized="table")
    run(warehouse, project)
    for what, statements in REFUSED.items():
        do(warehouse, *statements[:-1])
        oid = ask(warehouse, "select 'marts.rows'::regclass::oid")
        with pytest.raises(
            dbt_project.DbtFailed,
            match=f"marts.rows was not replaced, because its new version cannot have its {what}",
        ):
            run(warehouse, project)
        assert ask(warehouse, "select 'marts.rows'::regclass::oid") == oid
        do(warehouse, statements[-1])
    # A materialized view on the table is replaced with it.
    do(
        warehouse,
        "create materialized view public.stored as select id from marts.rows",
        "create function public.stored_rows() returns setof public.stored language sql"
        " as 'select null::public.stored'",
    )
    with pytest.raises(
        dbt_project.DbtFailed, match=r"its reader public.stored with its function public.stored_row"
    ):
        run(warehouse, project)
    assert leftovers(warehouse) == []
    do(warehouse, "drop function public.stored_rows()")
    run(warehouse, project)
    assert ask(warehouse, "select count(*) from public.stored") == 50
    # An identity without its index is none.
    do(
        warehouse,
        "create unique index identity on marts.rows (id)",
        "alter table marts.rows alter column id set not null",
        "alter table marts.rows replica identity using index identity",
        "drop index marts.identity",
    )
    run(warehouse, project)
    assert leftovers(warehouse) == []


@pytest.mark.parametrize("partition_by", [None, {"fields": ["day"]}], ids=["plain", "partitioned"])
@pytest.mark.parametrize("name", ["rows", "a_model_with_a_name_so_long_that_its_indexes_are_cut"])
def test_marks_on_declared_indexes_are_carried_over(
    warehouse: Database, tmp_path: Path, partition_by: dict[str, Any] | None, name: str
) -> None:
    """Also those of a contract's key; a marked index has another name than its successor."""
    project = write_project(tmp_path / "project", {})
    more = {"partition_by": partition_by} if partition_by else {}
    with_day = ["day"] if partition_by else []

    write_model(
        project,
        name,
        "select n as key, n % 3 as part, date '2026-01-01' + n as day"
        " from generate_series(0, 49) as n",
        {
            "constraints": [{"type": "primary_key", "columns": ["key", "day"]}],
            "columns": [
                {"name": "key", "data_type": "integer"},
                {"name": "part", "data_type": "integer"},
                {"name": "day", "data_type": "date"},
            ],
        },
        materialized="incremental",
        on_schema_change="fail",
        contract={"enforced": True},
        indexes=[{"columns": ["key", *with_day], "unique": True}],
        **more,
    )
    run(warehouse, project)

    def index(is_key: bool) -> str:
        return ask(
            warehouse,
            "select relname from pg_class inner join pg_index on pg_class.oid = indexrelid"
            f" where indrelid = 'marts.{name}'::regclass and indisprimary = {is_key}",
        )

    def marks() -> str:
        return ask(
            warehouse,
            "select string_agg(format('%s %s %s %s', indisprimary, indisreplident, indisclustered,"
            " reloptions), ', ' order by indisprimary) from pg_index inner join pg_class"
            f" on indexrelid = pg_class.oid where indrelid = 'marts.{name}'::regclass",
        )

    for is_key in (True, False):
        marked = [f"replica identity using index {index(is_key)}"]
        if not partition_by:
            marked.append(f"cluster on {index(is_key)}")
            do(warehouse, f"alter index marts.{index(is_key)} set (fillfactor = 55)")
        # A key that the contract does not declare as not null.
        nullable = [f"alter {column} set not null" for column in ("key", "day")]
        do(warehouse, *(f"alter table marts.{name} {change}" for change in (*nullable, *marked)))
        before = marks()
        assert re.search(r"[tf] t [tf]", before)
        for _ in range(2):
            run(warehouse, project, full_refresh=True)
            assert marks() == before


def test_what_one_partition_has_stops_the_build(warehouse: Database, tmp_path: Path) -> None:
    """In time that grows with the number of partitions, not with its square."""
    project = write_project(tmp_path / "project", {})
    counted = (
        "create table if not exists public.counted (calls int);"
        " insert into public.counted select sum(calls) from pg_stat_xact_user_functions"
        " where funcname = 'read_properties' having sum(calls) > 2"
    )
    do(warehouse, f"alter database {warehouse.name} set track_functions = 'all'")
    reads = []
    for days in (10, 40):
        write_model(
            project,
            "rows",
            QUERY.replace("49", str(days - 1)),
            materialized="incremental",
            partition_by={"fields": ["day"], "granularity": "day"},
            post_hook=counted,
        )
        for _ in range(2):
            run(warehouse, project, full_refresh=True)
        reads.append(ask(warehouse, "select max(calls) from public.counted"))
    assert reads[0] + 30 <= reads[1] <= reads[0] + 30 * 5

    partition = ask(
        warehouse,
        "select max(inhrelid::regclass::text) from pg_inherits"
        " where inhparent = 'marts.rows'::regclass",
    )
    do(warehouse, f"create policy own on {partition} using (true)")
    with pytest.raises(dbt_project.DbtFailed) as failed:
        run(warehouse, project, full_refresh=True)
    assert f"cannot have its policy own of its partition {partition} (" in str(failed.value)


def test_a_seed_with_other_columns_is_replaced(warehouse: Database, tmp_path: Path) -> None:
    """Also under a view, and with what hangs on it."""
    project = write_project(tmp_path / "project", {})
    (project / "seeds").mkdir()
    for text in ("id,name\n1,a\n", "id,name,More\n1,b,x\n2,c,y\n", "name,id\nd,4\n"):
        (project / "seeds" / "planted.csv").write_text(text)
        dbt_project.forget(project)
        dbt_project.run(warehouse, "seed", project=project)
        if "1,a" in text:
            do(
                warehouse,
                "create view public.on_top as select id, name from marts.planted",
                "grant select on marts.planted to properties_reader",
                "alter table marts.planted enable row level security",
            )
        assert ask(warehouse, "select count(*) from public.on_top") == text.count("\n") - 1
        assert ask(
            warehouse,
            "select relrowsecurity, has_table_privilege('properties_reader', oid, 'select')"
            " from pg_class where oid = 'marts.planted'::regclass",
        ) == [(True, True)]
    assert leftovers(warehouse) == []


def test_every_catalog_of_relations_is_known(server_of_version: Server) -> None:
    """A new version of PostgreSQL may have more; then read_properties has to learn them."""
    file = dbt_project.ROOT / "macros/postgres/replace/find_unknown_properties.sql"
    (literal,) = re.findall(r"return\((\{.*?\})\) \}\}", file.read_text(), re.DOTALL)
    known = ast.literal_eval(literal)
    with server_of_version.connect("postgres") as session:
        for catalog in ("pg_class", "pg_attribute"):
            fields = session.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
                " and not attisdropped",
                [catalog],
            ).fetchall()
            treated = [name for names in known[catalog].values() for name in names]
            assert {field for (field,) in fields} - set(treated) == set(), catalog
            assert len(treated) == len(set(treated)), catalog
        places = session.execute(
            "select distinct format('%s.%s', fktable, fkcols[1]) from pg_get_catalog_foreign_keys()"
            " where pktable in ('pg_class'::regclass, 'pg_attribute'::regclass) and not is_array"
        ).fetchall()
    found = {place for (place,) in places}
    assert found - set(known) == set()
    assert {place for place in known if "." in place} - found == set()


def test_an_index_that_serves_something_else_stays(warehouse: Database, tmp_path: Path) -> None:
    """The build says so, until another index serves that."""
    project = write_project(tmp_path / "project", {})

    def build(include: str) -> str:
        write_model(
            project,
            "served",
            "select n as id, n as part, n as price from generate_series(1, 9) as n"
            "{% if is_incremental() %} where false{% endif %}",
            materialized="incremental",
            indexes=[{"columns": ["id"], "unique": True, "include": [include]}],
        )
        with warned() as said:
            run(warehouse, project, "served", options=WARNINGS)
        return said[0]

    def unique_indexes() -> int:
        return ask(
            warehouse,
            "select count(*) from pg_index where indrelid = 'marts.served'::regclass"
            " and indisunique and indisvalid",
        )

    assert "no longer declared" not in build("part")
    do(
        warehouse,
        "alter table marts.served alter column id set not null,"
        " replica identity using index served_id_key",
        "create table public.notes (id integer references marts.served (id))",
    )
    for _ in range(2):
        said = build("price")
        assert "no longer declared, and stays, because it serves the replica identity, the" in said
        assert "the foreign key notes_id_fkey of notes" in said
        assert unique_indexes() == 2
    do(warehouse, "drop table public.notes", "alter table marts.served replica identity default")
    build("price")
    assert unique_indexes() == 1
