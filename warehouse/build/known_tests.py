"""Data tests that a daily build need not visit, because it knows that they pass.

dbt takes some milliseconds for each node, also for a test that reads nothing, and there are
hundreds. A build of everything leaves these tests out:

- those that every row passed so far, and that the models ask of the rows that they write, or the
  staging models of the rows that were loaded
- those that passed, and that other models ask of all their rows, in one query for all their tests
- the tests of macros, which read no table, and those of seeds, which each build loads from their
  files, if they passed with the same code.

If the build finds that one is no longer known to pass, it is asked in a second step.
A test whose arguments are computed in each run is never left out.

They hold only for the code of the last run, so that code is compared first.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from warehouse import project
from warehouse.database.connection import connect

# The hooks of a run read these.
CODE = "WAREHOUSE_CODE"
LEFT_OUT = "WAREHOUSE_TESTS_LEFT_OUT"
FIRST_STEP = "WAREHOUSE_FIRST_STEP"
# The tests that are left out carry this tag, because dbt compares each name with each node.
TAG = "known_to_pass"
# Options of dbt that change neither what is built nor what is tested.
_NEUTRAL = {"--threads": 1, "--target": 1, "-t": 1, "--no-use-colors": 0, "--no-write-json": 0}
# Variables that say when a build takes place, and how the connection looks, not what a test means.
_NO_MEANING = re.compile(
    "WAREHOUSE_(HOME|DEBUG|START_SECONDS|REQUIRES_ROWS|ACCEPT_.*|ALLOW_LOSS|MIN_SCORE|CODE"
    "|FIRST_STEP|TESTS.*)"
    "|DBT_(LOG.*|THREADS|TARGET_PATH)|DBT_ENV_SECRET_.*"
)
_OF_TIME = re.compile(
    r"\b(now|today|tomorrow|yesterday|localtime|localtimestamp)\b|current_|clock_timestamp"
    r"|statement_timestamp|transaction_timestamp|timeofday|as_of|run_started_at|\bage\(",
    re.IGNORECASE,
)

KNOWN = """
select held.test_name
from {observability}.audited_tests as held
inner join {observability}.audited_tables as child
    on held.model_name = child.model_name
    and (held.epoch, held.writes) = (child.epoch, child.writes)
left join {observability}.audited_tables as parent on held.parent_name = parent.model_name
where held.passed_whole_at > now() - %(every)s::interval + interval '3 hours'
    and held.passed_whole_at <= now()
    and (held.parent_name is null or held.parent_losses = parent.losses)
"""
# Their last result is a pass with the same code, and dbt itself asked them not too long ago: what
# was left out took no time.
PASSED = """
select tests.test_id
from unnest(%(tests)s::text[]) as tests (test_id)
inner join lateral (
    select results.status, results.invocation_id
    from {observability}.run_results as results
    where results.node_id = tests.test_id and results.status in ('pass', 'warn', 'fail', 'error')
    order by results.finished_at desc
    limit 1
) as latest on latest.status = 'pass'
inner join {observability}.runs on latest.invocation_id = runs.invocation_id
where runs.code = %(code)s
    and exists (
        select
        from {observability}.run_results as visited
        where visited.node_id = tests.test_id and visited.status = 'pass' and visited.seconds > 0
            and visited.finished_at > now() - %(every)s::interval
    )
"""
AUDITED = "select test_name from {observability}.audited_tests"
LOADED = """
select held.test_name
from {observability}.tested_keys as held
where held.test_name = any(%(tests)s)
    and held.passed_whole_at > now() - %(every)s::interval + interval '3 hours'
"""
# Tests whose query needs their own table only; the models ask no other.
OF_KEYS = frozenset(("unique", "unique_combination_of_columns"))
OF_ROWS = OF_KEYS | {"not_null", "accepted_values", "accepted_range", "expression_is_true"}
# Every run that may record tests sets the code of its own, or none.
LAST_CODE = """
select code from {observability}.runs
where command in ('build', 'test')
order by finished_at desc
limit 1
"""
LAST_RUN = "select invocation_id from {observability}.runs order by finished_at desc limit 1"
# The hook of the last run adds those that were left out and are still known.
ANSWERED = """
select results.node_id
from {observability}.run_results as results
where (results.resource_type = 'test' or results.status = 'skipped')
    and results.invocation_id = (
        select invocation_id from {observability}.runs order by finished_at desc limit 1
    )
