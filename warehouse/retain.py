"""`warehouse retain`: take partitions away that are older than their model keeps them.

A model says `retain: {months: 24}` beside its `partition_by`. The command shows what has expired;
with `--apply` it detaches each such partition, writes it to a file where `--export` says so, and
drops it. The keys of its rows go to `observability.key_changes`, so the next build counts without
them, and `observability.expired_partitions` keeps a row for each.

Detaching, the log of keys and that row are one transaction. A run that was killed later has left a
table that is no partition any more; the next run goes on with it.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import time
from datetime import UTC, date, datetime
from datetime import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse import connection
from warehouse.build import manifest_path, run_dbt
from warehouse.errors import WarehouseError
from warehouse.lock import build_lock

if TYPE_CHECKING:
    import psycopg

UNITS = ("days", "months", "years")
LOCK_TIMEOUT, ATTEMPTS = "5s", 5

_EXPIRED = r"""
    select
        bounds.name,
        bounds.lower_bound::text,
        bounds.upper_bound::text,
        pg_total_relation_size(bounds.oid) as byte_count
    from (
        select
            pg_class.oid,
            format('%%I.%%I', pg_namespace.nspname, pg_class.relname) as name,
            coalesce(
                substring(pg_get_expr(relpartbound, pg_class.oid), $$FROM \('(.*?)'\)$$),
                '-infinity'
            )::timestamptz as lower_bound,
            substring(pg_get_expr(relpartbound, pg_class.oid), $$TO \('(.*?)'\)$$)::timestamptz
                as upper_bound
        from pg_inherits
        inner join pg_class on pg_inherits.inhrelid = pg_class.oid
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where pg_inherits.inhparent = to_regclass(%(parent)s)
    ) as bounds
    where bounds.upper_bound <= %(as_of)s::timestamptz - %(retention)s::interval
    order by bounds.lower_bound
