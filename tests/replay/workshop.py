"""A database that builds histories load by load and compares them with a full rebuild.

The name of the database and the folder of the project stay the same, so that dbt parses the project
once. A build then takes about two seconds, whatever the number of histories.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.replay import edits, histories
from tests.replay.actions import conflicts
from tests.replay.histories import AFTER, BEFORE, DURING, History, Load, Operation, Plan
from tests.replay.performing import perform, tolerated
from tests.support import compare, dbt_project, oracle
from tests.support.database import Database
from warehouse import contract
from warehouse.load import target
from warehouse.server import Server

WITHOUT_TESTS = dbt_project.NO_TESTS

# Compared by fingerprint only, because they are large and read no data.
SCHEMAS = ("intermediate", "marts", "reporting", "quarantine")
STATIC = ("marts.dim_date", "marts.dim_time")
# Columns computed at query time, not at build time.
LIVE = ["days_since_signup", "days_since_last_activity", "recency_days"]
# Times of builds: mutants are compared with rebuilds of another run.
LIVE += ["first_seen_at", "last_seen_at", "resolved_at"]

# Short enough that orders leave the RFM window within a history.
RFM_MONTHS = 2

# The beat is one row in every table, stamped with the clock of each load. Because of it the newest
# stamp of a table is the same for a single history as for many.
BEAT = "beat"
LOCK = (4711, 1)

# Unlogged faults in the days of a backfill, by the column that dates the rows: rows are corrupted,
# changed, moved and deleted. The first table is two steps downstream of the facts.
FAULTS = (
    (
        "ordered_at",
        # Not user_clv, which every new day rewrites anyway.
        "update marts.user_analytics set total_orders = total_orders + 100"
        " where user_id in (select user_id from marts.fct_orders where {window})",
    ),
    ("order_date", "update raw.orders set order_status = 'paid' where {window}"),
    (
        "session_start",
        "update raw.user_sessions set session_start = session_start + interval '1 year'"
        " where {window}",
    ),
    ("event_timestamp", "delete from raw.events where {window}"),
)

# The contents of each relation: every row as JSON, and its number of occurrences.
Contents = dict[str, Counter[str]]
# Differences by the prefix of their history; "" if the row does not name one.
Complaints = dict[str, list[str]]


class Workshop:
    """One database, recreated for each batch of histories.

    Args:
        server: a running server.
        project: a copy of the dbt project; its seeds are overwritten.
        name: the name of the database.
    """

    def __init__(self, server: Server, project: Path, name: str = "replay") -> None:
        self.server = server
        self.project = project
        self.database = Database.of(server, name)
        # The same database, with schemas of its own, whose names begin with the target's.
        self.other = Database(name, {**self.database.environment, "DBT_TARGET": "ci"})
        self.contract = contract.read()
        # The rows that the snapshots of each build saw, for the oracle.
        self.seen: dict[str, list[tuple[Any, pl.DataFrame]]] = {"users": [], "products": []}
        # The segments after each build that ran the snapshot of segments.
        self.segments_seen: list[tuple[Any, dict[str, oracle.Segments]]] = []
        self.seeds: dict[str, str | None] = {}
        # The names of the edits in force, and the original texts of the files that they changed.
        self.edits: set[str] = set()
        self._originals: dict[Path, str | None] = {}
        # Whether the last command built everything, so that a build of a part must succeed.
        self.is_whole = False
        self.has_actions = False
        # What the actions of a load found, and the states of snapshots by their relation.
        self.complaints: Complaints = {}
        self._states: dict[str, set[str]] = {}

    # --- The database -------------------------------------------------------------------------

    def reset(self) -> None:
        """Recreate the database with empty raw tables, and reset the seeds."""
        self.drop()
        self._administer("create database {} template template0", self.database.name)
        with self.database.connect() as session:
            target.create(session, self.contract)
            session.execute(
                f"""
                create function public.wait_for_commits() returns trigger language plpgsql as $$
                begin
                    perform pg_advisory_xact_lock_shared({LOCK[0]}, {LOCK[1]});
                    return null;
                end $$
                """
            )
        self.seen = {"users": [], "products": []}
        self.segments_seen = []
        self.restore_project()
        self.write_seeds(histories.USUAL_SEEDS)
        self.is_whole = False
        self.complaints = {}
        self._states = {}

    def drop(self) -> None:
        """Drop the database and its copy, if they exist."""
        for name in (self.database.name, self._copy):
            self._administer("drop database if exists {} with (force)", name)

    @property
    def _copy(self) -> str:
        return f"{self.database.name}_copy"

    def _administer(self, statement: str, *names: str) -> None:
        with self.server.connect("postgres") as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Undo all changes to the database at the end of the context."""
        self._administer("create database {} template {}", self._copy, self.database.name)
        yield
        self._administer("drop database {} with (force)", self.database.name)
        self._administer("alter database {} rename to {}", self._copy, self.database.name)

    # --- One load -----------------------------------------------------------------------------

    def load(self, load: Load, of_load: Mapping[str, Sequence[histories.Batch]]) -> None:
        """Apply the batches of all histories, and build.

        Args:
            load: the properties that the histories share.
            of_load: the batches of this load by the prefix of the history.
        """
        self.write_seeds(load.seeds)
        if load.has_faults:
            self._spoil(load)
        with self.database.connect() as session:
            for table in load.grow:
                session.execute(
                    f"alter table raw.{table} add column if not exists not_in_contract text"
                    " default 'unknown'"
                )
        if load.clv_version:
            self._add_clv_version(load.clv_version)
        if load.has_beat:
            self._beat(load)
        for action in load.actions:
            if action.is_before_rows:
                perform(self, load, action)
        # Quiet loads keep no session open, because a copy of the database must be the only one.
        commits = (BEFORE,) if load.is_quiet else (BEFORE, DURING, AFTER)
        open_transactions = {commit: self.database.connect() for commit in commits}
        try:
            for prefix, batches in of_load.items():
                for batch in batches:
                    session = open_transactions[batch.commit]
                    stamp = load.clock - batch.lateness
                    # After a savepoint a row's xmin differs from its transaction's ID.
                    session.execute("savepoint of_a_batch")
                    for operation in batch.operations:
                        self._apply(session, prefix, operation, stamp, load.clock)
                    if batch.commit == BEFORE:
                        session.commit()
            if load.is_quiet:
                open_transactions[BEFORE].close()
            for action in load.actions:
                if not action.is_before_rows:
                    perform(self, load, action)
            if load.builds:
                self._build_around(load, open_transactions.get(DURING))
            for session in open_transactions.values():
                if not session.closed:
                    session.commit()
        finally:
            for session in open_transactions.values():
                session.close()

    def _build_around(self, load: Load, held: psycopg.Connection | None) -> None:
        """Run the build of the load, and commit `held` during the write of the model `wait_in`."""
        if load.rebuild:
            with tolerated(self):
                self.build(load, load.rebuild, full_refresh=True)
        if load.emptied:
            with tolerated(self):
                self.build(load, load.emptied, full_refresh=True, options=("--empty",))
        if load.empty_first:
            self.build(load, options=("--empty",))
        if not load.select or any(name.startswith("+") for name in load.select):
            self._see()
        window = dict(zip(("from", "to"), load.backfill, strict=True)) if load.backfill else {}
        idle = psycopg.pq.TransactionStatus.IDLE
        is_idle = held is None or held.info.transaction_status == idle
        if is_idle or not self.find(load.wait_in):
            with tolerated(self) if load.select else nullcontext():
                self.build(load, *load.select, more=window)
        else:
            with (
                self._held_until_written(load.wait_in, held),
                tolerated(self) if load.select else nullcontext(),
            ):
                self.build(load, *load.select, more=window)
        if not load.select:
            self.is_whole = True
            if not self.has_actions:
                self._see_segments(load)
        if held:
            held.commit()

    def build(
        self, load: Load, *select: str, options: Sequence[str] = (), **more: Any
    ) -> list[Any]:
        """Run `dbt build` for the load, without tests; the arguments are those of `run`."""
        return self.run(load, "build", *select, options=(*WITHOUT_TESTS, *options), **more)

    def run(
        self,
        load: Load,
        command: str,
        *select: str,
        full_refresh: bool = False,
        options: Sequence[str] = (),
        more: Mapping[str, str] | None = None,
        database: Database | None = None,
    ) -> list[Any]:
        """Run a dbt command for the load.

        Args:
            load: defines as_of and variables.
            command: the command, such as `build`.
            select: the nodes to build; everything if empty.
            full_refresh: rebuild incremental models from scratch.
            options: additional options for dbt.
            more: additional variables.
            database: `self.other` for the other target.

        Returns:
            The result of every node.
        """
        return dbt_project.run(
            database or self.database,
            command,
            *select,
            as_of=load.as_of,
            full_refresh=full_refresh,
            variables={**_variables(load), **(more or {})},
            options=options,
            project=self.project,
        )

    def test(self, load: Load) -> None:
        """Run the project's data tests."""
        dbt_project.run(
            self.database,
            "test",
            as_of=load.as_of,
            variables=_variables(load),
            options=("--exclude-resource-type", "unit_test"),
            project=self.project,
        )

    @contextmanager
    def _held_until_written(self, model: str, held: psycopg.Connection) -> Iterator[None]:
        """Block the model's write, inside its transaction, until `held` is committed."""
        table = sql.Identifier(*self.place_of(model))
        done = threading.Event()
        with self.database.connect() as control:
            control.autocommit = True
            control.execute(
                sql.SQL(
                    "create trigger wait_for_commits before delete on {}"
                    " for each statement execute function public.wait_for_commits()"
                ).format(table)
            )
            control.execute("select pg_advisory_lock(%s, %s)", LOCK)

            def commit_when_waited_for() -> None:
                while not done.wait(0.005):
                    waiting = control.execute(
                        "select exists (select from pg_locks where locktype = 'advisory'"
                        " and classid = %s and objid = %s and not granted)",
                        LOCK,
                    ).fetchone()
                    if waiting == (True,):
                        held.commit()
                        break
                control.execute("select pg_advisory_unlock(%s, %s)", LOCK)

            watcher = threading.Thread(target=commit_when_waited_for)
            watcher.start()
            try:
                yield
            finally:
                done.set()
                watcher.join()
            control.execute(sql.SQL("drop trigger if exists wait_for_commits on {}").format(table))

    # --- Relations and files, for actions ------------------------------------------------------

    def do(self, *statements: sql.Composable) -> None:
        """Execute statements, each in a transaction of its own."""
        with self.database.connect() as session:
            session.autocommit = True
            for statement in statements:
                session.execute(statement)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.database.connect() as session:
            return session.execute(query, values or None).fetchall()

    def place_of(self, model: str) -> tuple[str, str]:
        """Schema and name of the relation of a model or snapshot, with the edits in force."""
        schemas = {"stg_": "staging", "int_": "intermediate", "snp_": "snapshots"}
        schemas |= {"rpt_": "reporting", "excl": "quarantine"}
        name = model.removeprefix("rpt_")
        for edit in self.edits_in_force():
            name = edit.renames.get(model, name)
        return schemas.get(model[:4], "marts"), name

    def find(self, model: str) -> sql.Identifier | None:
        """The relation of a model or snapshot; None if it does not exist."""
        place = self.place_of(model)
        ((exists,),) = self.ask(
            "select to_regclass(format('%%I.%%I', %s::text, %s::text)) is not null", *place
        )
        return sql.Identifier(*place) if exists else None

    def rows_of(self, model: str) -> list[str]:
        """The rows of a model, as text."""
        with self.database.connect() as session:
            query = sql.SQL("select old_row::text from {} as old_row order by 1")
            return [row[0] for row in session.execute(query.format(self.find(model)))]

    def drop_relation(self, model: str) -> None:
        """Drop the table or view of a model, and what depends on it."""
        kinds = {"r": "table", "p": "table", "v": "view", "m": "materialized view"}
        if relation := self.find(model):
            ((kind,),) = self.ask(
                "select relkind::text from pg_class where oid = format('%%I.%%I', %s::text,"
                " %s::text)::regclass",
                *self.place_of(model),
            )
            self.do(sql.SQL(f"drop {kinds[kind]} {{}} cascade").format(relation))
            self.is_whole = False

    def put_copy_in_place(self, model: str) -> None:
        """Replace the table of a model by its copy in the schema `kept`, if there is one."""
        if self.ask("select to_regclass(%s)", f"kept.{model}") == [(None,)]:
            return
        schema, name = self.place_of(model)
        if name != model and self.ask("select to_regclass(%s)", f"{schema}.{model}") != [(None,)]:
            # A table of another version has the names of its indexes.
            return
        self.drop_relation(model)
        if name != model:
            self.do(
                sql.SQL("alter table kept.{} rename to {}").format(
                    sql.Identifier(model), sql.Identifier(name)
                )
            )
        self.do(
            sql.SQL("alter table kept.{} set schema {}").format(
                sql.Identifier(name), sql.Identifier(schema)
            )
        )
        self.is_whole = False

    @property
    def state_folder(self) -> Path:
        """The folder for dbt's artifacts that another command reads."""
        return self.project.parent / "state"

    def write_state(self, database: Database) -> None:
        """Write the manifest of a target into the state folder."""
        options = ("--write-json", "--target-path", str(self.state_folder))
        dbt_project.run(database, "compile", "dim_time", options=options, project=self.project)

    def has_other_target(self) -> bool:
        """Whether the other target has been built."""
        return self.ask("select to_regnamespace('ci_marts') is not null") == [(True,)]

    def drop_other_target(self) -> None:
        """Drop all schemas of the other target."""
        for (schema,) in self.ask("select nspname from pg_namespace where nspname like 'ci\\_%'"):
            self.do(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
            self._states = {
                table: states
                for table, states in self._states.items()
                if not table.startswith(f"{schema}.")
            }

    def compare_other_target(self, load: Load) -> None:
        """Compare the other target with its full rebuild."""
        built = self.contents("ci_")
        with self._kept():
            self.build(load, full_refresh=True, database=self.other)
            full = self.contents("ci_")
        for prefix, lines in compare_contents(built, full).items():
            told = [f"in the other target, {line}" for line in lines]
            self.complaints.setdefault(prefix, []).extend(told)

    def edits_in_force(self) -> list[edits.Edit]:
        """The edits in force, in the order in which they are made."""
        return [
            edit
            for edit in edits.EDITS.values()
            if edit.name in self.edits and (not edit.needs or edit.needs in self.edits)
        ]

    def set_edit(self, name: str, is_on: bool) -> bool:
        """Make an edit of the project, or take it back.

        Returns:
            Whether any file has changed.
        """
        before = set(self.edits)
        if is_on:
            self.edits -= conflicts(name, self.edits)
            self.edits.add(name)
        else:
            self.edits.discard(name)
        if self.edits == before:
            return False
        files = {change.file for edit in edits.EDITS.values() for change in edit.changes}
        for path in (self.project / file for file in files):
            if path not in self._originals:
                self._originals[path] = path.read_text() if path.exists() else None
        self._write_originals()
        for file, text in edits.apply(self.project, tuple(self.edits_in_force())).items():
            (self.project / file).write_text(text)
        dbt_project.forget(self.project)
        return True

    def restore_project(self) -> None:
        """Take back all edits of the project."""
        if self.edits:
            self._write_originals()
            dbt_project.forget(self.project)
        self.edits, self._originals = set(), {}

    def _write_originals(self) -> None:
        for path, text in self._originals.items():
            if text is None:
                path.unlink(missing_ok=True)
            elif path.read_text() != text:
                path.write_text(text)

    def check_snapshots(self) -> list[str]:
        """What is wrong with the states in the snapshots, which no build can repair."""
        wrong = []
        for schema, name in self.ask(
            "select nspname, relname from pg_class"
            " inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid"
            " where nspname in ('snapshots', 'ci_snapshots') and relkind = 'r' order by 1, 2"
        ):
            relation = sql.Identifier(schema, name)
            key = sql.SQL(KEYS_OF_SNAPSHOTS.get(name, "user_id"))
            with self.database.connect() as session:
                session.execute("set timezone = 'UTC'")
                faults = session.execute(SNAPSHOT_FAULTS.format(key=key, relation=relation))
                wrong += [f"{schema}.{name}: {fault}" for (fault,) in faults]
                states = session.execute(SNAPSHOT_STATES.format(key=key, relation=relation))
                found = {row[0] for row in states}
            lost = self._states.get(f"{schema}.{name}", set()) - found
            wrong += [f"{schema}.{name}: the state {state} is gone" for state in sorted(lost)]
            self._states[f"{schema}.{name}"] = found
        return wrong

    def _see(self) -> None:
        """Record the rows that the next snapshots will see, grouped by stamp for the oracle."""
        for table, seen in self.seen.items():
            rows = self._raw(table).with_columns(
                # The models treat -infinity as an early moment, the oracle as none; both are right.
                pl.col("updated_at").replace("-infinity", "0001-01-01 00:00:00+00")
            )
            for stamp in rows["_loaded_at"].unique().sort():
                seen.append(
                    (oracle.parse_moment(stamp), rows.filter(pl.col("_loaded_at") == stamp))
                )

    def _see_segments(self, load: Load) -> None:
        """Record the segments that the snapshot of segments saw."""
        with self.database.connect() as session:
            rows = session.execute(
                """
                -- Who was committed in the midst of the build is in the dimension at the next one.
                select user_id, user_segment, rfm_segment, total_spent
                from marts.user_segments
                where user_id in (select user_id from marts.dim_users where is_current)
                    -- Who signs up later has no history yet.
                    and (signup_date > (%s at time zone %s)::date) is not true
                """,
                (_moment_of(load), load.time_zone),
            ).fetchall()
            deleted = session.execute(
                """
                select user_id from marts.dim_users as users
                where is_current and is_deleted and not exists (
                    select from marts.user_segments as segments
                    where segments.user_id = users.user_id
                )
                """
            ).fetchall()
        seen = {row[0]: oracle.NO_SEGMENT for row in deleted} | {row[0]: row[1:] for row in rows}
        self.segments_seen.append((_moment_of(load), seen))

    def write_seeds(self, seeds: Mapping[str, str | None]) -> None:
        """Overwrite seeds of the project."""
        self.seeds |= seeds
        for name, text in seeds.items():
            (self.project / "seeds" / f"{name}.csv").write_text(text or "")

    # --- Rows ---------------------------------------------------------------------------------

    def _apply(
        self, session: psycopg.Connection, prefix: str, operation: Operation, stamp: Any, clock: Any
    ) -> None:
        """Apply an operation and stamp its row.

        The stamp is later than the row's previous one, as the contract requires, but never later
        than the clock.
        """
        table = self.contract.tables[operation.table]
        key = f"{prefix}-{operation.key}"
        values = {
            name: f"{prefix}-{value}"
            if name in histories.REFERENCES and value and value.strip()
            else value
            for name, value in operation.values.items()
        }
        name = sql.Identifier("raw", table.name)
        moves = sql.SQL(
            "_loaded_at = least(greatest({stamp}, held._loaded_at + interval '1 microsecond'),"
            " {clock})"
        ).format(stamp=sql.Literal(stamp), clock=sql.Literal(clock))
        where = sql.SQL("where held.{} = {}").format(sql.Identifier(table.key), sql.Literal(key))
        match operation.kind:
            case "put":
                columns = [column for column in table.columns if column != table.key]
                query = sql.SQL(
                    "insert into {name} as held ({columns}, _loaded_at) values ({values}, {stamp})"
                    " on conflict ({key}) do update set {sets}, _deleted_at = null, {moves}"
                ).format(
                    name=name,
                    columns=sql.SQL(", ").join(map(sql.Identifier, [table.key, *columns])),
                    values=sql.SQL(", ").join(
                        map(sql.Literal, [key, *(values.get(column) for column in columns)])
                    ),
                    stamp=sql.Literal(stamp),
                    key=sql.Identifier(table.key),
                    sets=sql.SQL(", ").join(
                        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column))
                        for column in columns
                    ),
                    moves=moves,
                )
            case "change":
                sets = sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(column), sql.Literal(value))
                    for column, value in values.items()
                )
                query = sql.SQL("update {} as held set {}, {} {}").format(name, sets, moves, where)
            case "touch":
                query = sql.SQL("update {} as held set {} {}").format(name, moves, where)
            case "delete":
                moment = values.get("_deleted_at", "stamp")
                query = sql.SQL("update {} as held set _deleted_at = {}, {} {}").format(
                    name, sql.Literal(stamp if moment == "stamp" else moment), moves, where
                )
            case "restore":
                query = sql.SQL(
                    "update {} as held set _deleted_at = null, {} {}"
                    " and held._deleted_at is not null"
                ).format(name, moves, where)
            case _:
                raise AssertionError(operation.kind)
        session.execute(query)

    def _beat(self, load: Load) -> None:
        moment = str(histories.FIRST_LOAD)
        with self.database.connect() as session:
            for table, keys in histories.KEYS.items():
                values: dict[str, str | None] = {}
                for name, data_type in self.contract.tables[table].columns.items():
                    if name in histories.REFERENCES:
                        values[name] = histories.KEYS[histories.REFERENCES[name]][0]
                    elif data_type == "timestamptz":
                        values[name] = moment
                values.pop("parent_id", None)
                operation = Operation("put", table, keys[0], values)
                self._apply(session, BEAT, operation, load.clock, load.clock)

    def _add_clv_version(self, row: Mapping[str, Any]) -> None:
        """Insert parameters of lifetime value, as a fit does."""
        with self.database.connect() as session:
            session.execute(
                sql.SQL("insert into ml.clv_parameters ({}) values ({})").format(
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join(map(sql.Literal, row.values())),
                )
            )

    def _spoil(self, load: Load) -> None:
        """Corrupt rows of the days of the backfill in a way that no other build notices."""
        first, last = map(sql.Literal, load.backfill)
        with self.database.connect() as session:
            session.execute(sql.SQL("set timezone = {}").format(sql.Literal(load.time_zone)))
            for column, fault in FAULTS:
                window = sql.SQL("{0} >= {1} and {0} < {2}::timestamptz + interval '1 day'").format(
                    sql.Identifier(column), first, last
                )
                session.execute(sql.SQL(fault).format(window=window))

    # --- Contents -----------------------------------------------------------------------------

    def contents(self, target: str = "") -> Contents:
        """Every row of every table and view that a build creates from the sources.

        Args:
            target: the prefix of the schemas of another target.
        """
        wanted = self._relations() if self.has_actions else None
        found: Contents = {}
        with self.database.connect() as session:
            session.execute("set timezone = 'UTC'")
            relations = session.execute(
                """
                select nspname, relname
                from pg_class
                inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
                where nspname in (%s, %s, %s, %s)
                    and relname != 'rejected_rows'
                    and relkind in ('r', 'p', 'm', 'v') and not relispartition
                order by 1, 2
                """,
                [target + schema for schema in SCHEMAS],
            ).fetchall()
            for schema, name in relations:
                relation = f"{schema.removeprefix(target)}.{name}"
                if wanted is not None and relation not in wanted:
                    continue
                query = sql.SQL("select (to_jsonb(held) - %s::text[])::text from {} as held")
                if relation in STATIC:
                    query = sql.SQL(
                        "select concat(count(*), ' ', sum(hashtextextended(held::text, 0)))"
                        " from {} as held where %s::text[] is not null"
                    )
                elif name == "bridge_category_ancestors":
                    # Its keys are hashes; category_id identifies the history.
                    query = sql.SQL(
                        "select (to_jsonb(held) - %s::text[] || jsonb_build_object("
                        "'category_id', category_id))::text"
                        f" from {{}} as held left join {target}marts.dim_categories"
                        " using (category_key)"
                    )
                rows = session.execute(query.format(sql.Identifier(schema, name)), [LIVE])
                found[relation] = Counter(row[0] for row in rows)
        return found

    def _relations(self) -> set[str]:
        """The tables and views of the project as it is now; others are what actions left."""
        nodes = dbt_project.parsed(self.project).nodes.values()
        return {f"{node.schema}.{node.alias}" for node in nodes if node.resource_type == "model"}

    def rewritten(self, load: Load) -> list[str]:
        """Build again without changes, and list the tables that were written to or read whole."""
        before = self._row_versions()
        log = dbt_project.scratch() / "logs" / "dbt.log"
        log.unlink(missing_ok=True)
        self.build(load, options=("--log-level-file", "debug", "--log-file-max-bytes", "0"))
        after = self._row_versions()
        reasons = re.findall(r"\w+: all keys, because .*", log.read_text())
        return [
            f"a build that finds no change computes {reason}" for reason in dict.fromkeys(reasons)
        ] + [
            f"{relation}: a build that finds no change rewrites rows"
            for relation in before
            if before[relation] != after[relation]
        ]

    def _row_versions(self) -> dict[str, str]:
        """A fingerprint of each table's row versions, which changes if a row is rewritten."""
        with self.database.connect() as session:
            relations = session.execute(
                """
                select nspname, relname
                from pg_class
                inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
                where nspname in ('snapshots', 'intermediate', 'marts')
                    and relkind in ('r', 'p') and not relispartition
                """
            ).fetchall()
            query = sql.SQL(
                "select coalesce(sum(hashtextextended("
                "format('%s %s %s', tableoid, ctid, xmin), 0)), 0)::text from {}"
            )
            return {
                f"{schema}.{name}": session.execute(
                    query.format(sql.Identifier(schema, name))
                ).fetchone()[0]
                for schema, name in relations
            }

    def full_contents(self, load: Load, is_last: bool) -> Contents:
        """The contents after a full rebuild with the variables of this load."""
        if is_last:
            self.build(load, full_refresh=True)
            return self.contents()
        with self._kept():
            self.build(load, full_refresh=True)
            return self.contents()

    def _raw(self, table: str) -> pl.DataFrame:
        """A raw table as text, as the oracle reads it."""
        names = [*self.contract.tables[table].columns, "_loaded_at", "_deleted_at"]
        with self.database.connect() as session:
            session.execute("set timezone = 'UTC'")
            columns = ", ".join(f"{name}::text" for name in names)
            rows = session.execute(f"select {columns} from raw.{table}").fetchall()
        return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")

    def _clv_versions(self) -> list[dict[str, Any]]:
        """All versions of the parameters of lifetime value."""
        with self.database.connect() as session:
            session.execute("set timezone = 'UTC'")
            cursor = session.cursor(row_factory=dict_row)
            return cursor.execute("select * from ml.clv_parameters").fetchall()

    def witness(self, load: Load) -> Complaints:
        """Compare the marts with the oracle, as far as it computes them for this load."""
        if self.edits:
            return {}
        with oracle.in_zone(load.time_zone):
            return self._witness(load)

    def _witness(self, load: Load) -> Complaints:
        expected = [
            (
                "marts.dim_users",
                oracle.user_history(self.seen["users"]),
                ["user_id", "effective_date"],
                "user_id is not null",
            )
        ]
        moves = oracle.segment_transitions(self.segments_seen, _moment_of(load))
        key = ["transition_month", "segmentation", "from_segment", "to_segment"]
        expected.append(("marts.segment_transitions", moves, key, "true"))
        of_snapshots = {"marts.dim_users", "marts.segment_transitions"}
        of_snapshots.add("marts.monthly_category_revenue")
        is_usual = self.seeds == histories.USUAL_SEEDS and load.clv_factor == "1.2"
        if is_usual and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", load.as_of):
            tables = {table: oracle.readable(self._raw(table)) for table in oracle.KEYS}
            day = oracle.parse_date(load.as_of)
            analytics = oracle.user_analytics(tables, day)
            bought = oracle.purchase_history(tables, day)
            valued = oracle.user_clv(analytics, bought, day, self._clv_versions())
            steps = {"page_view": 1, "purchase": 5}
            expected += [
                ("marts.user_rfm", oracle.user_rfm(tables, day, RFM_MONTHS), ["user_id"], "true"),
                (
                    "marts.cohort_retention",
                    oracle.cohort_retention(tables, day),
                    ["cohort_month", "months_since"],
                    "true",
                ),
                ("marts.active_users", oracle.active_users(tables), ["metric_date"], "true"),
                (
                    "marts.event_funnel",
                    oracle.event_funnel(tables, steps),
                    ["funnel_month", "funnel_step"],
                    "true",
                ),
                ("marts.user_analytics", analytics, ["user_id"], "true"),
                ("marts.user_segments", oracle.user_segments(analytics), ["user_id"], "true"),
                ("marts.user_clv", valued, ["user_id"], "true"),
                (
                    "intermediate.int_user_purchase_history",
                    oracle.int_user_purchase_history(tables, day),
                    ["user_id"],
                    "true",
                ),
                ("marts.daily_revenue", oracle.daily_revenue(tables), ["revenue_date"], "true"),
                (
                    "marts.monthly_category_revenue",
                    oracle.monthly_category_revenue(tables, self.seen["products"]),
                    ["revenue_month", "category_key"],
                    "true",
                ),
            ]
        complaints: Complaints = {}
        for relation, rows, key, where in expected:
            # Actions run snapshots as well, or keep them from running.
            if self.has_actions and relation in of_snapshots:
                continue
            actual = compare.fetch(self.database, relation, list(rows[0]) if rows else key, where)
            for line in compare.differences(actual, rows, key):
                complaints.setdefault(whose(line), []).append(f"{relation}, oracle: {line}")
        return complaints


