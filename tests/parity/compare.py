"""Check that the stand-ins of `offline_packages/` give the same results as the dbt packages.

`make parity PACKAGES=FOLDER` runs `python -m tests.parity.compare --packages FOLDER`. It builds a
dbt project twice, with the genuine packages and with the stand-ins, each in a separate database on
a temporary embedded server, and compares:

    every test     status, number of failures, and all failing rows
    every model    status; in tests/parity whole rows, in the warehouse only surrogate keys

The projects are tests/parity, which consists of edge cases, and, unless --small is given, the
warehouse itself on a sample. FOLDER contains dbt_utils/, dbt_expectations/ and dbt_date/, such as a
`dbt_packages/` filled by `dbt deps`, or checkouts of the three.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql
from rich.console import Console
from rich.table import Table

from tests.support.database import environment_of
from tests.support.server import temporary_server
from warehouse import project
from warehouse.dbt import COMMAND as DBT
from warehouse.errors import WarehouseError
from warehouse.server import Server

NAMES = ("dbt_utils", "dbt_expectations", "dbt_date")
SMALL_PROJECT = Path("tests") / "parity"

# The files of a project that dbt reads, without the packages, which are what we compare.
COPIED = (
    *("dbt_project.yml", "profiles.yml", "packages.yml", "selectors.yml", ".dbtignore"),
    *("models", "seeds", "snapshots", "macros", "tests", "analyses"),
)
# The warehouse's sample: small and deterministic.
SAMPLE_OPTIONS = ("--users", "200", "--days", "90", "--seed", "7")
SAMPLE_END = "2026-10-31"


STEPS = (
    ("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
    ("test",),
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of one node: `failures` of a test; `rows` as JSON texts, if there are any."""

    name: str
    kind: str
    package: str | None
    status: str
    failures: int | None
    rows: tuple[str, ...] | None
    expected: Any = None

    def judgement(self) -> tuple[Any, ...]:
        """The values that must be the same with both sets of packages."""
        return (self.status, self.failures, self.rows)


def build(
    source: Path,
    packages: Path,
    variables: dict[str, str],
    *,
    whole_rows: bool,
    options: tuple[str, ...] = (),
) -> dict[str, Outcome]:
    """Build a copy of a dbt project with the packages of a folder.

    `source` is the project's folder, `packages` contains a folder for each of NAMES, `variables`
    are the PG* variables of the database, and `options` are passed to dbt. Outcomes of models
    contain whole rows if `whole_rows` is true, else only the columns `*_key`. Returns the outcomes
    by unique id. Raises WarehouseError if dbt could not start.
    """
    with tempfile.TemporaryDirectory(prefix="wh-parity-") as folder:
        copy = Path(folder) / "project"
        copy.mkdir()
        for name in COPIED:
            if (source / name).is_dir():
                shutil.copytree(source / name, copy / name)
            elif (source / name).is_file():
                shutil.copy(source / name, copy)
        _store_every_failure(copy / "dbt_project.yml")
        for name in NAMES:
            unneeded = shutil.ignore_patterns("integration_tests", ".git*")
            shutil.copytree(packages / name, copy / "dbt_packages" / name, ignore=unneeded)
        outcomes: dict[str, Outcome] = {}
        # Two steps, because in a single one a failed test skips everything downstream of its model.
        for step in STEPS:
            results, nodes = _run(copy, [*step, *options], variables)
            with psycopg.connect(**_libpq(variables)) as connection:
                for result in results:
                    key = result["unique_id"]
                    outcomes[key] = _outcome(nodes.get(key, {}), result, connection, whole_rows)
        return outcomes


