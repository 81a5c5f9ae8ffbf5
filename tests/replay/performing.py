"""Performs the actions of dbt users on a workshop.

What an action leaves behind, the next plain build must repair; the action itself must succeed, or
fail with the error that the documentation promises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tests.replay import histories
from tests.replay.actions import COMMIT, WRITE, Action
from tests.replay.edits import EDITS
from tests.replay.histories import Load
from tests.support import dbt_project
from tests.support.dbt_project import DbtFailed

if TYPE_CHECKING:
    from tests.replay.workshop import Workshop

# Errors that the documentation promises, as regular expressions.
SAMPLE_IS_REFUSED = "--sample shows a part of the upstreams only"
VIEW_HIDES_ROWS = "was created with --empty or --sample and hides rows"
KILLED = r"terminating connection|closed the connection|connection already closed|admin"
FAILS_ONCE = "the replay lets this node fail once"

# Shows rows of all histories, but not all of their rows.
SAMPLE = ("--sample", "{'start': '2024-03-01', 'end': '2024-04-07'}")


def perform(place: Workshop, load: Load, action: Action) -> None:
    """Perform one action.

    Args:
        place: the workshop.
        load: the load to which the action belongs.
        action: what to do.

    Raises:
        DbtFailed: the action failed, or did not fail as it should.
    """
    try:
        DEEDS.get(action.kind, _edit)(place, load, action)
    except DbtFailed as failure:
        raise DbtFailed(f"{action}: {failure}") from failure.__cause__


@contextmanager
def refused(pattern: str) -> Iterator[None]:
    """Expect a dbt command to fail with an error that matches a pattern."""
    try:
        yield
    except DbtFailed as failure:
        if isinstance(failure.__cause__, SystemExit | KeyboardInterrupt):
            raise
        if not re.search(pattern, str(failure)):
            raise DbtFailed(f"expected the error '{pattern}'; got {failure}") from failure.__cause__
    else:
        raise DbtFailed(f"expected the error '{pattern}'; the command succeeded")


@contextmanager
def tolerated(place: Workshop) -> Iterator[None]:
    """Let a command that builds only a part fail while something else needs a build first."""
    try:
        yield
    except DbtFailed as failure:
        if place.is_whole or isinstance(failure.__cause__, SystemExit | KeyboardInterrupt):
            raise


# --- Commands ---------------------------------------------------------------------------------


def _part(place: Workshop, load: Load, action: Action) -> None:
    # An earlier action may have changed what a unit test expects.
    options = dbt_project.NO_UNIT_TESTS if action.how == "build" else ()
    with tolerated(place):
        place.run(load, action.how, *action.target.split(), options=options)


def _refresh(place: Workshop, load: Load, action: Action) -> None:
    with tolerated(place):
        place.build(load, action.target, full_refresh=True)


def _seed(place: Workshop, load: Load, action: Action) -> None:
    choices = histories.SEED_CHOICES[action.target]
    values = choices[int(action.how) % len(choices)]
    place.write_seeds({action.target: histories.SEEDS[action.target].format(*values)})
    place.run(load, "seed", action.target)


def _empty(place: Workshop, load: Load, action: Action) -> None:
    if not action.how:
        with tolerated(place):
            place.build(load, *action.target.split(), options=("--empty",))
        return
    place.drop_other_target()
    place.build(load, options=("--empty",), database=place.other)
    with refused(VIEW_HIDES_ROWS):
        place.run(load, "run", action.target, database=place.other)
    _build_other_target(place, load)


def _sample(place: Workshop, load: Load, action: Action) -> None:
    place.set_edit(action.target, True)
    if not action.how:
        with refused(SAMPLE_IS_REFUSED):
            place.build(load, options=SAMPLE)
        return
    place.drop_other_target()
    place.build(load, options=SAMPLE, database=place.other)
    if "raw" in action.target:
        with refused(VIEW_HIDES_ROWS):
            place.run(load, "run", "fct_orders", database=place.other)
    _build_other_target(place, load)


def _retry(place: Workshop, load: Load, action: Action) -> None:
    # dbt parses the project for a retry, and keeps the parse in this folder.
    folder = place.project / "target" / "retry"
    (folder / "run_results.json").unlink(missing_ok=True)
    files = ("--write-json", "--target-path", str(folder))
    body = f"raise exception '{FAILS_ONCE}';"
    with (
        _trap(place, action.target, WRITE, body) as has_fired,
        _failing(has_fired, FAILS_ONCE) as results,
    ):
        results += place.build(load, options=files)
    if (folder / "run_results.json").exists():
        place.run(load, "retry", options=files)


# --- Files ------------------------------------------------------------------------------------


def _edit(place: Workshop, load: Load, action: Action) -> None:
    edit = EDITS[action.target]
    is_on = action.how != "taken back"
    if not place.set_edit(edit.name, is_on):
        return
    error = edit.error if is_on else edit.error_back
    if error:
        was_whole, place.is_whole = place.is_whole, False
        with refused(error) if was_whole else tolerated(place):
            place.build(load, edit.model)
        place.is_whole = was_whole
    if edit.is_refused:
        place.set_edit(edit.name, False)
        return
    refresh = edit.refresh
    if refresh is None and error:
        refresh = (edit.model,)
    if refresh is not None:
        # The other target would need the same.
        place.drop_other_target()
        with tolerated(place):
            place.build(load, *refresh, full_refresh=True)
    place.is_whole = False
    if action.how == "interrupted":
        _interrupt(place, load, edit.model)


def _interrupt(place: Workshop, load: Load, model: str) -> None:
    """Kill the build of a model after it has changed its partitions: the old rows must stay."""
    before = place.rows_of(model)
    body = "perform pg_terminate_backend(pg_backend_pid());"
    with (
        _trap(place, model, "watermarks", body) as has_fired,
        _failing(has_fired, KILLED) as results,
    ):
        results += place.run(load, "run", model)
    if not results and place.rows_of(model) != before:
        raise DbtFailed(f"{model}: a build that was killed after new partitions changed its rows")


# --- Tables -----------------------------------------------------------------------------------


def _truncate(place: Workshop, _: Load, action: Action) -> None:
    if relation := place.find(action.target):
        place.do(sql.SQL("truncate {}").format(relation))


def _drop(place: Workshop, _: Load, action: Action) -> None:
    place.drop_relation(action.target)


def _vacuum(place: Workshop, _: Load, action: Action) -> None:
    if relation := place.find(action.target):
        place.do(sql.SQL("vacuum full {}").format(relation))


def _swap(place: Workshop, _: Load, action: Action) -> None:
    """Another table takes the place of the model's, with about half of its rows."""
    if place.find(action.target):
        _copy(place, action.target, "copy like it", "hashtext(old_row::text) % 2 = 0")
        place.put_copy_in_place(action.target)


