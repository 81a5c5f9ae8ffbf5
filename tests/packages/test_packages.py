"""The dbt packages: the results of the stand-ins, and their installation."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner

from tests.parity import compare as parity
from tests.support.database import environment_of
from tests.support.dbt_project import environment
from warehouse import dbt
from warehouse.errors import WarehouseError
from warehouse.setup import packages

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = ROOT / "offline_packages"
PARSE = ("parse", "--show-all-deprecations", "--profiles-dir", ".")


# --- Results of the stand-ins ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcomes(server) -> Iterator[dict[str, parity.Outcome]]:
    """The outcomes of tests/parity, built with the stand-ins, by node name."""
    name = f"stand_ins_{os.getpid()}"
    with server.connect("postgres") as connection:
        connection.execute(f"create database {name} template template0")
    variables = environment_of(server, name)
    built = parity.build(ROOT / parity.SMALL_PROJECT, STAND_INS, variables, whole_rows=True)
    yield {outcome.name: outcome for outcome in built.values()}
    with server.connect("postgres") as connection:
        connection.execute(f"drop database {name} with (force)")


def test_every_test_of_the_stand_ins_finds_what_it_has_to(outcomes):
    """`meta: {failures: n}` in tests/parity is the number that the genuine packages find."""
    tests = [outcome for outcome in outcomes.values() if outcome.kind == "test"]
    assert len(tests) > 45
    found = {test.name: "error" if test.status == "error" else test.failures for test in tests}
    # A threshold hides the failures of a passing test, so this counts its stored rows instead.
    found["expression_with_threshold"] = len(outcomes["expression_with_threshold"].rows)
    assert found == {test.name: test.expected for test in tests}


def test_the_status_follows_severity_and_threshold(outcomes):
    assert outcomes["expression_as_warning"].status == "warn"
    assert outcomes["expression_with_threshold"].status == "pass"
    assert outcomes["range_inclusive"].status == "fail"
    assert outcomes["range_with_where"].status == "pass"


def test_failing_rows_are_stored_with_their_columns(outcomes):
    rows = [json.loads(row) for row in outcomes["range_inclusive"].rows]
    assert sorted(row["id"] for row in rows) == [3, 4, 7, 11]
    assert {"amount", "label", "team"} < rows[0].keys()

    (row,) = [json.loads(row) for row in outcomes["chain_closed_without_gaps"].rows]
    assert row == {
        "lower_bound": "2024-01-31",
        "upper_bound": "2024-02-29",
        "next_lower_bound": "2024-03-01",
        "is_last_record": False,
        "lower_bound_less_than_upper_bound": True,
        "upper_bound_equal_to_next_lower_bound": False,
    }


def test_a_surrogate_key_is_the_md5_of_the_texts(outcomes):
    """The documented recipe: texts joined by '-', nulls as a placeholder, md5 in hexadecimal."""
    rows = [json.loads(row) for row in outcomes["surrogate_keys"].rows]
    assert len(rows) == 6

    def key(*texts: str | None) -> str:
        placeholder = "_dbt_utils_surrogate_key_null_"
        joined = "-".join(placeholder if text is None else text for text in texts)
        return hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest()

    for row in rows:
        assert row["key_of_one"] == key(row["one"])
        assert row["key_of_two"] == key(row["one"], row["two"])
        assert row["key_of_two_swapped"] == key(row["two"], row["one"])
    first = min(rows, key=lambda row: row["row_id"])
    assert first["key_of_all"] == key(
        "a", "b", "1", "1.50", "2024-02-29", "2024-02-29 23:59:59.123456", "true"
    )
    # Both are documented weaknesses of the recipe, not of the stand-ins: texts may collide.
    by_id = {row["row_id"]: row for row in rows}
    assert by_id[2]["key_of_two"] != by_id[1]["key_of_two"]
    assert by_id[4]["key_of_one"] == by_id[6]["key_of_one"]


@pytest.mark.parametrize(
    ("spine", "column", "days"),
    [
        ("spine_of_days", "date_day", ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"]),
        (
            "spine_of_months",
            "date_month",
            ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"],
        ),
        ("spine_of_years", "date_year", ["2023-12-31", "2024-12-31", "2025-12-31"]),
    ],
)
def test_a_date_spine_ends_before_its_end(outcomes, spine, column, days):
    found = [json.loads(row)[column][:10] for row in outcomes[spine].rows]
    assert sorted(found) == days


@pytest.fixture(scope="module")
def small_project(tmp_path_factory) -> Path:
    """A copy of tests/parity with the stand-ins installed."""
    folder = tmp_path_factory.mktemp("small") / "project"
    shutil.copytree(ROOT / parity.SMALL_PROJECT, folder)
    shutil.copytree(STAND_INS, folder / "dbt_packages")
    return folder


def options_of(folder: Path) -> list[str]:
    """The options of dbt for a project in this folder."""
    return [
        *("--log-level", "none", "--no-use-colors", "--no-send-anonymous-usage-stats"),
        *("--project-dir", str(folder), "--profiles-dir", str(folder)),
        *("--log-path", str(folder / "logs")),
    ]


@pytest.fixture(scope="module")
def parsed(small_project, server):
    """The small project as dbt parses it."""
    with environment(environment_of(server, "postgres")):
        return dbtRunner().invoke(["parse", *options_of(small_project)]).result


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("dbt_utils.generate_surrogate_key('order_id')", "must be a list with at least one column"),
        ("dbt_utils.generate_surrogate_key([])", "must be a list with at least one column"),
        (
            "dbt_utils.test_mutually_exclusive_ranges('t', 'a', 'b', gaps='some')",
            "gaps must be allowed, not_allowed or required, got 'some'",
        ),
        ("dbt_utils.test_unique_combination_of_columns('t', 'a')", "must be a list of columns"),
        (
            "dbt_expectations.test_expect_table_row_count_to_be_between('t')",
            "expect_table_row_count_to_be_between: give min_value, max_value or both",
        ),
        (
            "dbt_expectations.test_expect_table_row_count_to_be_between('t', 1, group_by='team')",
            "group_by must be a list of columns, got 'team'",
        ),
        (
            "dbt_expectations.test_expect_column_values_to_match_regex('t', 'a', 'x', flags='gi')",
            "flags may hold the letters bceimnpqstwx, got 'gi'",
        ),
    ],
)
def test_a_bad_argument_is_named(small_project, parsed, server, call, said):
    messages = []
    runner = dbtRunner(parsed, callbacks=[lambda event: messages.append(event.info.msg)])
    with environment(environment_of(server, "postgres")):
        answer = runner.invoke(
            ["compile", "--inline", "{{ " + call + " }}", *options_of(small_project)]
        )
    assert not answer.success
    assert said in " ".join(" ".join(messages).split())


def test_dbt_has_nothing_to_complain_about(small_project, server):
    """No deprecations, no undocumented or unknown arguments, no need for `dbt deps`."""
    done = subprocess.run(
        [*dbt.COMMAND, "--no-use-colors", "--no-partial-parse", *PARSE],
        cwd=small_project,
        env=os.environ
        | environment_of(server, "postgres")
        | {"DO_NOT_TRACK": "1", "DBT_VALIDATE_MACRO_ARGS": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "deprecat" not in said.lower(), said
    assert "warning" not in said.lower(), said


# --- Installation ---------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with our packages.yml and stand-ins; the hub refuses connections."""
    (tmp_path / "dbt_project.yml").write_text("name: some\nversion: 1.0.0\nprofile: some\n")
    shutil.copy(ROOT / "packages.yml", tmp_path)
    shutil.copytree(STAND_INS, tmp_path / "offline_packages")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv(packages.HUB_VARIABLE, f"http://127.0.0.1:{port}/")
    for name in ("http_proxy", "https_proxy", "all_proxy", packages.OFFLINE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


class Hub(http.server.BaseHTTPRequestHandler):
    """A fake hub that answers every request with the status `answer`, or not at all."""

    answer = 200

    def do_GET(self):
        """Answer the check; dbt, which reads the body, finds no usable data."""
        if self.answer is None:
            time.sleep(10)
            return
        self.send_response(self.answer)
        self.end_headers()

    def log_message(self, *args):
        """Log nothing."""


@pytest.fixture
def hub(project, monkeypatch) -> Iterator[type[Hub]]:
    """A hub that answers 200; set `hub.answer` to another status, or to None for no answer."""
    handler = type("ThisHub", (Hub,), {})
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listening.daemon_threads = True
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    monkeypatch.setenv(packages.HUB_VARIABLE, f"http://127.0.0.1:{listening.server_port}/")
    yield handler
    listening.shutdown()
    listening.server_close()


def deps_that(monkeypatch, code: str) -> None:
    """Replace `dbt deps` with a Python program, which runs in the project's folder."""
    genuine = subprocess.run

    def run(command, **options):
        assert command[-3:-1] == ["deps", "--project-dir"]
        return genuine([sys.executable, "-c", code], **options)

    monkeypatch.setattr(subprocess, "run", run)


# Simulates a successful `dbt deps`: installs files that differ from the stand-ins, and a lock.
DEPS = """
import pathlib, shutil
shutil.rmtree("dbt_packages", ignore_errors=True)
for name in ("dbt_utils", "dbt_expectations", "dbt_date"):
    folder = pathlib.Path("dbt_packages", name)
    folder.mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: " + name + "  # from the hub")
pathlib.Path("package-lock.yml").write_text("packages: []")
"""


def is_genuine(project: Path) -> bool:
    return "from the hub" in (project / "dbt_packages/dbt_utils/dbt_project.yml").read_text()


def test_without_a_hub_the_stand_ins_are_installed(project):
    assert packages.install(project) == (
        "The dbt hub is unreachable (no connection): installed the stand-ins from "
        "offline_packages/ instead; `make setup` retries the hub."
    )
    macros = list(STAND_INS.rglob("*.sql"))
    assert len(macros) > 10
    for path in macros:
        copied = project / "dbt_packages" / path.relative_to(STAND_INS)
        assert copied.read_bytes() == path.read_bytes()
    # dbt compares the number of folders with packages.yml.
    folders = [path for path in (project / "dbt_packages").iterdir() if path.is_dir()]
    assert len(folders) == 3


def test_a_second_time_nothing_is_copied_until_a_stand_in_changes(project):
    packages.install(project)
    copied = project / "dbt_packages/dbt_utils/macros/accepted_range.sql"
    before = copied.stat().st_ino
    assert "kept the stand-ins from offline_packages/" in packages.install(project)
    assert copied.stat().st_ino == before

    source = project / "offline_packages/dbt_utils/macros/accepted_range.sql"
    source.write_text(source.read_text() + "\n")
    (project / "offline_packages/dbt_utils/macros/date_spine.sql").unlink()
    assert "installed the stand-ins" in packages.install(project)
    assert copied.read_bytes() == source.read_bytes()
    assert not (project / "dbt_packages/dbt_utils/macros/date_spine.sql").exists()


def test_a_folder_that_is_gone_comes_back(project):
    packages.install(project)
    shutil.rmtree(project / "dbt_packages/dbt_date")
    assert "installed the stand-ins" in packages.install(project)
    assert (project / "dbt_packages/dbt_date/dbt_project.yml").is_file()


def test_offline_asks_nobody(project, hub, monkeypatch):
    monkeypatch.setenv(packages.OFFLINE_VARIABLE, "1")
    deps_that(monkeypatch, "raise SystemExit('asked')")
    said = packages.install(project)
    assert said.startswith("Skipped the dbt hub (WAREHOUSE_OFFLINE is set): installed")


def test_a_hub_that_is_there_wins_over_stand_ins(project, hub, monkeypatch):
    hub.answer = 503
    assert "it answered 503" in packages.install(project)
    assert not is_genuine(project)

    hub.answer = 200
    deps_that(monkeypatch, DEPS)
    assert packages.install(project) == "dbt packages from the hub: installed."
    assert is_genuine(project)

    # Nothing changed, so neither the hub nor `dbt deps` is called.
    deps_that(monkeypatch, "raise SystemExit('asked')")
    hub.answer = 503
    assert packages.install(project) == "dbt packages from the hub: already installed."


def test_packages_of_the_hub_are_never_replaced_by_stand_ins(project, hub, monkeypatch):
    deps_that(monkeypatch, DEPS)
    packages.install(project)
    (project / "packages.yml").write_text((project / "packages.yml").read_text() + "\n")
    hub.answer = 503
    assert packages.install(project).endswith(
        "(it answered 503 Service Unavailable): left dbt_packages/ as it is."
    )
    assert is_genuine(project)


def test_packages_that_somebody_installed_by_hand_stay(project):
    for name in parity.NAMES:
        folder = project / "dbt_packages" / name
        folder.mkdir(parents=True)
        (folder / "dbt_project.yml").write_text(f"name: {name}  # from the hub")
    assert "left dbt_packages/ as it is" in packages.install(project)
    assert is_genuine(project)


def test_changed_packages_are_fetched_again(project, hub, monkeypatch):
    deps_that(monkeypatch, DEPS)
    packages.install(project)
    (project / "packages.yml").write_text((project / "packages.yml").read_text() + "\n")
    assert packages.install(project) == "dbt packages from the hub: installed."


def test_a_failing_dbt_deps_leaves_stand_ins_and_no_lock(project, hub, monkeypatch):
    """The hub answers, the host of the archives does not, and dbt deps has emptied the folder."""
    deps_that(monkeypatch, DEPS + "shutil.rmtree('dbt_packages')\nraise SystemExit('no archive')")
    said = packages.install(project)
    assert said.startswith("The dbt hub answers, but `dbt deps` failed (no archive): installed")
    assert not is_genuine(project)
    assert not (project / "package-lock.yml").exists()


def test_a_failing_dbt_deps_leaves_the_lock_that_was_there(project, hub, monkeypatch):
    (project / "package-lock.yml").write_text("the lock of before")
    deps_that(monkeypatch, DEPS + "shutil.rmtree('dbt_packages')\nraise SystemExit(1)")
    packages.install(project)
    assert (project / "package-lock.yml").read_text() == "the lock of before"


def test_a_dbt_deps_that_hangs_is_ended(project, hub, monkeypatch):
    monkeypatch.setattr(packages, "INSTALL_SECONDS", 1)
    deps_that(monkeypatch, "import time; time.sleep(60)")
    started = time.monotonic()
    assert "`dbt deps` did not finish within 1 s" in packages.install(project)
    assert time.monotonic() - started < 10


def test_a_silent_hub_takes_seconds(project, hub):
    hub.answer = None
    started = time.monotonic()
    assert "no answer within 3 s" in packages.install(project)
    assert time.monotonic() - started < packages.CHECK_SECONDS + 1


def test_a_lookup_that_hangs_takes_seconds(project, monkeypatch):
    released = threading.Event()

    def hang(*args, **more):
        released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(packages, "CHECK_SECONDS", 1)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setenv(packages.HUB_VARIABLE, "http://hub.invalid/")
    started = time.monotonic()
    try:
        assert "no answer within 1 s" in packages.install(project)
        assert time.monotonic() - started < 3
    finally:
        released.set()  # otherwise the lookup thread would outlive the test


def test_an_unknown_name_and_a_closed_proxy_are_told_apart(project, monkeypatch):
    def unknown(*args, **more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    closed = os.environ[packages.HUB_VARIABLE]
    monkeypatch.setenv("HTTP_PROXY", closed)
    monkeypatch.setenv(packages.HUB_VARIABLE, "http://hub.invalid/")
    assert "(refused by the proxy)" in packages.install(project)
    monkeypatch.delenv("HTTP_PROXY")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "(DNS lookup failed)" in packages.install(project)


def test_the_proxy_of_the_environment_is_asked(project, hub, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", os.environ[packages.HUB_VARIABLE])
    monkeypatch.setenv(packages.HUB_VARIABLE, "http://hub.invalid/")
    deps_that(monkeypatch, DEPS)
    assert packages.install(project) == "dbt packages from the hub: installed."


def test_a_package_without_a_stand_in_is_named(project):
    path = project / "packages.yml"
    path.write_text(path.read_text() + "  - package: somebody/some_package\n    version: 1.0.0\n")
    with pytest.raises(WarehouseError, match=r"unreachable .* no stand-in for some_package"):
        packages.install(project)


@pytest.mark.parametrize("content", ["packages: 3", "packages:\n  - git: x\n", "a: [", ""])
def test_an_unreadable_packages_file_is_named(project, content):
    (project / "packages.yml").write_text(content)
    with pytest.raises(WarehouseError, match=r"Cannot read .*packages\.yml"):
        packages.install(project)


def test_a_missing_packages_file_is_named(project):
    (project / "packages.yml").unlink()
    with pytest.raises(WarehouseError, match=r"There is no .*packages\.yml"):
        packages.install(project)


def test_the_command_says_one_line_and_no_traceback(project):
    command = [sys.executable, "-m", "warehouse.setup.packages"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")

    (project / "packages.yml").unlink()
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("There is no")
