"""The source database of a load: its address, its connection, its errors and its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo, sql

from warehouse.contract import Table
from warehouse.errors import WarehouseError

_SCHEME = re.compile(r"(postgresql|postgres)://", re.IGNORECASE)
# libpq's other form of an address: host=db.example dbname=shop.
_KEYWORDS = re.compile(
    r"(?:^|\s)(host|hostaddr|port|dbname|user|password|passfile|service|sslmode|options)\s*="
)
_SECRETS = ("password", "sslpassword")


def is_database(source: str) -> bool:
    """Whether the source of a load is a database, not a folder."""
    return bool(_SCHEME.match(source) or _KEYWORDS.search(source))


def with_plain_scheme(address: str) -> str:
    """The address with the scheme in lower case, as libpq needs it."""
    scheme = _SCHEME.match(address)
    return f"postgresql://{address[scheme.end() :]}" if scheme else address


@dataclass(frozen=True)
class SourceTable:
    """A table or view of the source.

    Attributes:
        table: the contract's table.
        oid: of the relation.
        is_table: whether it is a table, partitioned or not, and no view or foreign table.
        columns: its columns that are in the contract.
        types: the types of these columns.
        incremental_column: its time of change; None if it has none.
        has_xmin: whether its rows say which transaction wrote them.
        is_unique: whether the source lets no key occur twice.
        parts: the tables that hold its rows, by oid; for a view or a select, those that it reads.
        definition: the query of a view or a select; None for a table.
        relation: what the load selects from: the table or view, or the select of a mapping.
    """

    table: Table
    oid: int
    is_table: bool
    columns: list[str]
    types: dict[str, str]
    incremental_column: str | None
    has_xmin: bool
    is_unique: bool
    parts: list[int]
    definition: str | None
    relation: sql.Composable


@contextmanager
def connected(address: str) -> Iterator[psycopg.Connection]:
    """A read-only connection to the source: one snapshot, times in UTC, no row left out."""
    parameters = _parameters(address)
    try:
        source = psycopg.connect(**parameters)
    except psycopg.Error as error:
        raise WarehouseError(
            f"The source database does not answer: {_hidden(str(error), parameters)}"
        ) from None
    try:
        source.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        source.read_only = True
        for name, value in (
            ("timezone", "UTC"),
            ("datestyle", "ISO, YMD"),
            ("extra_float_digits", "1"),
            ("client_encoding", "UTF8"),
            # A query that a policy would filter is an error: its rows would count as all rows.
            ("row_security", "off"),
            # It waits while the warehouse writes what it read.
            ("idle_in_transaction_session_timeout", "0"),
        ):
            source.execute("select set_config(%s, %s, false)", (name, value))
        yield source
    except psycopg.Error as error:
        raise WarehouseError(
            f"The source database failed: {_hidden(_shown(error), parameters)}"
        ) from None
    finally:
        source.close()


def _parameters(address: str) -> dict[str, str]:
    """The libpq parameters of the address; errors must not show any part of the password."""
    try:
        address = with_plain_scheme(address)
        if _SCHEME.match(address) and urlsplit(address).netloc.count("@") > 1:
            raise ValueError
        parameters = conninfo.conninfo_to_dict(address)
        # Where a / or : of the password is not escaped, its rest is read as the port or database.
        ports = (parameters.get("port") or "5432").split(",")
        if "@" in parameters.get("dbname", "") or not all(port.isdecimal() for port in ports):
            raise ValueError
    except (psycopg.Error, ValueError):
        raise WarehouseError(
            "Cannot read the address of the source database. Write it as "
            "postgresql://user@host:5432/database, special characters of the password as %40 for "
            "@, %3A for :, %2F for /; or set the password in PGPASSWORD or ~/.pgpass."
        ) from None
    # PGPORT is the port of the warehouse's server, not of the source.
    if parameters.get("host"):
        parameters.setdefault("port", "5432")
    parameters.setdefault("connect_timeout", "15")
    parameters.setdefault("application_name", "warehouse load")
    return parameters


def _hidden(message: str, parameters: dict[str, str]) -> str:
    shown = " ".join(message.split())
    for secret in _SECRETS:
        if parameters.get(secret):
            shown = shown.replace(parameters[secret], "***")
    return shown


def _shown(error: psycopg.Error) -> str:
    """PostgreSQL's message without its detail, which may show a row."""
    return error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__


def name_of(source: psycopg.Connection, schema: str) -> str:
    """The name of the source in `raw._load_state` and in the quarantine."""
    info = source.info
    return f"postgresql://{info.host}:{info.port}/{info.dbname}/{schema}"


