"""`warehouse build`: run dbt, then list the marts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from warehouse import console, dbt
from warehouse.build import known_tests
from warehouse.build.marts import show_marts
from warehouse.build.report import Report, wants_dbt_output
from warehouse.database.build_lock import build_lock
from warehouse.database.connection import connect
from warehouse.database.preflight import preflight
from warehouse.database.profile import settings
from warehouse.errors import WarehouseError
from warehouse.options import follow_dbt
from warehouse.privacy import keys, requests, roles


def build(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            help="Passed to dbt build unchanged: --select user_analytics+, --full-refresh, "
            "--target prod."
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a running build; without it, exit with 75.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print everything that dbt prints.")
    ] = False,
    accept_excluded: Annotated[
        bool,
        typer.Option(
            "--accept-excluded",
            help="Build even if many rows are excluded from the marts, or users has no rows.",
        ),
    ] = False,
    allow_loss: Annotated[
        bool,
        typer.Option(
            "--allow-loss", help="Let a full refresh drop rows that the raw tables no longer have."
        ),
    ] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Build even if a raw table lost many rows, or got unusually many or few.",
        ),
    ] = False,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            min=0,
            max=100,
            help="Publish nothing, and fail, below this quality score; default min_quality_score.",
        ),
    ] = None,
    unit_tests: Annotated[
        bool,
        typer.Option(
            "--unit-tests", help="Run dbt's unit tests too, as after a change of a model."
        ),
    ] = False,
) -> None:
    """Run `dbt build` on the warehouse's database, then list the marts with their rows.

    Prints the models as they finish, then failures, and warnings with their meaning.
    Tests of the data run, but not dbt's unit tests, which check the code. Only one build of a
    target runs at a time. Starts the embedded server if needed, and checks the database first.
    At the end the reporting views get the new rows, all at once, if nothing failed and the quality
    score is high enough; the last lines say so if not.
    The exit code is dbt's: 1 if a model or a test failed or the score is too low, 2 if dbt stopped
    before.
    """
    follow_dbt(arguments or [])
    where = settings()
    preflight(where)
    if where.embedded:
        with connect(where, autocommit=True) as session:
            roles.apply(session)
    loaded = dbt.last_load()
    if loaded not in (None, where.description):
        console.say(
            f"Warning: this builds in {where.description}, but the last `warehouse load` in this "
            f"folder went to {loaded}: set the same variables and the same --target for both.",
            style="yellow",
            stderr=True,
        )
    # Not as --vars: dbt parses the whole project again if they change.
    os.environ["WAREHOUSE_REQUIRES_ROWS"] = "1"
    accepted = {
        "ACCEPT_EXCLUDED": accept_excluded,
        "ACCEPT_VOLUMES": accept,
        "ALLOW_LOSS": allow_loss,
    }
    for name, given in accepted.items():
        if given:
            os.environ[f"WAREHOUSE_{name}"] = "1"
    if min_score is not None:
        os.environ["WAREHOUSE_MIN_SCORE"] = f"{min_score:.6f}"
    whole = ["build", *without_unit_tests(arguments or [], unit_tests=unit_tests)]
    with build_lock(where, wait=wait), keys.given_to_dbt():
        requests.erase_requested(where)
        if verbose or wants_dbt_output(whole):
            status = dbt.run(whole)
        elif known_tests.is_whole(arguments or []):
            status = build_everything(whole)
        else:
            status = build_and_report(whole)
    if status:
        raise WarehouseError(
            "dbt build failed: the lines above say why; details: logs/dbt.log.",
            exit_code=status,
        )
    show_marts()


def build_and_report(arguments: Sequence[str], manifest: Any = None, left_out: int = 0) -> int:
    """Run dbt, and print what it built and found.

    Args:
        arguments: dbt's command and options.
        manifest: the parsed project; None to parse it.
        left_out: how many tests the arguments leave out.

    Returns:
        0, or 1 if a node failed.
    """
    report = Report(left_out)
    status, results = dbt.run_quietly(arguments, report.listen, manifest)
    report.show(results)
    return status


def build_everything(arguments: Sequence[str]) -> int:
    """Build without the tests that are known to pass; ask those that then are not known any more.

    Args:
        arguments: dbt's command and options.

    Returns:
        0, or 1 if a node failed.
    """
    manifest = dbt.parse()
    code = known_tests.code_of(manifest)
    left_out = known_tests.tests_to_leave_out(manifest, code)
    os.environ[known_tests.CODE] = code
    if not left_out:
        return build_and_report(arguments, manifest)
    os.environ[known_tests.LEFT_OUT] = "1"
    options = known_tests.leave_out(manifest, left_out)
    status = build_and_report([*arguments, *options], manifest, len(left_out))
    del os.environ[known_tests.LEFT_OUT]
    unknown = known_tests.tests_to_ask(manifest, left_out)
    if not unknown:
        return status
    tests = "1 test" if len(unknown) == 1 else f"{len(unknown)} tests"
    console.say(f"\nAsking {tests} of whole tables, which changed otherwise.")
    # Both steps are one build: the second publishes for the first.
    os.environ[known_tests.FIRST_STEP] = known_tests.last_invocation(manifest)
    selected = known_tests.selection_of(manifest, unknown)
    try:
        return build_and_report(["test", "--select", *selected]) or status
    finally:
        del os.environ[known_tests.FIRST_STEP]


def without_unit_tests(arguments: Sequence[str], *, unit_tests: bool) -> list[str]:
    """The arguments of `dbt build`, with the option that leaves its unit tests out.

    Args:
        arguments: the arguments that are passed to dbt. If they name unit tests, they decide.
        unit_tests: whether unit tests run.
    """
    if unit_tests or any("unit_test" in each or "test_type:unit" in each for each in arguments):
        return [*arguments]
    return ["--exclude-resource-type", "unit_test", *arguments]
