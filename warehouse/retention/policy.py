"""What models keep (`retain`), and which of their partitions have expired."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from warehouse import dbt
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

# An inline query for `dbt compile`, which reads the project's files again.
INLINE = "{{ plan_retention() }}"

# Bounds are cast after the rows of other tables, which may have other types, are filtered out.
_EXPIRED = """
    with

    bounds as materialized (
        select
            pg_class.oid,
            format('%%I.%%I', pg_namespace.nspname, pg_class.relname) as name,
            partitions.lower_bound,
            partitions.upper_bound
        from pg_temp.partition_bounds as partitions
        inner join pg_class on partitions.partition = pg_class.oid
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where partitions.parent = to_regclass(%(parent)s) and not partitions.is_default
    )

    select
        name,
        lower_bound::timestamptz::text,
        upper_bound::timestamptz::text,
        pg_total_relation_size(oid) as byte_count
    from bounds
    where upper_bound::timestamptz <= %(as_of)s::timestamptz - %(retention)s::interval
    order by lower_bound::timestamptz
"""


@dataclasses.dataclass(frozen=True)
class Policy:
    """What a model keeps.

    Attributes:
        model: the name of the model.
        relation: its table, quoted.
        change_log_keys: the columns whose values are logged for rows that are dropped.
        observability: the schema of the logs.
        retention: an interval of PostgreSQL, such as '24 months'.
    """

    model: str
    relation: str
    change_log_keys: tuple[str, ...]
    observability: str
    retention: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """The result of the macro `plan_retention`.

    Attributes:
        policies: the models that set `retain`.
        setup: SQL that creates the temporary functions and the temporary view that `find_expired`
            and `detach` use.
    """

    policies: list[Policy]
    setup: str


@dataclasses.dataclass(frozen=True)
class Partition:
    """An expired partition; its bounds as PostgreSQL prints them in UTC."""

    policy: Policy
    name: str
    lower_bound: str
    upper_bound: str
    byte_count: int


def read_plan() -> Plan:
    """Read what each model keeps from the project's files, through dbt.

    Raises:
        WarehouseError: the `retain` of a model is invalid; names the model and what is allowed.
    """
    return make_plan(dbt.compile_node(["--inline", INLINE], {}).compiled_code)


def make_plan(text: str) -> Plan:
    """The plan in the JSON of `plan_retention`.

    Raises:
        WarehouseError: the `retain` of a model is invalid; names the model and what is allowed.
    """
    given = json.loads(text)
    for entry in given["policies"]:
        if entry["fault"]:
            raise WarehouseError(entry["fault"])
    policies = [
        Policy(
            model=entry["model"],
            relation=entry["relation"],
            change_log_keys=tuple(entry["change_log_keys"]),
            observability=entry["observability"],
            retention=entry["retention"],
        )
        for entry in given["policies"]
    ]
    return Plan(policies, given["setup"])


def find_expired(
    session: psycopg.Connection[Any], policy: Policy, as_of: datetime
) -> list[Partition]:
    """The partitions of a model that end before its retention period, the oldest first.

    Args:
        session: a connection in which `Plan.setup` ran.
        policy: what the model keeps.
        as_of: the moment from which the retention period counts back.
    """
    given = {"parent": policy.relation, "as_of": as_of, "retention": policy.retention}
    return [Partition(policy, *row) for row in session.execute(_EXPIRED, given)]


def find_unfinished(session: psycopg.Connection[Any], policies: list[Policy]) -> dict[str, Policy]:
    """Tables that an earlier run detached and did not drop, with their policy.

    Raises:
        WarehouseError: the database has not been built yet.
    """
    from psycopg import sql

    found = {}
    for policy in policies:
        log = log_of(policy).as_string(session)
        if session.execute("select to_regclass(%s)", [log]).fetchone() == (None,):
            raise WarehouseError(f"There is no {log} yet: run `warehouse build` first.")
        rows = session.execute(
            sql.SQL(
                "select partition_name from {} where model_name = %s and dropped_at is null"
                " order by lower_bound"
            ).format(log_of(policy)),
            [policy.model],
        )
        found.update({name: policy for (name,) in rows})
    return found


def log_of(policy: Policy) -> Any:
    """The identifier of the table that logs expired partitions."""
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
