"""What models keep (`retain`), and which of their partitions have expired."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

UNITS = ("days", "months", "years")

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
    """What a model keeps.

    Attributes:
        model: the name of the model.
        relation: its table, quoted.
        tracked_keys: the columns whose values are logged for rows that are dropped.
        observability: the schema of the logs.
        retention: an interval of PostgreSQL, such as '24 months'.
    """

    model: str
    relation: str
    tracked_keys: tuple[str, ...]
    observability: str
    retention: str


@dataclasses.dataclass(frozen=True)
class Partition:
    """An expired partition; its bounds as PostgreSQL prints them in UTC."""

    policy: Policy
    name: str
    lower_bound: str
    upper_bound: str
    byte_count: int


def read_policies(manifest: dict[str, Any]) -> list[Policy]:
    """What each model keeps, by dbt's manifest.

    Raises:
        WarehouseError: the `retain` of a model is wrong; names the model and what is allowed.
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
                f"{name}: retain needs partition_by with the method range, because it drops"
                " whole partitions."
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
    """The partitions of a model that ended before the rows that it keeps, the oldest first."""
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


def _prefix(manifest: dict[str, Any]) -> str:
    """The prefix of the target's schemas, found by a node that sets `schema`; a node that sets none
    is in the target's own schema and does not show it."""
    for node in manifest["nodes"].values():
        own = node["config"].get("schema")
        if own and node["schema"].endswith(own):
            return str(node["schema"].removesuffix(own))
    return ""