def _restore(place: Workshop, _: Load, action: Action) -> None:
    if action.how != "the copy":
        if place.find(action.target):
            _copy(place, action.target, action.how, "true")
    else:
        place.put_copy_in_place(action.target)


def _copy(place: Workshop, model: str, how: str, condition: str) -> None:
    relation, copy = place.find(model), sql.Identifier("kept", model)
    place.do(
        sql.SQL("create schema if not exists kept"),
        sql.SQL("drop table if exists {}").format(copy),
    )
    rows = sql.SQL("select old_row.* from {} as old_row where {}").format(
        relation, sql.SQL(condition)
    )
    if how == "copy like it":
        place.do(
            sql.SQL("create table {} (like {} including all)").format(copy, relation),
            sql.SQL("insert into {} {}").format(copy, rows),
        )
    else:
        place.do(sql.SQL("create table {} as {}").format(copy, rows))


# --- Other targets ----------------------------------------------------------------------------


def _build_other_target(place: Workshop, load: Load) -> None:
    place.build(load, database=place.other)
    place.compare_other_target(load)


def _target(place: Workshop, load: Load, action: Action) -> None:
    place.build(load, database=place.other)
    if action.is_before_rows:
        place.compare_other_target(load)


def _clone(place: Workshop, load: Load, _: Action) -> None:
    if not place.is_whole:
        # A clone is made of a target that is complete.
        place.build(load)
        place.is_whole = True
    place.drop_other_target()
    place.write_state(place.database)
    state = ("--state", str(place.state_folder))
    place.run(load, "clone", options=state, database=place.other)
    before = place.contents()
    _build_other_target(place, load)
    if place.contents() != before:
        raise DbtFailed("a build in the clone changed the tables that were cloned")


