"""Small dbt projects that use this project's macros, and readers that poll them."""

from __future__ import annotations

import functools
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import yaml

from tests.support import dbt_project

# dbt holds the lock of a rename for a few statements, which can take seconds on a busy machine. So
# tests whose point is a slow statement let it sleep longer than an impatient reader waits; in all
# others a reader fails only if the lock is not released at all.

IMPATIENCE = "5s"
LONGER_THAN_IMPATIENCE = 6
WARNINGS = ("--log-level-file", "warn")


def check_sql_variables(file: str, text: str) -> None:
    """Reject a variable `sql_...` that a parse reads, because dbt would ignore its new value.

    Args:
        file: the name of the file; a `.yml` file contains only configuration.
        text: the contents of the file.

    Raises:
        ValueError: the text uses one anywhere except as a whole expression in a query.
    """
    prefix = dbt_project.RUNTIME_PREFIX
    on_its_own = rf"\{{\{{ var\('{prefix}\w+'\) \}}\}}"
    rest = text if file.endswith(".yml") else re.sub(on_its_own, "", text)
    if found := re.search(rf"""var\(\s*['"]{prefix}\w*""", rest):
        raise ValueError(
            f"{file} says {found.group()}; a variable that begins with {prefix} is for a query,"
            f" as an expression of its own such as {{{{ var('{prefix}name') }}}}; no configuration"
            " takes it"
        )


@functools.cache
def undescribed_macros() -> Path:
    """A copy of the macros without their descriptions, which take a quarter of a small parse."""
    folder = dbt_project.scratch() / "macros"
    shutil.copytree(dbt_project.ROOT / "macros", folder, ignore=shutil.ignore_patterns("*.yml"))
    return folder


def write_project(
    folder: Path, models: Mapping[str, str], variables: Mapping[str, Any] | None = None
) -> Path:
    """Write a project that builds its models in schema `marts`, with the hooks of all models.

    Args:
        folder: a new folder for the project.
        models: the text of each model by its name; a name may end with `.yml`, and may begin with
            a folder, such as `staging/stg_orders`.
        variables: variables of the project, in addition to those that the macros read. Names that
            begin with `sql_` are for the text of queries; a new value needs no new parse.

    Returns:
        The folder.

    Raises:
        ValueError: a parse reads a variable `sql_...`.
    """
    (folder / "models").mkdir(parents=True)
    for name, text in models.items():
        path = folder / "models" / (name if name.endswith(".yml") else f"{name}.sql")
        check_sql_variables(path.name, text)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    whole = yaml.safe_load((dbt_project.ROOT / "dbt_project.yml").read_text())
    hooks = whole["models"]["analytics_warehouse"]
    (folder / "dbt_project.yml").write_text(
        yaml.safe_dump(
            {
                "name": "small",
                "version": "1.0",
                "profile": whole["profile"],
                "macro-paths": [str(undescribed_macros())],
                "vars": {**whole["vars"], **(variables or {})},
                "on-run-start": whole["on-run-start"],
                "seeds": {"small": {"+schema": "marts"}},
                "models": {
                    "small": {
                        "+schema": "marts",
                        "+persist_docs": {"relation": True, "columns": True},
                        "+pre-hook": hooks["+pre-hook"],
                        "+post-hook": hooks["+post-hook"],
                    }
                },
            }
        )
    )
    (folder / "profiles.yml").write_text((dbt_project.ROOT / "profiles.yml").read_text())
    return folder


