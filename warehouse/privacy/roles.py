"""The roles of a warehouse, and what an administrator gives them once.

They are groups without a login: a person's or a tool's login becomes a member. Each build grants
what they need on schemas and tables; see the macros of macros/privacy/ and the configuration
`grants` of the models.
"""

from __future__ import annotations

from typing import Any

from warehouse.errors import WarehouseError

PREFIX = "warehouse_"
ROLES = {
    "owner": "may do what the loader and the transformer may",
    "loader": "creates and fills the raw tables and quarantine.rejected_rows",
    "transformer": "runs dbt: reads raw, owns all that is built",
    "analyst": "reads reporting, and the marts without personal data",
    "engineer": "reads every layer but raw, without personal data",
    "privacy_officer": "reads everything, personal data included",
    "monitor": "reads observability, and of other tables what metrics need",
    "backup": "reads everything for a dump",
}
# What each role is a member of.
MEMBERSHIPS = {
    "owner": ("warehouse_loader", "warehouse_transformer"),
    "backup": ("pg_read_all_data",),
}
BUILDERS = ("loader", "transformer")
_MISSING_ROLES = """
select name
from unnest(%s::text[]) with ordinality as wanted (name, place)
where not exists (select from pg_roles where rolname = name)
order by place
"""
_MISSING_MEMBERSHIPS = """
select member_name, group_name
from unnest(%s::text[], %s::text[]) with ordinality as wanted (member_name, group_name, place)
where not exists (
    select from pg_auth_members
    where roleid = (select oid from pg_roles where rolname = group_name)
        and member = (select oid from pg_roles where rolname = member_name)
)
order by place
"""
# Rights of everybody on the database and on schema public.
_OF_EVERYBODY = """
select format('revoke all on database %I from public', datname)
from pg_database
where datname = current_database()
    and exists (
        select from aclexplode(coalesce(datacl, acldefault('d', datdba))) where grantee = 0
    )
union all
select 'revoke create on schema public from public'
where exists (
    select
    from pg_namespace, aclexplode(nspacl)
    where nspname = 'public' and grantee = 0 and privilege_type = 'CREATE'
)
"""
# Logins that are no members and use the database today keep their way in.
_LOGINS = """
select rolname
from pg_roles
where rolcanlogin and not rolsuper
    and oid != (select datdba from pg_database where datname = current_database())
    and exists (
        select from pg_namespace
        where nspname !~ '^pg_|^information_schema$|^public$'
            and has_schema_privilege(pg_roles.oid, pg_namespace.oid, 'usage')
    )
    and not exists (
        select from pg_database, aclexplode(datacl)
        where datname = current_database() and grantee = pg_roles.oid
            and privilege_type = 'CONNECT'
    )
    and not exists (
        select from pg_roles as groups
        where groups.rolname = any(%s) and pg_has_role(pg_roles.oid, groups.oid, 'member')
    )
order by 1
"""
_DATABASE_RIGHTS = """
select role_name, privilege
from unnest(%s::text[], %s::text[]) with ordinality as wanted (role_name, privilege, place)
where not exists (
    select from pg_database, aclexplode(datacl)
    where datname = current_database()
        and grantee = (select oid from pg_roles where rolname = role_name)
        and privilege_type = privilege
)
order by place
"""
# What the transformer needs of the schemas that a load fills: to read raw, and to put its views
# into quarantine. It may pass the rights on: a build grants the readers what they may see.
_OF_TRANSFORMER = """
with transformer as (
    select name, (select oid from pg_roles where rolname = name) as role_id
    from (values (%(transformer)s)) as given (name)
),

schemas as (
    select 1 as place, format('grant %%s on schema %%I to %%I with grant option', lower(privilege),
        nspname, transformer.name) as statement
    from (
        values (%(raw)s, 'USAGE'), ('quarantine', 'USAGE'), ('quarantine', 'CREATE')
    ) as wanted (schema_name, privilege)
    inner join pg_namespace on nspname = schema_name
    cross join transformer
    where pg_has_role(nspowner, 'usage') and has_schema_privilege(
        role_id, pg_namespace.oid, privilege || ' WITH GRANT OPTION'
    ) is not true
),

relations as (
    select pg_class.oid, relowner, nspname
    from pg_class
    inner join pg_namespace on relnamespace = pg_namespace.oid
    where relkind in ('r', 'p', 'v', 'm', 'f') and not relispartition
        and (nspname = %(raw)s or (nspname, relname) = ('quarantine', 'rejected_rows'))
        and pg_has_role(relowner, 'usage')
),

tables as (
    select 2 as place, format('grant select on %%s to %%I with grant option',
        relations.oid::regclass, transformer.name) as statement
    from relations
    cross join transformer
    where has_table_privilege(role_id, relations.oid, 'SELECT WITH GRANT OPTION') is not true
),

owners as (
    select relowner as owner from relations where nspname = %(raw)s
    union
    select nspowner from pg_namespace where nspname = %(raw)s and pg_has_role(nspowner, 'usage')
),

tables_to_come as (
    select 3 as place, format('alter default privileges for role %%s in schema %%I grant select on'
        ' tables to %%I with grant option', owner::regrole, %(raw)s, transformer.name) as statement
    from owners
    cross join transformer
    where not exists (
        select
        from pg_default_acl, aclexplode(defaclacl)
        where defaclrole = owner and defaclnamespace = to_regnamespace(quote_ident(%(raw)s))
            and defaclobjtype = 'r' and grantee = role_id and is_grantable
    )
)

select statement
from (table schemas union all table tables union all table tables_to_come) as statements
order by place, statement
"""