def _defer(place: Workshop, load: Load, action: Action) -> None:
    if not place.has_other_target():
        place.build(load, database=place.other)
    place.write_state(place.other)
    options = ("--defer", "--favor-state", "--state", str(place.state_folder))
    with tolerated(place):
        place.run(load, "run", action.target, options=options)


# --- Faults -----------------------------------------------------------------------------------


def _kill(place: Workshop, load: Load, action: Action) -> None:
    body = "perform pg_terminate_backend(pg_backend_pid());"
    with (
        _trap(place, action.target, action.how, body) as has_fired,
        _failing(has_fired, KILLED) as results,
    ):
        results += place.build(load)


@contextmanager
def _failing(has_fired: Callable[[list[Any]], bool], pattern: str) -> Iterator[list[Any]]:
    """Expect a failure if the trap was there until the end; the list takes the results of dbt."""
    results: list[Any] = []
    try:
        yield results
    except DbtFailed as failure:
        if isinstance(failure.__cause__, SystemExit | KeyboardInterrupt):
            raise
        nodes = re.findall(r"^  (?:model|snapshot|seed)\.\S+ \[", str(failure), re.MULTILINE)
        if len(nodes) > 1 or not re.search(pattern, str(failure)):
            raise DbtFailed(f"expected the error '{pattern}' only; got {failure}") from None
    else:
        if has_fired(results):
            raise DbtFailed(f"expected the error '{pattern}'; the command succeeded")


@contextmanager
def _trap(
    place: Workshop, model: str, moment: str, body: str
) -> Iterator[Callable[[list[Any]], bool]]:
    """Let the write of a model fail.

    Args:
        place: the workshop.
        model: the model or snapshot.
        moment: when: `WRITE`, "watermarks" or `COMMIT`.
        body: the statement that the write runs into.

    Yields:
        Tells from the results of a build whether it must have failed at the model. It need not if
        it replaced the table, or if nothing was written at that moment.
    """
    relation = place.find(model)
    if relation is None:
        yield lambda _: False
        return
    when, table = sql.SQL(""), relation
    if moment == COMMIT:
        form = "create constraint trigger replay_trap after insert or delete or update on {}"
        form += " deferrable initially deferred for each row {}execute function public.trap()"
    elif moment == WRITE:
        form = "create trigger replay_trap before insert or delete or update on {}"
        form += " for each statement {}execute function public.trap()"
    else:
        form = "create trigger replay_trap before insert or update on {}"
        form += " for each row {}execute function public.trap()"
        table = sql.Identifier("observability", "watermarks")
        when = sql.SQL("when (new.model_name = {}) ").format(sql.Literal(model))
    place.do(
        sql.SQL(
            "create or replace function public.trap() returns trigger language plpgsql as"
            f" $$ begin {body} return null; end $$"
        ),
        sql.SQL(form).format(table, when),
    )
    is_sure = moment == WRITE or (model not in WITHOUT_WATERMARKS and moment != COMMIT)

    def must_have_fired(results: list[Any]) -> bool:
        is_left_alone = any(
            result.node.name == model and result.message == "UNCHANGED" for result in results
        )
        return (
            is_sure
            and not is_left_alone
            and place.ask(
                "select count(*) from pg_trigger where tgname = 'replay_trap' and tgparentid = 0"
            )
            == [(1,)]
        )

    try:
        yield must_have_fired
    finally:
        for schema, name in place.ask(
            "select nspname, relname from pg_trigger"
            " inner join pg_class on pg_trigger.tgrelid = pg_class.oid"
            " inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid"
            " where tgname = 'replay_trap' and tgparentid = 0"
        ):
            place.do(sql.SQL("drop trigger replay_trap on {}").format(sql.Identifier(schema, name)))


# They are computed as a whole in each build.
WITHOUT_WATERMARKS = frozenset(("segment_transitions", "snp_user_segments"))

DEEDS: dict[str, Callable[[Workshop, Load, Action], None]] = {
    "part": _part,
    "refresh": _refresh,
    "empty": _empty,
    "sample": _sample,
    "truncate": _truncate,
    "restore": _restore,
    "swap": _swap,
    "drop": _drop,
    "vacuum": _vacuum,
    "defer": _defer,
    "target": _target,
    "clone": _clone,
    "kill": _kill,
    "retry": _retry,
    "seed": _seed,
}
