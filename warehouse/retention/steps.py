"""What `warehouse retain` would do: steps, each of which can be shown and carried out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from warehouse import console
from warehouse.errors import WarehouseError
from warehouse.retention import archive, leave, rows
from warehouse.retention.policy import (
    Part,
    Plan,
    Policy,
    identifier,
    months_older_than,
    partitions_older_than,
)

if TYPE_CHECKING:
    import psycopg


@dataclasses.dataclass(frozen=True)
class Sessions:
    """Two connections, neither in a transaction.

    Attributes:
        main: with the time zone UTC, in which `Plan.setup` ran.
        notes: in autocommit mode, for the catalogue of the archive.
    """

    main: psycopg.Connection[Any]
    notes: psycopg.Connection[Any]


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of the plan.

    Attributes:
        what: the table and the part of it.
        move: from which tier to which.
        row_count: the number of rows; None if only reading the files would tell.
        byte_count: their size in bytes.
        why: the rule that applies; for a step that is stopped, the hold.
        apply: carries it out, and returns a sentence; None if it is stopped.
    """

    what: str
    move: str
    row_count: int | None
    byte_count: int
    why: str
    apply: Callable[[Sessions], str] | None


def steps_of(sessions: Sessions, plan: Plan, location: str | None, as_of: datetime) -> list[Step]:
    """All steps of a plan, in the order in which they are carried out.

    Args:
        sessions: the connections.
        plan: what tables keep.
        location: the archive store; None if there is none.
        as_of: the moment from which ages count back.

    Raises:
        WarehouseError: rows have to be archived, and there is no archive store.
    """
    session = sessions.main
    tablespaces = {row[0] for row in session.execute("select spcname from pg_tablespace")}
    found: list[Step] = []
    for policy in plan.policies:
        if policy.is_partitioned and policy.until("warm"):
            found += _moves(session, policy, tablespaces, as_of)
        if policy.leaves_after:
            found += _departures(session, policy, policy.leaves_after, location, as_of)
    for policy in plan.policies:
        found += _ends_of_files(session, policy, as_of)
        if policy.consent is not None:
            found += _consents(session, plan, policy)
        if policy.is_source:
            found += _removals(session, plan, policy, as_of)
    if plan.policies:
        found += _ends_of_recalls(session, plan.policies[0].observability)
    session.commit()
    return found


def carry_out(sessions: Sessions, steps: list[Step], plan: Plan) -> list[str]:
    """Carry out steps, each on its own: if one fails, its rows stay where they are.

    Returns:
        The messages of those that failed.
    """
    import psycopg

    failures = []
    schemas = sorted({policy.observability for policy in plan.policies})

    def attempt(action: Callable[[], str | None], what: str) -> None:
        try:
            if said := action():
                console.say(said)
        except (WarehouseError, psycopg.errors.Error) as error:
            sessions.main.rollback()
            reason = " ".join(str(error).split())
            failures.append(reason if isinstance(error, WarehouseError) else f"{what}: {reason}")
            console.say(failures[-1], style="red", stderr=True)

    for schema in schemas:
        attempt(lambda schema=schema: archive.tidy(sessions.main, schema), "the archive")
    for step in steps:
        if step.apply is not None:
            attempt(lambda apply=step.apply: apply(sessions), step.what)
    return failures


def _moves(
    session: psycopg.Connection[Any], policy: Policy, tablespaces: set[str], as_of: datetime
) -> Iterator[Step]:
    """Partitions that became warm, and those that are hot again because the policy changed."""
    warm = str(policy.tablespace)
    everything = partitions_older_than(session, policy, "-100000 years", as_of)
    old = partitions_older_than(session, policy, str(policy.until("hot") or "0 days"), as_of)
    gone = partitions_older_than(session, policy, str(policy.leaves_after), as_of)
    default = session.execute(
        "select coalesce(own.spcname, of_database.spcname)::text from pg_class"
        " inner join pg_database on datname = current_database()"
        " inner join pg_tablespace as of_database on dattablespace = of_database.oid"
        " left join pg_tablespace as own on reltablespace = own.oid"
        " where pg_class.oid = to_regclass(%s)",
        [policy.relation],
    ).fetchone()
    for part in everything:
        if part.name in {each.name for each in gone} or default is None:
            continue
        is_old = part.name in {each.name for each in old}
        target = warm if is_old else default[0]
        if part.tablespace == target or (not is_old and part.tablespace != warm):
            continue
        is_there = target in tablespaces
        yield Step(
            part.name,
            "hot to warm" if is_old else "warm to hot",
            _count(session, part),
            part.byte_count,
            f"{policy.retention}; to the tablespace {target}"
            if is_there
            else f"the server has no tablespace {target}: it stays where it is",
            (lambda sessions, part=part, target=target: _move(sessions, part, target))
            if is_there
            else None,
        )