"""


@dataclasses.dataclass(frozen=True)
class Policy:
    """What a model keeps: `retention` is an interval like '24 months'."""

    model: str
    relation: str
    tracked_keys: tuple[str, ...]
    observability: str
    retention: str


@dataclasses.dataclass(frozen=True)
class Partition:
    """A partition that has expired."""

    policy: Policy
    name: str
    lower_bound: str
    upper_bound: str
    byte_count: int


def retain(
    apply: Annotated[
        bool, typer.Option("--apply", help="Take them away; without it they are only shown.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Write each partition here as gzipped CSV before the drop."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Count back from the end of this day (UTC); default now."),
    ] = None,
) -> None:
    """Take away partitions that are older than their model keeps them (`retain`)."""
    moment = moment_of(as_of)
    where = connection.settings()
    connection.preflight(where)
    with build_lock(where, wait=False):
        if run_dbt(["--quiet", "parse"]):
            raise WarehouseError("dbt could not read the project: the lines above say why.")
        policies = read_policies(json.loads(manifest_path().read_text()))
        with connection.connect(where) as session:
            session.execute("set timezone = 'UTC'")
            unfinished = find_unfinished(session, policies)
            expired = [
                partition
                for policy in policies
                for partition in find_expired(session, policy, moment)
            ]
            session.commit()
            show(policies, expired, unfinished)
            if not apply:
                return
            for partition in expired:
                detach(session, partition)
            for name, policy in {
                **unfinished,
                **{partition.name: partition.policy for partition in expired},
            }.items():
                finish(session, name, policy, export)
    done = len(expired) + len(unfinished)
    if done:
        _say(f"{done} partitions were taken away. Run `warehouse build`: it counts without them.")


def moment_of(as_of: str | None) -> datetime:
    """The moment from which to count back.

    Raises WarehouseError for what is no day, and for a day to come: a wrong clock must not cost
    data.
    """
    now = datetime.now(UTC)
    if as_of is None:
        return now
    try:
        end = datetime.combine(date.fromisoformat(as_of), clock.max, UTC)
    except ValueError:
        raise WarehouseError(f"--as-of takes a day such as 2026-10-31, not {as_of!r}.") from None
    if end.date() > now.date():
        raise WarehouseError(f"--as-of {as_of} lies in the future; today is {now.date()} in UTC.")
    return min(end, now)


def read_policies(manifest: dict[str, Any]) -> list[Policy]:
    """What each model keeps, by dbt's manifest.

    Raises WarehouseError that names the model and what is wrong with its `retain`.
    """
    policies = []
    for node in manifest["nodes"].values():
        given = node["config"].get("retain")
        if node["resource_type"] != "model" or given is None:
            continue
        name = node["name"]
        allowed = f"one of {', '.join(UNITS)} with a whole number from 1 on, such as {{months: 24}}"
        if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in UNITS:
            raise WarehouseError(f"{name}: retain is {given!r}; it takes {allowed}.")
        ((unit, number),) = given.items()
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise WarehouseError(f"{name}: retain.{unit} is {number!r}; it takes {allowed}.")
        partition_by = node["config"].get("partition_by") or None
        if not isinstance(partition_by, dict) or partition_by.get("method", "range") != "range":
            raise WarehouseError(
                f"{name}: retain needs partition_by with the method range, because whole"
                " partitions are taken away."
            )
        policies.append(
            Policy(
                model=name,
                relation=node["relation_name"],
                tracked_keys=tuple(node["config"]["meta"].get("tracked_keys", ())),
                observability=f"{_prefix(manifest)}observability",
                retention=f"{number} {unit}",
            )
        )
    return policies


def find_expired(
    session: psycopg.Connection[Any], policy: Policy, as_of: datetime
) -> list[Partition]:
    """The partitions of a model that ended longer ago than it keeps them, the oldest first."""
    given = {"parent": policy.relation, "as_of": as_of, "retention": policy.retention}
    return [Partition(policy, *row) for row in session.execute(_EXPIRED, given)]


def find_unfinished(session: psycopg.Connection[Any], policies: list[Policy]) -> dict[str, Policy]:
    """Tables that an earlier run detached and did not come to drop, with their policy."""
    from psycopg import sql

    found = {}
    for policy in policies:
        log = _log(policy).as_string(session)
        if session.execute("select to_regclass(%s)", [log]).fetchone() == (None,):
            raise WarehouseError(f"There is no {log} yet: run `warehouse build` first.")
        rows = session.execute(
            sql.SQL(
                "select partition_name from {} where model_name = %s and dropped_at is null"
                " order by lower_bound"
            ).format(_log(policy)),
            [policy.model],
        )
        found.update({name: policy for (name,) in rows})
    return found


def show(policies: list[Policy], expired: list[Partition], unfinished: dict[str, Policy]) -> None:
    """Say what the models keep, and what has expired."""
    from rich.console import Console
    from rich.table import Table

    if not policies:
        _say("No model says `retain`: everything is kept. docs/retention.md says how.")
        return
    for policy in policies:
        number = sum(partition.policy == policy for partition in expired)
        _say(f"{policy.model} keeps {policy.retention}: {number} partitions have expired.")
    if expired:
        table = Table(box=None, pad_edge=False)
        for title in ("partition", "from", "before", "size"):
            table.add_column(title, no_wrap=True)
        for partition in expired:
            table.add_row(
                partition.name,
                partition.lower_bound[:10],
                partition.upper_bound[:10],
                f"{partition.byte_count / 2**20:,.1f} MiB",
            )
        Console(highlight=False).print(table)
    for name in unfinished:
        _say(f"{name} was detached by an earlier run and waits to be dropped.")
    if expired or unfinished:
        _say("--apply takes them away; without it nothing is changed.")


def detach(session: psycopg.Connection[Any], partition: Partition) -> None:
    """Take a partition out of its table, log its keys and itself, in one transaction.

    Tried several times, because queries on the table stand in the way for as long as they run.
    Raises WarehouseError when they still do.
    """
    import psycopg
    from psycopg import sql

    policy = partition.policy
    child = _name(partition.name)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with session.transaction():
                session.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
                # The lock under which dbt writes the model.
                session.execute("select pg_advisory_xact_lock(hashtext(%s))", [policy.relation])
                # What reads all its rows comes before the lock that keeps readers out. Writers wait
                # at the table and not at its partition, where they would hold what is needed next.
                session.execute(
                    sql.SQL("lock table only {}, {} in share row exclusive mode").format(
                        _name(policy.relation), child
                    )
                )
                counted = session.execute(
                    sql.SQL("select count(*) from {}").format(child)
                ).fetchone()
                if policy.tracked_keys:
                    pairs = sql.SQL(", ").join(
                        sql.SQL("{}, {}").format(sql.Literal(key), sql.Identifier(key))
                        for key in policy.tracked_keys
                    )
                    session.execute(
                        sql.SQL(
                            "insert into {} (model_name, written_by, changed_keys)"
                            " select distinct {}, pg_current_xact_id(), jsonb_build_object({})"
                            " from {}"
                        ).format(
                            sql.Identifier(policy.observability, "key_changes"),
                            sql.Literal(policy.model),
                            pairs,
                            child,
                        )
                    )
                session.execute(
                    sql.SQL("alter table {} detach partition {}").format(
                        _name(policy.relation), child
                    )
                )
                session.execute(
                    sql.SQL(
                        "insert into {} (model_name, partition_name, lower_bound, upper_bound,"
                        " row_count, byte_count, retention) values (%s, %s, %s, %s, %s, %s, %s)"
                    ).format(_log(policy)),
                    [
                        policy.model,
                        partition.name,
                        partition.lower_bound,
                        partition.upper_bound,
                        *(counted or ()),
                        partition.byte_count,
                        policy.retention,
                    ],
                )
            break
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if attempt == ATTEMPTS:
                raise WarehouseError(
                    f"{partition.name} could not be detached in {ATTEMPTS} attempts of"
                    f" {LOCK_TIMEOUT}: queries on {policy.model} hold it. What was detached before"
                    " stays detached; run this again."
                ) from None
            time.sleep(1)


def finish(
    session: psycopg.Connection[Any], name: str, policy: Policy, export: Path | None
) -> None:
    """Export a detached partition where that is wanted, then drop it."""
    from psycopg import sql

    child = _name(name)
    there = session.execute("select to_regclass(%s) is not null", [name]).fetchone() == (True,)
    # Without it the transaction below would be a part of the one that has just begun.
    session.commit()
    file = None
    if there and export is not None:
        # Late rows may have made a partition of this name again, so the name alone says too little.
        row = session.execute(
            sql.SQL(
                "select to_char(detached_at at time zone 'UTC', 'YYYYMMDD\"T\"HH24MISSUS') from {}"
                " where model_name = %s and partition_name = %s and dropped_at is null"
            ).format(_log(policy)),
            [policy.model, name],
        ).fetchone()
        session.commit()
        stamp = row[0] if row else ""
        file = write_file(
            session, child, export / policy.model / f"{_parts(name)[-1]}_{stamp}.csv.gz"
        )
    with session.transaction():
        session.execute(sql.SQL("drop table if exists {}").format(child))
        session.execute(
            sql.SQL(
                "update {} set dropped_at = clock_timestamp(), exported_to = %s"
                " where model_name = %s and partition_name = %s and dropped_at is null"
            ).format(_log(policy)),
            [str(file) if file else None, policy.model, name],
        )
    _say(f"{name} is dropped" + (f"; its rows are in {file}." if file else "."))


def write_file(session: psycopg.Connection[Any], child: Any, file: Path) -> Path:
    """Write a table as gzipped CSV with a header; a file of this name is never half written."""
    from psycopg import sql

    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    query = sql.SQL("copy {} to stdout (format csv, header)").format(child)
    with (
        gzip.open(unfinished, "wb") as target,
        session.cursor() as cursor,
        cursor.copy(query) as rows,
    ):
        for block in rows:
            target.write(block)
    session.commit()
    return unfinished.rename(file)


def _prefix(manifest: dict[str, Any]) -> str:
    """What the target puts before the names of schemas, by a node that names one; one that names
    none is in the target's own, which says nothing of it."""
    for node in manifest["nodes"].values():
        own = node["config"].get("schema")
        if own and node["schema"].endswith(own):
            return str(node["schema"].removesuffix(own))
    return ""


def _log(policy: Policy) -> Any:
    from psycopg import sql

    return sql.Identifier(policy.observability, "expired_partitions")


def _name(text: str) -> Any:
    """The name of a relation, as dbt and PostgreSQL write it: parts in quotes or without."""
    from psycopg import sql

    return sql.Identifier(*_parts(text)[-2:])


def _parts(text: str) -> list[str]:
    """The parts of a name without their quotes; a part in quotes may hold dots and quotes."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^".]+)', text)
    return [quoted.replace('""', '"') or plain for quoted, plain in found]


def _say(text: str) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(text, markup=False)