def name_of(role: str) -> str:
    """The name of a role in the database.

    Args:
        role: its short name, a key of `ROLES`.

    Raises:
        WarehouseError: there is no such role.
    """
    if role not in ROLES:
        raise WarehouseError(f"There is no role {role!r}; the roles are {', '.join(ROLES)}.")
    return f"{PREFIX}{role}"


def plan(session: Any) -> list[str]:
    """The statements that an administrator has yet to run; none if all is in place.

    Args:
        session: a connection to the warehouse's database.
    """
    from psycopg import sql

    def rendered(text: str, *names: str) -> str:
        return sql.SQL(text).format(*map(sql.Identifier, names)).as_string(session)

    names = [name_of(role) for role in ROLES]
    statements = [
        rendered("create role {} nologin", name)
        for (name,) in session.execute(_MISSING_ROLES, [names])
    ]
    pairs = [(name_of(role), group) for role, groups in MEMBERSHIPS.items() for group in groups]
    statements += [
        rendered("grant {} to {}", group, member)
        for member, group in session.execute(_MISSING_MEMBERSHIPS, _in_columns(pairs))
    ]
    rights = [(name, "CONNECT") for name in names]
    rights += [(name_of(role), right) for role in BUILDERS for right in ("CREATE", "TEMPORARY")]
    database = session.info.dbname
    statements += [
        rendered(f"grant {privilege.lower()} on database {{}} to {{}}", database, name)
        for name, privilege in session.execute(_DATABASE_RIGHTS, _in_columns(rights))
    ]
    everybody = [statement for (statement,) in session.execute(_OF_EVERYBODY)]
    if everybody:
        statements += [
            rendered("grant connect, temporary on database {} to {}", database, login)
            for (login,) in session.execute(_LOGINS, [names])
        ]
    return [*statements, *everybody, *_of_transformer(session, "raw")]


def _of_transformer(session: Any, schema: str) -> list[str]:
    given = {"transformer": name_of("transformer"), "raw": schema}
    return [statement for (statement,) in session.execute(_OF_TRANSFORMER, given)]


def let_transformer_read(session: Any, schema: str) -> None:
    """Grant the transformer what it needs of raw and quarantine, as far as this role owns them.

    A load calls it, so that another login can build. Does nothing without the roles.

    Args:
        session: a connection to the warehouse's database.
        schema: the schema of the raw tables.
    """
    missing = session.execute(_MISSING_ROLES, [[name_of("transformer")]]).fetchall()
    if not missing:
        for statement in _of_transformer(session, schema):
            session.execute(statement)


def _in_columns(rows: list[tuple[str, str]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]


def apply(session: Any) -> list[str]:
    """Run the plan in one transaction, and return its statements.

    Args:
        session: a connection to the warehouse's database, of a role that may create roles.
    """
    with session.transaction():
        statements = plan(session)
        for statement in statements:
            session.execute(statement)
    return statements