def _move(sessions: Sessions, part: Part, target: str) -> str:
    leave.move(sessions.main, part, target)
    return f"Moved {part.name} to the tablespace {target}."


def _departures(
    session: psycopg.Connection[Any],
    policy: Policy,
    until: str,
    location: str | None,
    as_of: datetime,
) -> Iterator[Step]:
    """Rows that leave the database."""
    older_than = partitions_older_than if policy.is_partitioned else months_older_than
    to_archive = policy.until("archive") is not None
    last = "warm" if policy.until("warm") else "hot"
    goal = "archive" if to_archive else "delete"
    for part in older_than(session, policy, until, as_of):
        hold = policy.held(part.lower, part.upper)
        if hold is None and to_archive and location is None:
            raise WarehouseError(
                f"{part.name} has to be archived, and there is no archive store: set the variable"
                " archive_store in dbt_project.yml, or WAREHOUSE_ARCHIVE, to a folder or a URL such"
                " as s3://bucket/archive."
            )
        yield Step(
            part.name,
            f"{last} to {goal}",
            _count(session, part),
            part.byte_count,
            f"held: {hold.reason}" if hold else policy.retention,
            None
            if hold
            else (
                lambda sessions, part=part: _depart(
                    sessions, part, location if to_archive else None
                )
            ),
        )


def _depart(sessions: Sessions, part: Part, location: str | None) -> str:
    def written(each: Part) -> list[archive.ArchivedFile]:
        if location is None:
            return []
        return archive.write_part(sessions.main, sessions.notes, each, location)

    if part.policy.is_source:
        count = rows.mark(sessions.main, part)
        return f"Marked {count} rows of {part.name} as deleted; the next build takes them out."
    if part.where is None:
        files = written(part)
        leave.drop(sessions.main, part, files)
        return f"Dropped {part.name}" + _told(files)
    count, files = 0, []
    for piece in rows.pieces_of(sessions.main, part):
        of_piece = written(piece)
        count += leave.delete(sessions.main, piece, of_piece)
        files += of_piece
    return f"Deleted {count} rows of {part.name}" + _told(files)


def _told(files: list[archive.ArchivedFile]) -> str:
    if not files:
        return "."
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"; {sum(file.row_count for file in files)} rows are in {files[0].file}{more}."


def _ends_of_files(
    session: psycopg.Connection[Any], policy: Policy, as_of: datetime
) -> Iterator[Step]:
    """Archived files that reached the end of the last tier."""
    from psycopg import sql

    if not policy.tiers:
        return
    until = policy.tiers[-1][1]
    expired = session.execute(
        sql.SQL(
            "select file_id, byte_count from {} where model_name = %s and file is not null"
            " and upper_bound <= %s::timestamptz - %s::interval"
        ).format(_catalogue(policy)),
        [policy.model, as_of, until],
    ).fetchall()
    sizes = dict(expired)
    for file in archive.archived_files(session, policy.observability, policy.model):
        if file.file_id not in sizes:
            continue
        hold = policy.held(file.lower_bound, file.upper_bound)
        yield Step(
            file.file,
            "archive to delete",
            file.row_count,
            sizes[file.file_id],
            f"held: {hold.reason}" if hold else policy.retention,
            None if hold else (lambda sessions, file=file: _end(sessions, policy, file)),
        )


def _end(sessions: Sessions, policy: Policy, file: archive.ArchivedFile) -> str:
    archive.delete_file(sessions.main, policy.observability, file, policy.retention)
    return f"Deleted {file.file}."


