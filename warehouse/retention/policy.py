"""What tables keep (`retain`), and which parts of them have reached the next tier."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from warehouse import dbt
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

# An inline query for `dbt compile`, which reads the project's files again.
INLINE = "{{ plan_retention() }}"

# Bounds are cast after the rows of other tables, which may have other types, are filtered out.
_PARTITIONS = """
    with

    bounds as materialized (
        select
            pg_class.oid,
            format('%%I.%%I', pg_namespace.nspname, pg_class.relname) as name,
            partitions.lower_bound,
            partitions.upper_bound,
            coalesce(own.spcname, of_database.spcname)::text as tablespace
        from pg_temp.partition_bounds as partitions
        inner join pg_class on partitions.partition = pg_class.oid
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        left join pg_tablespace as own on pg_class.reltablespace = own.oid
        inner join pg_database on pg_database.datname = current_database()
        inner join pg_tablespace as of_database on pg_database.dattablespace = of_database.oid
        where partitions.parent = to_regclass(%(parent)s) and not partitions.is_default
    )

    select
        name,
        lower_bound::timestamptz::text,
        upper_bound::timestamptz::text,
        pg_total_relation_size(oid) as byte_count,
        tablespace
    from bounds
    where upper_bound::timestamptz <= %(as_of)s::timestamptz - %(until)s::interval
    order by lower_bound::timestamptz
"""


@dataclasses.dataclass(frozen=True)
class Hold:
    """A legal hold: rows that stay in the database, or in the archive.

    Attributes:
        reason: why.
        first_month: the first month that is held, such as 2024-01; None for the whole table.
        last_month: the last one.
    """

    reason: str
    first_month: str | None = None
    last_month: str | None = None

    def covers(self, lower: str, upper: str) -> bool:
        """Whether a month of it overlaps a time, given as PostgreSQL prints bounds in UTC."""
        if self.first_month is None or self.last_month is None:
            return True
        # As text, because Python has no infinity; months sort like the beginnings of bounds.
        starts = lower == "-infinity" or lower[:7] <= self.last_month
        return starts and (upper == "infinity" or upper[:19] > f"{self.first_month}-01 00:00:00")


@dataclasses.dataclass(frozen=True)
class Policy:
    """What a table keeps.

    Attributes:
        model: the name of the model; `app.` and the name of a source.
        relation: its table, quoted.
        change_log_keys: the columns whose values are logged for rows that leave the table.
        observability: the schema of the logs.
        retention: the policy in words, such as '24 months'.
        tiers: the names of its tiers, and until what age rows stay in each, as intervals.
        column: the column of the time; None if the policy has no tiers.
        is_partitioned: whether partitions expire as a whole.
        is_source: whether it is a raw table.
        tablespace: that of the tier warm.
        holds: its legal holds.
        consent: the purpose and the column of the user, of rows that depend on a consent.
        readers: of a source, the names that watermarks have for the views that read it.
        recalled: the schema of recalled rows.
    """

    model: str
    relation: str
    change_log_keys: tuple[str, ...]
    observability: str
    retention: str
    tiers: tuple[tuple[str, str], ...] = ()
    column: str | None = None
    is_partitioned: bool = True
    is_source: bool = False
    tablespace: str | None = None
    holds: tuple[Hold, ...] = ()
    consent: tuple[str, str] | None = None
    readers: tuple[str, ...] = ()
    recalled: str = "recalled"

    def until(self, tier: str) -> str | None:
        """Until what age rows stay in a tier; None without that tier."""
        return dict(self.tiers).get(tier)

    @property
    def leaves_after(self) -> str | None:
        """At what age rows leave the database; None if they stay."""
        return self.until("warm") or self.until("hot")

    @property
    def folder(self) -> str:
        """The folder of its files in the archive: database, schema and table."""
        return "/".join(re.sub(r"[^\w.-]", "_", part) for part in parts_of(self.relation))

    def held(self, lower: str, upper: str) -> Hold | None:
        """The first hold that covers a time, if any."""
        return next((hold for hold in self.holds if hold.covers(lower, upper)), None)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The result of the macro `plan_retention`.

    Attributes:
        policies: the tables that set `retain`.
        setup: SQL that creates the temporary functions and the temporary view that other functions
            use.
        archive_store: where archived rows go; None if the project does not say.
        consents: the staging view of consents, quoted.
    """

    policies: list[Policy]
    setup: str
    archive_store: str | None = None
    consents: str | None = None


@dataclasses.dataclass(frozen=True)
class Part:
    """A partition, or the rows of a time in a table without partitions.

    Attributes:
        policy: what its table keeps.
        name: how messages call it; the name of a partition.
        lower: start of its time, inclusive, as PostgreSQL prints it in UTC.
        upper: end of its time, exclusive.
        byte_count: its size with indexes.
        relation: the table that holds the rows, quoted.
        where: the condition for its rows in SQL; None for a partition.
        tablespace: of a partition, where it is.
    """

    policy: Policy
    name: str
    lower: str
    upper: str
    byte_count: int
    relation: str
    where: Any = None
    tablespace: str | None = None


