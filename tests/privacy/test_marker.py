"""What is personal shows nowhere to a role that may see none, also after failures."""

from __future__ import annotations

import pytest

from tests.privacy.conftest import LOGINS, logged_in
from tests.support import dbt_project
from tests.support.database import Database, ask, do
from warehouse.privacy.inventory import UNPRIVILEGED
from warehouse.privacy.roles import name_of

MARK = "piimark"
# In each personal column that is text, of users and of their events.
PLANTED = (
    f"update raw.users set email = 'u{MARK}' || user_id || '@shop.example', first_name ="
    f" '{MARK}' || user_id, last_name = '{MARK}', phone = '{MARK}', _loaded_at = now()",
    f"update raw.events set page_url = '/{MARK}', referrer_url = '{MARK}', properties ="
    f" jsonb_build_object('{MARK}', '{MARK}'), _loaded_at = now() where user_id is not null",
    # Rows that fail rules and tests; two users share an address.
    f"update raw.users set email = 'no address {MARK}' where user_id = (select min(user_id) from"
    " raw.users)",
    f"update raw.users set email = repeat('x', 2100) || '{MARK}@shop.example' where user_id ="
    " (select max(user_id) from raw.users where _deleted_at is null)",
    f"update raw.users set email = 'b{MARK}@shop.example' where user_id in"
    " (select user_id from raw.users order by user_id offset 1 limit 2)",
    f"update quarantine.rejected_rows set row_text = '{MARK},{MARK}'",
)
STORED = ("--store-failures",)
READABLE = """
select pg_namespace.nspname, pg_class.relname, array_agg(pg_attribute.attname order by attnum)
from pg_class
inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
inner join pg_attribute on pg_class.oid = attrelid and attnum > 0 and not attisdropped
where relkind in ('r', 'p', 'v', 'm')
    and has_schema_privilege(pg_namespace.oid, 'usage')
    and has_column_privilege(pg_class.oid, attnum, 'select')
group by 1, 2
"""


@pytest.fixture
def marked(governed: Database) -> Database:
    """The sample with marks, built with tests that fail and keep their rows."""
    do(governed, *PLANTED)
    dbt_project.build(governed, options=dbt_project.NO_TESTS)
    dbt_project.run(governed, "test", "source_users_email_is_not_too_long", options=STORED)
    kept = "select count(*) from dbt_test__audit.source_users_email_is_not_too_long"
    assert ask(governed, f"{kept} where last_name = '{MARK}'") == 1
    return governed


def test_no_role_finds_a_mark(marked: Database) -> None:
    """Neither in tables and views, nor in PostgreSQL's statistics, sessions and settings.

    The query does not have the mark in one piece, because sessions show it.
    """
    logins = [name for name, role in LOGINS.items() if name_of(role) in UNPRIVILEGED]
    assert len(logins) == len(UNPRIVILEGED)
    for login in logins:
        with logged_in(marked, login) as session:
            relations = session.execute(READABLE).fetchall()
            names = {f"{schema}.{relation}" for schema, relation, _ in relations}
            assert {"pg_catalog.pg_stats", "pg_catalog.pg_stat_activity"} <= names
            for schema, relation, columns in relations:
                listed = ", ".join(f'"{column}"' for column in columns)
                query = (
                    f'select count(*) from (select {listed} from "{schema}"."{relation}") as shown'
                    f" where shown::text ~* ('pii' || 'mark')"
                )
                try:
                    found = session.execute(query).fetchone()
                except Exception as error:
                    assert MARK not in str(error), f"{schema}.{relation}"
                else:
                    assert found == (0,), f"{login} finds {MARK} in {schema}.{relation}"