def _consents(session: psycopg.Connection[Any], plan: Plan, policy: Policy) -> Iterator[Step]:
    """Rows whose user withdrew the consent that they depend on."""
    assert policy.consent is not None
    why = f"no consent for {policy.consent[0]}"
    if policy.is_source:
        part = rows.rows_without_consent(plan, policy)
        count = _count(session, part, alive=True)
        if count:
            yield Step(
                policy.model,
                "to delete",
                count,
                0,
                why,
                lambda sessions: _depart(sessions, part, None),
            )
        return
    files = archive.archived_files(session, policy.observability, policy.model)
    users = rows.withdrawn_users(plan, policy.consent[0])
    if not files or session.execute(users).fetchone() is None:
        return
    held = [file for file in files if policy.held(file.lower_bound, file.upper_bound)]
    yield Step(
        f"{len(files) - len(held)} archived files of {policy.model}",
        "archive to delete",
        None,
        0,
        why + (f"; {len(held)} other files are held" if held else ""),
        lambda sessions: _erase(sessions, plan, policy),
    )


def _erase(sessions: Sessions, plan: Plan, policy: Policy) -> str:
    count = 0
    for file in archive.archived_files(sessions.main, policy.observability, policy.model):
        sessions.main.commit()
        if not policy.held(file.lower_bound, file.upper_bound):
            count += rows.erase_withdrawn(sessions.main, plan, policy, file)
    return f"Deleted {count} rows without consent from the archive of {policy.model}."


def _removals(
    session: psycopg.Connection[Any], plan: Plan, policy: Policy, as_of: datetime
) -> Iterator[Step]:
    """Rows of raw tables that are marked as deleted, and that the builds have read since."""
    from psycopg import sql

    conditions = []
    if policy.leaves_after:
        conditions.append(
            sql.SQL(
                "{column}::timestamptz < date_trunc('month', {as_of} - {until}::interval)"
            ).format(
                column=sql.Identifier(str(policy.column)),
                as_of=sql.Literal(as_of),
                until=sql.Literal(policy.leaves_after),
            )
        )
    if policy.consent is not None:
        conditions.append(
            sql.SQL("{}::text in ({})").format(
                sql.Identifier(policy.consent[1]), rows.withdrawn_users(plan, policy.consent[0])
            )
        )
    if not conditions:
        return
    condition = sql.SQL("(({}) and {})").format(
        sql.SQL(" or ").join(conditions), rows.not_held(policy)
    )
    count = rows.count_removable(session, policy, condition)
    if count:
        yield Step(
            policy.model,
            "marked to removed",
            count,
            0,
            "marked as deleted, and read by the builds since",
            lambda sessions: _remove(sessions, policy, condition),
        )


def _remove(sessions: Sessions, policy: Policy, condition: Any) -> str:
    count = rows.remove_marked(sessions.main, policy, condition)
    return f"Removed {count} rows of {policy.model} that were marked as deleted."


def _ends_of_recalls(session: psycopg.Connection[Any], observability: str) -> Iterator[Step]:
    """Recalled rows whose time is over."""
    from psycopg import sql

    found = session.execute(
        sql.SQL(
            "select recalled_into, array_agg(file_id), sum(row_count)::bigint,"
            " max(recalled_until)::date::text from {}"
            " where recalled_until <= now() group by 1 order by 1"
        ).format(sql.Identifier(observability, "archived_files"))
    ).fetchall()
    for name, file_ids, count, until in found:
        yield Step(
            name,
            "recalled to archive",
            count,
            0,
            f"recalled until {until}",
            lambda sessions, name=name, ids=file_ids: _forget(sessions, observability, name, ids),
        )


def _forget(sessions: Sessions, observability: str, name: str, file_ids: list[int]) -> str:
    with sessions.main.transaction():
        archive.forget_recalled(sessions.main, observability, file_ids)
    return f"Dropped the recalled rows of {len(file_ids)} files from {name}."


def _count(session: psycopg.Connection[Any], part: Part, *, alive: bool = False) -> int:
    from psycopg import sql

    is_alive = alive or part.policy.is_source
    row = session.execute(
        sql.SQL("select count(*) from {} where {} {}").format(
            identifier(part.relation),
            part.where or sql.SQL("true"),
            sql.SQL("and _deleted_at is null" if is_alive else ""),
        )
    ).fetchone()
    return row[0] if row else 0


def _catalogue(policy: Policy) -> Any:
    from psycopg import sql

    return sql.Identifier(policy.observability, "archived_files")