"""


def is_whole(arguments: Sequence[str]) -> bool:
    """Whether the arguments of `dbt build` choose everything, as a daily build does.

    Args:
        arguments: the arguments that are passed to dbt.
    """
    rest = [*arguments]
    while rest:
        name, _, value = rest.pop(0).partition("=")
        if name not in _NEUTRAL:
            return False
        if _NEUTRAL[name] and not value:
            if not rest:
                return False
            rest.pop(0)
    return True


def code_of(manifest: Any) -> str:
    """A hash of what decides which rows a test finds: tests, macros, models, variables.

    Args:
        manifest: dbt's parsed project.
    """
    digest = hashlib.sha256()
    for part in _parts_of_code(manifest):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _parts_of_code(manifest: Any) -> Iterable[str]:
    yield version("dbt-core")
    yield (project.root() / "dbt_project.yml").read_text(encoding="utf-8")
    for name, value in sorted(os.environ.items()):
        if name.startswith(("DBT_", "WAREHOUSE_")) and not _NO_MEANING.fullmatch(name):
            yield f"{name}={value}"
    for unique_id, macro in sorted(manifest.macros.items()):
        yield f"{unique_id} {macro.macro_sql}"
    for unique_id, node in sorted(manifest.nodes.items()):
        metadata = getattr(node, "test_metadata", None)
        config = node.config.to_dict() if hasattr(node.config, "to_dict") else node.config
        yield f"{unique_id} {node.checksum.checksum} {node.raw_code} {metadata} {config}"
        yield f"{node.schema}.{node.alias} {sorted(getattr(node.depends_on, 'nodes', ()))}"


def tests_to_leave_out(manifest: Any, code: str) -> list[str]:
    """The unique ids of the tests that a build of everything can leave out.

    Args:
        manifest: dbt's parsed project.
        code: the hash of `code_of`.

    Returns:
        None of them if the last run had other code, or the database has no runs yet.
    """
    import psycopg

    tests = {
        unique_id: node
        for unique_id, node in manifest.nodes.items()
        if unique_id.startswith("test.") and not is_computed(node)
    }
    of_files = [each for each, node in tests.items() if is_of_files(manifest, node)]
    of_models = [each for each, node in tests.items() if is_of_a_model(manifest, node)]
    of_loads = [each for each, node in tests.items() if is_of_loads(manifest, node)]
    try:
        with connect(autocommit=True) as session:
            last = _ask(session, manifest, LAST_CODE)
            if [code] != last:
                return []
            every = str(project.variable("whole_tests_every", "7 days"))
            known = _ask(session, manifest, KNOWN, every=every)
            loaded = _ask(session, manifest, LOADED, tests=of_loads, every=every)
            # A test of written rows is left out as such, or not at all.
            audited = _ask(session, manifest, AUDITED)
            candidates = {*known, *loaded, *({*of_files, *of_models} - {*audited})} & {*tests}
            return sorted(
                _ask(session, manifest, PASSED, tests=[*candidates], code=code, every=every)
            )
    except psycopg.Error:  # an older or a new database: the build asks everything
        return []


def leave_out(manifest: Any, unique_ids: Sequence[str]) -> list[str]:
    """The options with which dbt leaves out tests.

    Args:
        manifest: dbt's parsed project, in which the tests get the tag `TAG`.
        unique_ids: the unique ids of the tests.
    """
    for unique_id in unique_ids:
        manifest.nodes[unique_id].tags.append(TAG)
    return ["--exclude", f"tag:{TAG}"] if unique_ids else []


def is_of_files(manifest: Any, node: Any) -> bool:
    """Whether only code decides what a test finds: it reads no table, or seeds of small files.

    A test that names the time finds something else tomorrow.

    Args:
        manifest: dbt's parsed project.
        node: a test of it.
    """
    read = [manifest.nodes.get(each) for each in node.depends_on.nodes]
    # dbt does not compare the content of a large file.
    are_seeds = all(each and each.checksum.name == "sha256" for each in read)
    return is_of_a_macro(node) or (
        bool(read)
        and are_seeds
        and all(each.resource_type == "seed" for each in read)
        and not _names_the_time(manifest, node)
    )


def is_of_a_model(manifest: Any, node: Any) -> bool:
    """Whether a model or snapshot itself can ask a test of all its rows.

    Args:
        manifest: dbt's parsed project.
        node: a test of it.
    """
    table = manifest.nodes.get(getattr(node, "attached_node", None))
    if not table or is_of_loads(manifest, node) or node.config.store_failures:
        return False
    name = node.test_metadata.name
    # An incremental model asks the others of the rows that it writes; an index may answer for keys.
    asked = OF_KEYS if table.config.materialized == "incremental" else OF_ROWS
    is_alone = set(node.depends_on.nodes) == {table.unique_id}
    return table.resource_type in ("model", "snapshot") and is_alone and name in asked


def is_of_loads(manifest: Any, node: Any) -> bool:
    """Whether a test is one of a staging view, whose rows change only with a load of its table.

    The macro is_staged says so of a model in a run.

    Args:
        manifest: dbt's parsed project.
        node: a test of it.
    """
    table = manifest.nodes.get(getattr(node, "attached_node", None))
    return bool(
        table
        and table.resource_type == "model"
        and table.config.materialized == "view"
        and {"_loaded_at", "_row_xid"} <= {*table.columns}
        and len(table.depends_on.nodes) <= 1
        and all(each.startswith("source.") for each in table.depends_on.nodes)
    )


def is_of_a_macro(node: Any) -> bool:
    """Whether a test is one of the folder tests/macros/, which read no table.

    Args:
        node: a test of dbt's parsed project.
    """
    return node.original_file_path.startswith("tests/macros/") and not node.depends_on.nodes


def _names_the_time(manifest: Any, node: Any) -> bool:
    called = [manifest.macros[each] for each in node.depends_on.macros if each in manifest.macros]
    texts = [node.raw_code, *(each.macro_sql for each in called)]
    given = getattr(getattr(node, "test_metadata", None), "kwargs", None)
    return bool(_OF_TIME.search(f"{texts} {given} {node.config.where}"))


def is_computed(node: Any) -> bool:
    """Whether the arguments of a test may have other values in another run.

    Args:
        node: a test of dbt's parsed project.
    """
    metadata = getattr(node, "test_metadata", None)
    given = dict(metadata.kwargs) if metadata else {}
    # dbt itself writes these two as calls.
    rest = {name: value for name, value in given.items() if name not in ("model", "to")}
    return "{{" in f"{rest} {node.config.where}"


def tests_to_ask(manifest: Any, left_out: Sequence[str]) -> list[str]:
    """The tests that were left out, and turned out not to be known: another hand changed a table.

    As in any build of dbt, the tests of a model that was skipped after a failure are not asked.

    Args:
        manifest: dbt's parsed project.
        left_out: the unique ids that the last run left out.
    """
    with connect(autocommit=True) as session:
        answered = _ask(session, manifest, ANSWERED)
    nodes = {each: manifest.nodes[each] for each in {*left_out} - {*answered}}
    return sorted(
        unique_id
        for unique_id, node in nodes.items()
        if not is_of_a_macro(node) and getattr(node, "attached_node", None) not in answered
    )


def last_invocation(manifest: Any) -> str:
    """The invocation of the last run.

    Args:
        manifest: dbt's parsed project.
    """
    with connect(autocommit=True) as session:
        return _ask(session, manifest, LAST_RUN)[0]


def selection_of(manifest: Any, unique_ids: Sequence[str]) -> list[str]:
    """The names by which dbt selects tests.

    Args:
        manifest: dbt's parsed project.
        unique_ids: the unique ids of the tests.
    """
    return [".".join(manifest.nodes[each].fqn) for each in unique_ids]


def _ask(session: Any, manifest: Any, query: str, **parameters: Any) -> list[str]:
    """The values of a query of the state tables."""
    (schema,) = {
        source.schema
        for source in manifest.sources.values()
        if (source.source_name, source.name) == ("observability", "runs")
    }
    from psycopg import sql

    text = sql.SQL(query).format(observability=sql.Identifier(schema))
    return [row[0] for row in session.execute(text, parameters).fetchall()]