@contextmanager
def reading(relation: str) -> Iterator[None]:
    """Turn errors of the source into a WarehouseError that names the table."""
    try:
        yield
    except psycopg.Error as error:
        shown = _shown(error)
        advice = ""
        if "row-level security" in shown:
            advice = f" {row_security_advice()}"
        elif isinstance(error, psycopg.errors.InsufficientPrivilege):
            advice = " Grant the reader of the load the right to select there."
        raise WarehouseError(
            f"The source database failed while the load read {relation}: {shown}.{advice} "
            "Nothing of the table was loaded."
        ) from None


def tables_of(source: psycopg.Connection, query: sql.Composable) -> list[int]:
    """The tables and partitions that a query reads: those that PostgreSQL locks to plan it.

    Call it in a transaction that is rolled back, which releases these locks.
    """
    source.execute(sql.SQL("explain {}").format(query))
    return source.execute(
        """
        select coalesce(array_agg(relation.oid::bigint order by relation.oid), '{}')
        from pg_locks as locks
        inner join pg_class as relation on relation.oid = locks.relation
        where locks.pid = pg_backend_pid() and locks.mode = 'AccessShareLock'
            and relation.relkind in ('r', 'p', 'm', 'f')
            and relation.relnamespace <> 'pg_catalog'::regnamespace
        """
    ).fetchone()[0]


def row_security_advice() -> str:
    """What to do about policies that hide rows from the reader."""
    return (
        "A load must see all rows of a table: rows that a policy hides would count as deleted. "
        "Read as a role that sees them: alter role READER bypassrls; or read as the owner of the "
        "table; or let the owner create a view of the rows to load in another schema (--schema)."
    )


# Python's names of the encodings of a server that cannot always be converted to UTF-8, or that
# are not checked.
CODECS = {
    "SQL_ASCII": "utf-8",
    **{f"WIN{page}": f"cp{page}" for page in (866, 874, *range(1250, 1259))},
    **{f"ISO_8859_{part}": f"iso8859_{part}" for part in range(5, 9)},
    **{f"LATIN{number}": f"latin{number}" for number in range(1, 11)},
    **{"KOI8R": "koi8_r", "KOI8U": "koi8_u"},
    **{"EUC_JP": "euc_jp", "EUC_CN": "gb2312", "EUC_KR": "euc_kr"},
}


class NoSuchCharacter(Exception):
    """The source cannot convert a text to UTF-8, and does not say in which row."""


def rows(
    source: psycopg.Connection, query: sql.Composable, relation: str, *, as_bytes: bool = False
) -> Iterator[bytes]:
    """The rows of a query, as `copy` writes them.

    Args:
        source: the connection to the source.
        query: the query.
        relation: the table, for errors.
        as_bytes: read texts in the encoding of the server, without a check of it.

    Raises:
        NoSuchCharacter: a text has no form in UTF-8; the connection can be used further.
    """
    statement = sql.SQL("copy ({}) to stdout").format(query).as_bytes(source)
    with reading(relation), source.transaction():
        if as_bytes:
            source.execute("set local client_encoding = 'SQL_ASCII'")
        try:
            with source.cursor().copy(statement) as copy:
                yield from copy
        except (
            psycopg.errors.UntranslatableCharacter,
            psycopg.errors.CharacterNotInRepertoire,
        ) as error:
            raise NoSuchCharacter(error) from error
        if as_bytes:
            source.execute("set local client_encoding = 'UTF8'")


def blocks(rows_: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Join rows to blocks of about this size."""
    waiting = bytearray()
    with closing(rows_):
        for data in rows_:
            waiting += data
            if len(waiting) > size:
                yield bytes(waiting)
                waiting.clear()
        yield bytes(waiting)


@dataclass(frozen=True)
class Identity:
    """What a watermark belongs to: the server, its history, the database, and its clock."""

    database: str
    oldest_running: int
    next_transaction: int


def identity(source: psycopg.Connection) -> Identity:
    """The identity of the source, and the transactions that its snapshot sees."""
    database, oldest, following, may_ask = source.execute(
        """
        select
            (select oid::text from pg_database where datname = current_database()),
            txid_snapshot_xmin(txid_current_snapshot()),
            txid_snapshot_xmax(txid_current_snapshot()),
            (
                select coalesce(bool_and(has_function_privilege(oid, 'execute')), false)
                from pg_proc
                where proname in ('pg_control_system', 'pg_control_checkpoint')
            )
        """
    ).fetchone()
    server = "?"
    if may_ask:
        # A restored backup keeps the identifier, and begins another timeline.
        server = source.execute(
            """
            select concat_ws('/', control.system_identifier, history.timeline_id)
            from pg_control_system() as control, pg_control_checkpoint() as history
            """
        ).fetchone()[0]
    return Identity(f"{server}/{database}", oldest, following)