def write_tested_project(
    folder: Path,
    models: Mapping[str, str],
    variables: Mapping[str, Any] | None = None,
    tests: Mapping[str, str] | None = None,
    hook: str = "{{ after_run(results) }}",
) -> Path:
    """Write a project as `write_project` does, with data tests and the hook of the end of a run.

    Args:
        folder: a new folder for the project.
        models: as in `write_project`; their `.yml` may use the packages of this project.
        variables: as in `write_project`.
        tests: the query of each singular test by its name.
        hook: what dbt runs at the end; with the results it also records them.

    Returns:
        The folder.
    """
    write_project(folder, models, variables)
    path = folder / "dbt_project.yml"
    path.write_text(path.read_text() + yaml.safe_dump({"on-run-end": [hook]}))
    use_packages(folder)
    (folder / "tests").mkdir()
    for name, query in (tests or {}).items():
        (folder / "tests" / f"{name}.sql").write_text(query)
    return folder


def use_packages(project: Path) -> None:
    """Let a small project call the packages of this project, as its data tests do."""
    shutil.copy(dbt_project.ROOT / "packages.yml", project)
    (project / "dbt_packages").symlink_to(dbt_project.ROOT / "dbt_packages")


def write_model(
    project: Path, name: str, query: str, yml: Mapping[str, Any] | None = None, **config: Any
) -> None:
    """Create or overwrite a model.

    Args:
        project: a folder that `write_project` created.
        name: the name of the model.
        query: the query of the model.
        yml: the entry of the model in the YAML file.
        config: the configuration of the model.

    Raises:
        ValueError: a parse reads a variable `sql_...`.
    """
    given = ", ".join(f"{key}={value!r}" for key, value in config.items())
    path = project / "models" / f"{name}.sql"
    text = f"{{{{ config({given}) }}}}\n{query}\n" if given else f"{query}\n"
    check_sql_variables(path.name, text)
    path.write_text(text)
    described = path.with_suffix(".yml")
    described.unlink(missing_ok=True)
    if yml:
        described.write_text(yaml.safe_dump({"version": 2, "models": [{"name": name, **yml}]}))
    dbt_project.forget(project)


def run(database: Any, project: Path, *select: str, **options: Any) -> dict[str, str]:
    """Run `dbt run`; return the message of each model by its name."""
    results = dbt_project.run(database, "run", *select, project=project, **options)
    return {result.node.name: str(result.message) for result in results}


@contextmanager
def warned() -> Iterator[list[str]]:
    """Collect the warnings of runs with the options `WARNINGS`; yields one line at the end."""
    log = dbt_project.scratch() / "logs" / "dbt.log"
    before = log.stat().st_size if log.exists() else 0
    said: list[str] = []
    yield said
    said.append(" ".join(log.read_bytes()[before:].decode().split()))


@contextmanager
def polled(
    database: Any,
    *relations: str,
    may_be_empty: Sequence[str] = (),
    role: str = "none",
    patience: str = "20s",
) -> Iterator[list[int]]:
    """Count the rows of relations continuously, each in its own transaction.

    Args:
        database: has `connect()`.
        relations: the names as written in SQL.
        may_be_empty: the relations that may have no rows.
        role: the role that reads; `none` is the connecting user.
        patience: how long a reader waits for a lock, as PostgreSQL writes durations.

    Yields:
        A list that gets the number of reads at the end.

    Raises:
        AssertionError: a relation was missing, empty, locked for too long, or never read.
    """
    complaints: list[str] = []
    reads: list[int] = []
    is_over = threading.Event()

    def read() -> None:
        count = 0
        with database.connect() as session:
            session.autocommit = True
            session.execute(f"set lock_timeout = '{patience}'")
            session.execute(f"set role {role}")
            while not is_over.is_set():
                for relation in relations:
                    try:
                        (rows,) = session.execute(f"select count(*) from {relation}").fetchone()
                        if not rows and relation not in may_be_empty:
                            complaints.append(f"{relation} is empty")
                    except psycopg.Error as error:
                        complaints.append(f"{relation}: {error}")
                    count += 1
                is_over.wait(0.005)
        reads.append(count)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield reads
    finally:
        is_over.set()
        reader.join()
    assert not complaints, "\n".join(sorted(set(complaints)))
    assert reads[0] > 10, f"the relations were read {reads[0]} times only"