def _variables(load: Load) -> dict[str, Any]:
    """The variables of every build and test of a load."""
    return {
        "simple_clv_factor": float(load.clv_factor),
        "rfm_window_months": RFM_MONTHS,
        "time_zone": load.time_zone,
    }


def _moment_of(load: Load) -> dt.datetime:
    """The moment that the as_of of a load stands for."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", load.as_of):
        return oracle.parse_moment(load.as_of)
    with oracle.in_zone(load.time_zone):
        return oracle.end_of_day(dt.date.fromisoformat(load.as_of))


KEYS_OF_SNAPSHOTS = {
    "snp_app__products": "product_id",
    "snp_row_issues": "concat_ws(' ', table_name, row_key, rule_name)",
}
# Faults of a snapshot: keys of states that are not unique, and validities that overlap or end
# before they begin.
SNAPSHOT_FAULTS = sql.SQL(
    """
    select concat({key}, ' has ', count(*), ' states with dbt_scd_id ', dbt_scd_id)
    from {relation}
    group by {key}, dbt_scd_id
    having count(*) > 1
    union all
    select concat(
        {key}, ' has a state from ', dbt_valid_from, ' to ', dbt_valid_to,
        ' and the state before it ends ', ended_at
    )
    from (
        select
            *,
            lag(dbt_valid_to) over (
                partition by {key} order by dbt_valid_from, dbt_valid_to
            ) as ended_at
        from {relation}
        where {key} is not null
    ) as states
    where dbt_valid_to < dbt_valid_from or ended_at > dbt_valid_from
    union all
    select concat({key}, ' has ', count(*), ' states that are valid now')
    from {relation}
    where {key} is not null and dbt_valid_to = '9999-12-31 00:00:00+00'
    group by {key}
    having count(*) > 1
    """
)
SNAPSHOT_STATES = sql.SQL(
    "select (jsonb_strip_nulls(to_jsonb(state)) - 'dbt_valid_to' - 'extra_number')::text"
    " from {relation} as state where {key} is not null"
)


def whose(row: str) -> str:
    """The prefix of the history that a row belongs to; "" if the row does not name one."""
    found = re.search(r"\bh[0-9]+(?=-)", row)
    return found.group() if found else ""


def compare_contents(built: Contents, full: Contents) -> Complaints:
    """The differences between incremental builds and a full rebuild, by history."""
    complaints: Complaints = {}
    for relation in sorted(built.keys() | full.keys()):
        stands, should = built.get(relation, Counter()), full.get(relation, Counter())
        extra = list((stands - should).elements())
        for row in (should - stands).elements():
            line = f"{relation} lacks {row}"
            alike = [other for other in extra if whose(other) == whose(row)]
            nearest = min(alike, key=lambda other: len(_cells_apart(row, other)), default=None)
            if nearest is not None and (told := _told_apart(row, nearest)):
                extra.remove(nearest)
                line = f"{relation}, {told}"
            complaints.setdefault(whose(row), []).append(line)
        for row in extra:
            complaints.setdefault(whose(row), []).append(f"{relation} has, and should not: {row}")
    return complaints


def _cells_apart(should: str, stands: str) -> dict[str, tuple[Any, Any]]:
    """The cells that differ between two rows in JSON: the actual and the expected value."""
    if not should.startswith("{"):
        return {}
    # Keep numbers as text.
    right, wrong = (json.loads(row, parse_float=str) for row in (should, stands))
    return {
        name: (wrong.get(name), right.get(name))
        for name in right | wrong
        if wrong.get(name) != right.get(name)
    }


def _told_apart(should: str, stands: str) -> str | None:
    """The differences between two versions of the same row; None if they are different rows."""
    apart = _cells_apart(should, stands)
    row = json.loads(should) if apart else {}
    named = [
        f"{name}={cell}"
        for name, cell in row.items()
        if name.endswith(("_id", "_date")) and name not in apart and cell is not None
    ]
    if not named or 2 * len(apart) > len(row):
        return None
    cells = [
        "{} is {}, expected {}".format(name, *("null" if cell is None else cell for cell in both))
        for name, both in apart.items()
    ]
    return f"{' '.join(named)}: {'; '.join(cells)}"


def merge(*several: Complaints) -> Complaints:
    """Combine the differences of several comparisons."""
    merged: Complaints = {}
    for complaints in several:
        for prefix, lines in complaints.items():
            merged.setdefault(prefix, []).extend(lines)
    return merged


def load_of(complaints: Complaints) -> int:
    """The number of the load, counted from 1, at which a replay stopped with these differences."""
    found = re.match(r"(?:after|in) load ([0-9]+): ", next(iter(complaints.values()))[0])
    assert found is not None
    return int(found.group(1))


def replay(
    workshop: Workshop,
    plan: Plan,
    of_prefix: Mapping[str, History],
    *,
    check: str = "middle and last",
    with_tests: bool = False,
    rebuilds: dict[int, Contents] | None = None,
) -> Complaints:
    """Build histories load by load, and compare with full rebuilds.

    Args:
        workshop: the workshop to build in.
        plan: the plan of the histories.
        of_prefix: the histories by their prefix, such as h7.
        check: the quiet loads after which to compare: "all", "middle and last", or "last".
        with_tests: run the data tests after the last load.
        rebuilds: the contents of full rebuilds by number of the load. Existing entries are
            reused; missing ones are built and added.

    Returns:
        The differences of the first load that has any; empty if there are none.
    """
    workshop.reset()
    workshop.has_actions = any(load.actions for load in plan)
    rebuilds = {} if rebuilds is None else rebuilds
    middle = next((n for n, load in enumerate(plan) if load.is_quiet and n >= len(plan) // 2), 0)
    try:
        for number, load in enumerate(plan):
            workshop.load(load, {prefix: each.loads[number] for prefix, each in of_prefix.items()})
            complaints = workshop.complaints
            if workshop.has_actions and (wrong := workshop.check_snapshots()):
                complaints = merge(complaints, *({whose(line): [line]} for line in wrong))
            is_last = number == len(plan) - 1
            wanted = is_last or check == "all" or (check == "middle and last" and number == middle)
            wanted |= check == "middle and last" and workshop.has_actions
            if wanted and load.is_quiet and load.builds and not complaints:
                complaints = _check(workshop, load, number, is_last, rebuilds)
                if is_last and with_tests and not complaints and not workshop.edits:
                    workshop.test(load)
            if complaints:
                return {
                    prefix: [f"after load {number + 1}: {line}" for line in lines]
                    for prefix, lines in complaints.items()
                }
    except dbt_project.DbtFailed as failure:
        # dbt catches these and returns them like a failure of the build.
        if isinstance(failure.__cause__, SystemExit | KeyboardInterrupt):
            raise failure.__cause__ from None
        return {"": [f"in load {number + 1}: {failure}"]}
    finally:
        workshop.restore_project()
    return {}


def _check(
    workshop: Workshop,
    load: Load,
    number: int,
    is_last: bool,
    rebuilds: dict[int, Contents],
) -> Complaints:
    """Check everything that must be true after a quiet load."""
    built = workshop.contents()
    complaints = workshop.witness(load)
    if number in rebuilds:
        complaints = merge(complaints, compare_contents(built, rebuilds[number]))
    if is_last and not complaints:
        rewritten = workshop.rewritten(load)
        complaints = {"": rewritten} if rewritten else {}
    if number not in rebuilds:
        rebuilds[number] = workshop.full_contents(load, is_last)
        complaints = merge(complaints, compare_contents(built, rebuilds[number]))
    return complaints


def show(lines: Sequence[str], limit: int = 12) -> str:
    """The first lines, up to `limit`, one per line."""
    more = [f"... and {len(lines) - limit} more"] if len(lines) > limit else []
    return "\n".join([*lines[:limit], *more])
