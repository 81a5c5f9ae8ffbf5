"""Fingerprints of the contents of a warehouse, to compare two builds."""

from __future__ import annotations

from typing import Any

from tests.support.database import ask

# The clock of the build dates these columns. In snp_user_segments another one holds the as_of of a
# state; the others say when a state was written.
DATED_BY_THE_BUILD = {
    "snapshots.snp_app__users": ("dbt_updated_at",),
    "snapshots.snp_app__products": ("dbt_updated_at",),
    "snapshots.snp_user_segments": (
        *("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to"),
    ),
    "snapshots.snp_row_issues": (
        *("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to"),
    ),
    "quarantine.row_issues": ("first_seen_at", "last_seen_at", "resolved_at"),
    "reporting.row_issues": ("first_seen_at", "last_seen_at"),
}


# Schemas whose tables a build may write to; builds only read raw.
WRITTEN = ("snapshots", "intermediate", "marts", "observability")
# The other tables of that schema are the bookkeeping of hooks.
OBSERVED = ("daily_measures", "anomalies")


def relations(database: Any) -> list[str]:
    """The tables and materialized views that builds write, without partitions."""
    with database.connect() as session:
        return [
            row[0]
            for row in session.execute(
                """
                select format('%%I.%%I', nspname, relname)
                from pg_class
                inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
                where nspname = any(%s) and relkind in ('r', 'p', 'm') and not relispartition
                    and (nspname != 'observability' or relname = any(%s))
                order by 1
                """,
                [list(WRITTEN), list(OBSERVED)],
            )
        ]


def contents(database: Any, schemas: tuple[str, ...] = WRITTEN) -> dict[str, tuple[int, str]]:
    """For each relation, the number of rows and a fingerprint that ignores their order."""
    found = {}
    with database.connect() as session:
        for relation in relations(database):
            if not relation.startswith(schemas):
                continue
            row = session.execute(
                f"select count(*), coalesce(sum(hashtextextended(held::text, 0)), 0)"
                f" from {relation} as held"
            ).fetchone()
            assert row is not None
            found[relation] = (row[0], str(row[1]))
    return found


def row_versions(database: Any) -> dict[str, str]:
    """For each table, a fingerprint of its row versions, which changes if a row is rewritten."""
    found = {}
    with database.connect() as session:
        for relation in relations(database):
            row = session.execute(
                "select coalesce(sum(hashtextextended("
                "format('%s %s %s', tableoid, ctid, xmin), 0)), 0)"
                f" from {relation}"
            ).fetchone()
            assert row is not None
            found[relation] = str(row[0])
    return found


def leftovers(database: Any) -> Any:
    """Relations whose names are used only while a relation is replaced."""
    return ask(database, r"select relname from pg_class where relname ~ '__(dbt|new)_|_old_\d'")