def _store_every_failure(path: Path) -> None:
    """Make the tests of a copied project store failing rows, unless a test is configured not to."""
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    tests = settings.setdefault("data_tests", {}).setdefault(settings["name"], {})
    tests["+store_failures"] = True
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def _run(
    copy: Path, command: list[str], variables: dict[str, str]
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Run dbt in a project; return the results and, by unique id, the nodes."""
    done = subprocess.run(
        [*DBT, "--no-use-colors", *command, "--profiles-dir", str(copy)],
        cwd=copy,
        env=_outer_environment() | variables | {"DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    results = copy / "target" / "run_results.json"
    if done.returncode not in (0, 1) or not results.is_file():
        raise WarehouseError(
            f"dbt {command[0]} broke down:\n" + (done.stdout + done.stderr).strip()[-2000:]
        )
    manifest = json.loads((copy / "target" / "manifest.json").read_text(encoding="utf-8"))
    found = json.loads(results.read_text(encoding="utf-8"))["results"]
    results.unlink()
    return found, manifest["nodes"] | manifest["unit_tests"]


def _outer_environment() -> dict[str, str]:
    """The environment without variables that would point dbt to another database or project."""
    kept = os.environ.items()
    return {name: value for name, value in kept if not name.startswith(("PG", "DBT_"))}


def _libpq(variables: dict[str, str]) -> dict[str, str]:
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
    return {names[name]: value for name, value in variables.items()}


def _outcome(
    node: dict[str, Any], result: dict[str, Any], connection: psycopg.Connection, whole_rows: bool
) -> Outcome:
    """The outcome of one dbt result, with its rows."""
    kind = result["unique_id"].split(".")[0]
    config = node.get("config", {})
    stored = result["status"] not in ("error", "skipped") and (
        config.get("store_failures") is not False if kind == "test" else True
    )
    rows = None
    if stored and node.get("relation_name"):
        rows = _rows(node, connection, "" if kind == "test" or whole_rows else "_key")
    return Outcome(
        name=node.get("name", result["unique_id"]),
        kind=kind,
        package=(node.get("test_metadata") or {}).get("namespace"),
        status=result["status"],
        failures=result["failures"] if kind == "test" else None,
        rows=rows,
        expected=config.get("meta", {}).get("failures"),
    )


def _rows(
    node: dict[str, Any], connection: psycopg.Connection, ending: str
) -> tuple[str, ...] | None:
    """A relation's rows as sorted JSON, with only the columns whose names end in `ending`."""
    name = node.get("alias") or node["name"]
    columns = connection.execute(
        "select column_name from information_schema.columns"
        ' where table_schema = %s and table_name = %s order by column_name collate "C"',
        [node["schema"], name],
    ).fetchall()
    kept = [sql.Identifier(column) for (column,) in columns if column.endswith(ending)]
    if not kept:
        return None
    query = sql.SQL("select to_jsonb(kept)::text from (select {} from {}) as kept").format(
        sql.SQL(", ").join(kept), sql.Identifier(node["schema"], name)
    )
    return tuple(sorted(row for (row,) in connection.execute(query)))


def compare(genuine: dict[str, Outcome], ours: dict[str, Outcome]) -> list[str]:
    """The differences, one line each."""
    differences = []
    for key in sorted(genuine.keys() | ours.keys()):
        theirs, mine = genuine.get(key), ours.get(key)
        if theirs is None or mine is None:
            side = "stand-ins" if mine else "genuine packages"
            differences.append(f"{key}: only with the {side}")
        elif theirs.judgement() != mine.judgement():
            differences.append(f"{key}: {_difference(theirs, mine)}")
        elif mine.status in ("skipped", "error") and mine.expected != "error":
            differences.append(f"{key}: {mine.status} with both, so there was nothing to compare")
    return differences


def _difference(theirs: Outcome, mine: Outcome) -> str:
    said = [
        f"{what} {before}, with the stand-ins {after}"
        for what, before, after in (
            ("status", theirs.status, mine.status),
            ("failures", theirs.failures, mine.failures),
        )
        if before != after
    ]
    before, after = set(theirs.rows or ()), set(mine.rows or ())
    if theirs.rows != mine.rows:
        only_theirs, only_mine = sorted(before - after)[:3], sorted(after - before)[:3]
        said.append(f"rows only genuine {only_theirs}, only stand-ins {only_mine}")
    return "; ".join(said)


def check_folder(packages: Path, stand_ins: Path) -> None:
    """Raise WarehouseError unless the folder contains the genuine packages."""
    for name in NAMES:
        theirs = packages / name / "dbt_project.yml"
        if not theirs.is_file():
            raise WarehouseError(
                f"There is no {theirs}: --packages must name a folder with {', '.join(NAMES)}, "
                "such as a dbt_packages/ that `dbt deps` filled."
            )
        if theirs.read_bytes() == (stand_ins / name / "dbt_project.yml").read_bytes():
            raise WarehouseError(
                f"{packages / name} is the stand-in: --packages must name the genuine packages."
            )


def both(
    source: Path,
    packages: Path,
    stand_ins: Path,
    server: Server,
    load: Callable[[dict[str, str]], None] | None = None,
    options: tuple[str, ...] = (),
) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    """Build with the genuine packages and with the stand-ins, from the same loaded data."""
    outcomes = []
    with server.connect("postgres") as connection:
        connection.execute("drop database if exists loaded")
        connection.execute("create database loaded template template0")
        if load:
            load(environment_of(server, "loaded"))
        for number, folder in enumerate((packages, stand_ins)):
            name = f"parity_{number}"
            connection.execute(f"drop database if exists {name}")
            connection.execute(f"create database {name} template loaded")
            variables = environment_of(server, name)
            outcomes.append(
                build(source, folder, variables, whole_rows=load is None, options=options)
            )
    return outcomes[0], outcomes[1]


def load_sample(variables: dict[str, str]) -> None:
    """Load the sample into a database with the warehouse's own commands."""
    with tempfile.TemporaryDirectory(prefix="wh-sample-") as folder:
        for command in (
            ["sample", *SAMPLE_OPTIONS, "--end-date", SAMPLE_END, "--out", folder],
            ["load", folder],
        ):
            done = subprocess.run(
                [sys.executable, "-m", "warehouse.cli", *command],
                cwd=project.root(),
                env=_outer_environment() | variables,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                said = (done.stdout + done.stderr).strip()[-2000:]
                raise WarehouseError(f"`warehouse {command[0]}` failed:\n{said}")


def show(
    console: Console, title: str, genuine: dict[str, Outcome], ours: dict[str, Outcome]
) -> None:
    """Print the tests from the packages as a table, and the number of other nodes."""
    table = Table(title=title)
    table.add_column("test", overflow="fold")
    for column in ("genuine", "stand-in", "failures", "stored rows", "same"):
        table.add_column(column)
    others = 0
    for key in sorted(genuine.keys() & ours.keys(), key=lambda key: genuine[key].name):
        theirs, mine = genuine[key], ours[key]
        same = theirs.judgement() == mine.judgement()
        if theirs.package not in NAMES and same:
            others += 1
            continue
        table.add_row(
            theirs.name,
            theirs.status,
            mine.status,
            "" if mine.failures is None else str(mine.failures),
            "" if mine.rows is None else str(len(mine.rows)),
            "yes" if same else "[red]no[/red]",
        )
    console.print(table)
    console.print(f"{others} other tests, models, seeds and snapshots are the same in both builds.")


def main(arguments: list[str] | None = None) -> int:
    """Compare, print the differences, and return 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity.compare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--packages", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--small", action="store_true", help="only tests/parity")
    given = parser.parse_args(arguments)
    console = Console(width=max(110, Console().width))  # test names are long
    try:
        root = project.root()
        stand_ins = root / "offline_packages"
        packages = given.packages.expanduser().resolve()
        check_folder(packages, stand_ins)
        differences = []
        with temporary_server() as server:
            genuine, ours = both(root / SMALL_PROJECT, packages, stand_ins, server)
            show(console, str(SMALL_PROJECT), genuine, ours)
            differences += compare(genuine, ours)
            if not given.small:
                options = ("--vars", json.dumps({"as_of": SAMPLE_END}))
                genuine, ours = both(root, packages, stand_ins, server, load_sample, options)
                show(console, "the warehouse", genuine, ours)
                differences += compare(genuine, ours)
    except WarehouseError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for difference in differences:
        console.print(difference, style="red", markup=False, highlight=False)
    console.print(f"{len(differences)} differences.")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