def read_plan() -> Plan:
    """Read what each table keeps from the project's files, through dbt.

    Raises:
        WarehouseError: the `retain` of a table is invalid; names the table and what is allowed.
    """
    return make_plan(dbt.compile_node(["--inline", INLINE], {}).compiled_code)


def make_plan(text: str) -> Plan:
    """The plan in the JSON of `plan_retention`.

    Raises:
        WarehouseError: the `retain` of a table is invalid; names the table and what is allowed.
    """
    given = json.loads(text)
    for entry in given["policies"]:
        if entry["fault"]:
            raise WarehouseError(entry["fault"])
    return Plan(
        [_policy(entry) for entry in given["policies"]],
        given["setup"],
        given["archive_store"],
        given["consents"],
    )


def _policy(entry: dict[str, Any]) -> Policy:
    consent = entry["consent"]
    plain = ("column", "is_partitioned", "is_source", "tablespace", "recalled")
    return Policy(
        model=entry["model"],
        relation=entry["relation"],
        change_log_keys=tuple(entry["change_log_keys"]),
        observability=entry["observability"],
        retention=entry["retention"],
        tiers=tuple((tier["name"], tier["until"]) for tier in entry["tiers"]),
        holds=tuple(Hold(**hold) for hold in entry["holds"]),
        consent=(consent["purpose"], consent["column"]) if consent else None,
        readers=tuple(entry["readers"]),
        **{name: entry[name] for name in plain},
    )


def partitions_older_than(
    session: psycopg.Connection[Any], policy: Policy, until: str, as_of: datetime
) -> list[Part]:
    """The partitions of a table that end before an age, the oldest first.

    Args:
        session: a connection in which `Plan.setup` ran, with the time zone UTC.
        policy: what the table keeps.
        until: the age, as an interval of PostgreSQL.
        as_of: the moment from which the age counts back.
    """
    given = {"parent": policy.relation, "as_of": as_of, "until": until}
    return [
        Part(policy, name, lower, upper, size, name, tablespace=tablespace)
        for name, lower, upper, size, tablespace in session.execute(_PARTITIONS, given)
    ]


def months_older_than(
    session: psycopg.Connection[Any], policy: Policy, until: str, as_of: datetime
) -> list[Part]:
    """The months of a table without partitions that end before an age and have rows.

    Args:
        session: a connection with the time zone UTC.
        policy: what the table keeps.
        until: the age, as an interval of PostgreSQL.
        as_of: the moment from which the age counts back.
    """
    from psycopg import sql

    column = sql.Identifier(str(policy.column))
    table = identifier(policy.relation)
    rows = session.execute(
        sql.SQL(
            "select date_trunc('month', {column}::timestamptz)::text,"
            " (date_trunc('month', {column}::timestamptz) + interval '1 month')::text,"
            " (pg_total_relation_size(to_regclass(%(name)s)) * count(*)"
            " / greatest((select count(*) from {table}), 1))::bigint"
            " from {table} where isfinite({column})"
            " and {column}::timestamptz"
            " < date_trunc('month', %(as_of)s::timestamptz - %(until)s::interval)"
            " {alive} group by 1, 2 order by min({column})"
        ).format(
            column=column,
            table=table,
            alive=sql.SQL("and _deleted_at is null" if policy.is_source else ""),
        ),
        {"name": policy.relation, "as_of": as_of, "until": until},
    ).fetchall()
    return [
        Part(
            policy,
            f"{policy.model} of {lower[:7]}",
            lower,
            upper,
            size,
            policy.relation,
            between(policy.column, lower, upper),
        )
        for lower, upper, size in rows
    ]


def between(column: str | None, lower: str, upper: str) -> Any:
    """SQL of the condition that a time is within bounds, the lower one included."""
    from psycopg import sql

    return sql.SQL("({column} >= {lower} and {column} < {upper})").format(
        column=sql.Identifier(str(column)), lower=sql.Literal(lower), upper=sql.Literal(upper)
    )


def require_logs(session: psycopg.Connection[Any], policies: Sequence[Policy]) -> None:
    """Check that a build of this version has created the logs.

    Raises:
        WarehouseError: it has not.
    """
    for policy in policies:
        for name in ("expired_partitions", "archived_files"):
            log = identifier(f'"{policy.observability}"."{name}"').as_string(session)
            if session.execute("select to_regclass(%s)", [log]).fetchone() == (None,):
                raise WarehouseError(f"There is no {log} yet: run `warehouse build` first.")


def log_of(policy: Policy) -> Any:
    """The identifier of the table that logs what left the tables."""
    from psycopg import sql

    return sql.Identifier(policy.observability, "expired_partitions")


def identifier(text: str) -> Any:
    """The identifier of a relation, from its name as dbt or PostgreSQL prints it."""
    from psycopg import sql

    return sql.Identifier(*parts_of(text)[-2:])


def parts_of(text: str) -> list[str]:
    """The parts of a name without their quotes; a quoted part may contain dots and quotes."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^".]+)', text)
    return [quoted.replace('""', '"') or plain for quoted, plain in found]
