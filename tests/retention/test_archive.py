"""The archive: rows come back exactly, and a failure leaves them in the database."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.retention import support
from tests.retention.support import manifest_of, plan_json, retain, sessions_of
from tests.support.database import ask, do, fetch, new_database
from tests.support.dbt_project import ROOT
from warehouse.errors import WarehouseError
from warehouse.retention import archive, leave, recall, rows, store
from warehouse.retention.columns import columns_of
from warehouse.retention.policy import Hold, make_plan

COUNT = 400
OLD = "at < '2026-02-01'"
OLD_ROWS = 107


@pytest.fixture(scope="module")
def kept(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path, Any]]:
    """A built database as a template, its project and its plan."""
    project = support.write_kept_project(tmp_path_factory.mktemp("kept") / "project")
    with new_database(server, name="kept") as made:
        do(made, support.GIVEN.replace("%(count)s", str(COUNT)).replace("%%", "%"))
        support.build(made, project)
        plan = make_plan(plan_json(made, project))
        with new_database(server, template="kept", name="kept_template"):
            yield made, project, plan


@pytest.fixture
def database(server: Any, kept: Any) -> Iterator[Any]:
    """A copy of the built database, of the same name, so that its plan applies."""
    reset(server)
    yield kept[0]


def reset(server: Any) -> None:
    """Make the database what it was."""
    with server.connect("postgres") as session:
        session.execute("drop database kept with (force)")
        session.execute("create database kept template kept_template strategy file_copy")


@pytest.fixture
def plan(kept: Any) -> Any:
    """What the tables keep."""
    return kept[2]


def of_model(plan: Any, name: str, **changes: Any) -> Any:
    """The plan of one table, with changes of its policy."""
    (policy,) = (policy for policy in plan.policies if policy.model == name)
    return dataclasses.replace(plan, policies=[dataclasses.replace(policy, **changes)])


def all_rows(database: Any, relation: str, where: str = "true") -> list[str]:
    """The rows as text, in the order of their id."""
    return [
        row[0]
        for row in fetch(
            database, f"select held::text from {relation} as held where {where} order by id"
        )
    ]


@pytest.mark.parametrize("model", ["by_month", "flat"])
def test_rows_come_back_exactly(
    database: Any, plan: Any, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several batches, files and pieces."""
    monkeypatch.setattr(archive, "BATCH_ROWS", 20)
    monkeypatch.setattr(archive, "FILE_BYTES", 15_000)
    monkeypatch.setattr(rows, "BATCH_ROWS", 40)
    of_this = of_model(plan, model)
    relation = f"marts.{model}"
    before = all_rows(database, relation)
    old = all_rows(database, relation, OLD)
    assert len(old) == OLD_ROWS

    steps, failures = retain(database, of_this, tmp_path)
    assert failures == []
    assert [(step.move, step.row_count) for step in steps] == [("hot to archive", OLD_ROWS)]
    assert all_rows(database, relation) == before[OLD_ROWS:]
    with sessions_of(database, of_this) as sessions:
        files = archive.archived_files(sessions.main)
        assert len(files) >= 3
        assert sum(file.row_count for file in files) == OLD_ROWS
        folder = Path(files[0].file).parent
        assert folder == tmp_path / "kept" / "marts" / model
        listed = manifest_of(folder)
        assert [(each["file_id"], each["checksum"]) for each in listed] == [
            (file.file_id, file.checksum) for file in files
        ]
        assert {each["archived_at"][:10] for each in listed} == {
            file.archived_at[:10] for file in files
        }
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            [*(each["file"] for each in listed), "manifest.json"]
        )
        for path in folder.iterdir():
            assert path.stat().st_mode & 0o077 == 0  # personal data
        sessions.main.commit()
        until = datetime.now(UTC) + timedelta(days=30)
        for _ in range(2):
            assert recall.bring_back(
                sessions.main, of_this.policies, Hold("", "2026-01", "2026-01"), until
            ) == len(files)
    names = ", ".join(column.name for column in files[0].columns)
    assert all_rows(database, f"(select {names} from recalled.{model})") == old
    assert ask(
        database,
        "select array_agg(format_type(atttypid, atttypmod) order by attnum) from pg_attribute"
        f" where attrelid = 'recalled.{model}'::regclass and attnum > 1",
    ) == ask(
        database,
        "select array_agg(format_type(atttypid, atttypmod) order by attnum) from pg_attribute"
        f" where attrelid = '{relation}'::regclass and attnum > 0",
    )

    # A second run has nothing to do; rows that were recalled go when their time is over.
    assert retain(database, of_this, tmp_path) == ([], [])
    do(database, "update observability.archived_files set recalled_until = now()")
    (step,), failures = retain(database, of_this, tmp_path)
    assert (step.move, step.row_count, failures) == ("recalled to archive", OLD_ROWS, [])
    assert ask(database, f"select to_regclass('recalled.{model}')") is None


def test_a_full_refresh_restores_nothing(database: Any, kept: Any, tmp_path: Path) -> None:
    _, project, plan = kept
    left = {
        model: all_rows(database, f"marts.{model}", f"not {OLD}") for model in ("by_month", "flat")
    }
    assert retain(database, plan, tmp_path)[1] == []
    support.build(database, project)
    for model, expected in left.items():
        assert all_rows(database, f"marts.{model}") == expected
    assert ask(database, "select count(*), sum(row_count) from observability.archived_files") == [
        (2, 2 * OLD_ROWS)
    ]
    # The keys are logged, so that readers recompute.
    assert (
        ask(
            database,
            "select count(*) from observability.key_changes where changed_keys is not null",
        )
        == 2 * OLD_ROWS
    )


def test_duckdb_reads_the_files(database: Any, plan: Any, tmp_path: Path) -> None:
    """Infinities as its own, amounts with their scale."""
    import duckdb

    assert retain(database, of_model(plan, "by_month"), tmp_path)[1] == []
    pattern = str(tmp_path / "kept" / "marts" / "by_month" / "*.parquet")
    query = (
        "select count(*), sum(amount), count(*) filter (where moment = 'infinity'),"
        " count(*) filter (where moment = '-infinity'), count(*) filter (where day = 'infinity')"
        " from {}"
    )
    found = duckdb.sql(query.format(f"read_parquet('{pattern}')")).fetchall()
    assert found == ask(database, query.format(f"public.given where {OLD}"))


def test_the_guide_reads_the_files_that_count(database: Any, plan: Any, tmp_path: Path) -> None:
    """Not what a killed run left beside them."""
    import duckdb

    assert retain(database, of_model(plan, "by_month"), tmp_path)[1] == []
    folder = tmp_path / "kept" / "marts" / "by_month"
    (file,) = folder.glob("*.parquet")
    shutil.copy(file, folder / "left_over.parquet")
    guide = (ROOT / "docs" / "retention.md").read_text()
    (text,) = re.findall(r"```sql\n(set variable .*?)```", guide, re.DOTALL)
    text = text.replace("archive/warehouse/marts/fct_user_events", str(folder))
    text = text.replace("event_timestamp", '"at"')
    session = duckdb.connect()
    ((month, count),) = session.execute(text).fetchall()
    assert (month.date().isoformat(), count) == ("2026-01-01", OLD_ROWS)


class Killed(BaseException):
    """The process ends here."""


def killed_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Kill the run before its statement of this number, counted from 1."""
    seen = 0
    real = psycopg.Connection.execute

    def execute(session: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == number:
            raise Killed
        return real(session, *arguments, **more)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)


def assert_nothing_is_lost(
    database: Any, of_this: Any, model: str, folder: Path, before: list[str]
) -> None:
    """Each row is in the table or in one file that counts, and there are no other files."""
    with sessions_of(database, of_this) as sessions:
        files = archive.archived_files(sessions.main)
        for file in files:
            archive.verify(file)
        until = datetime.now(UTC) + timedelta(days=1)
        recall.bring_back(sessions.main, of_this.policies, Hold(""), until)
        sessions.main.commit()
    names = ", ".join(column.name for column in files[0].columns)
    everywhere = (
        f"(select {names} from recalled.{model} union all select {names} from marts.{model})"
    )
    assert all_rows(database, everywhere) == before
    listed = {Path(file.file).name for file in files}
    assert {path.name for path in folder.rglob("*.parquet*")} == listed


@pytest.mark.parametrize(
    ("model", "first", "step"),
    [
        pytest.param("by_month", 3, 9, id="partition"),
        pytest.param("flat", 6, 9, id="rows"),
        pytest.param("by_month", 1, 1, marks=pytest.mark.long, id="partition-everywhere"),
        pytest.param("flat", 1, 1, marks=pytest.mark.long, id="rows-everywhere"),
    ],
)
def test_killed_anywhere_nothing_is_lost(
    server: Any, kept: Any, tmp_path: Path, model: str, first: int, step: int
) -> None:
    """Before any of its statements; the next run finishes."""
    made, _, plan = kept
    of_this = of_model(plan, model)
    number, is_killed = first, True
    while is_killed:
        reset(server)
        before = all_rows(made, f"marts.{model}")
        folder = tmp_path / str(number)
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, number)
            try:
                is_killed = False
                retain(made, of_this, folder)
            except Killed:
                is_killed = True
        assert retain(made, of_this, folder)[1] == []
        assert_nothing_is_lost(made, of_this, model, folder, before)
        number += step
    assert number > 20


def test_a_damaged_file_stops_the_drop(
    database: Any, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows stay, and the next run begins again."""
    of_this = of_model(plan, "by_month")
    before = all_rows(database, "marts.by_month")
    real = store._flush

    def damaged(path: Path) -> None:
        if path.suffix == store.UNFINISHED and ".parquet" in path.name:
            table = pq.read_table(path)
            position = table.column_names.index("amount")
            changed = pc.add(table.column(position), pa.scalar(1, table.schema.types[position]))
            table = table.set_column(
                position, table.field(position), changed.cast(table.schema.types[position])
            )
            pq.write_table(table, path, compression="zstd")
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(store, "_flush", damaged)
        _, (failure,) = retain(database, of_this, tmp_path)
    assert "rows with the checksum" in failure
    assert "cannot be relied on" in failure
    assert all_rows(database, "marts.by_month") == before
    with sessions_of(database, of_this) as sessions:
        assert archive.archived_files(sessions.main) == []
    assert retain(database, of_this, tmp_path)[1] == []
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert len(all_rows(database, "marts.by_month")) == len(before) - OLD_ROWS


def test_a_store_that_fails_leaves_the_rows(
    database: Any, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_this = of_model(plan, "by_month")
    before = all_rows(database, "marts.by_month")
    (tmp_path / "file").write_text("not a folder")
    _, (failure,) = retain(database, of_this, tmp_path / "file")
    assert "could not be written: " in failure

    def full(path: Path) -> None:
        if "manifest" in path.name:
            return
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(store, "_flush", full)
        _, (failure,) = retain(database, of_this, tmp_path)
    assert "No space left on device" in failure
    assert list(tmp_path.rglob("*.part")) == []

    _, failures = retain(database, of_this, "nowhere://bucket/archive")
    assert "nowhere://bucket/archive" in failures[-1]
    assert all_rows(database, "marts.by_month") == before


def test_rows_that_changed_meanwhile_stop_the_drop(
    database: Any, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_this = of_model(plan, "by_month")
    real = leave.drop

    def late(session: Any, part: Any, files: Any) -> None:
        do(database, "update marts.by_month set small = small + 1 where id = 3")
        real(session, part, files)

    with monkeypatch.context() as patch:
        patch.setattr(leave, "drop", late)
        _, (failure,) = retain(database, of_this, tmp_path)
    assert "changed while it was archived: it has 107 rows" in failure
    assert ask(database, f"select count(*) from marts.by_month where {OLD}") == OLD_ROWS
    assert retain(database, of_this, tmp_path)[1] == []


def test_a_hold_stops_every_step(database: Any, plan: Any, tmp_path: Path) -> None:
    """In the database and in the archive; other months go on."""
    held = Hold("case 17", "2026-01", "2026-01")
    for model in ("by_month", "flat"):
        of_this = of_model(plan, model, holds=(held,))
        before = all_rows(database, f"marts.{model}")
        (step,), failures = retain(database, of_this, tmp_path)
        assert (step.apply, step.why, failures) == (None, "held: case 17", [])
        (step, other), failures = retain(
            database, of_this, tmp_path, datetime(2026, 4, 15, tzinfo=UTC)
        )
        assert (step.apply, other.move, failures) == (None, "hot to archive", [])
        assert all_rows(database, f"marts.{model}") == before[:OLD_ROWS] + all_rows(
            database, f"marts.{model}", "at >= '2026-03-01'"
        )
    of_this = of_model(plan, "flat", holds=(Hold("case 18"),))
    far = datetime(2036, 4, 15, tzinfo=UTC)
    steps, failures = retain(database, of_this, tmp_path, far)
    assert {step.why for step in steps} == {"held: case 18"}
    assert "archive to delete" in {step.move for step in steps}
    assert failures == []
    assert list(tmp_path.rglob("flat/*.parquet"))


def test_a_held_month_survives_a_full_refresh(database: Any, kept: Any, tmp_path: Path) -> None:
    """Months before and after it are gone, and its late rows are kept."""
    _, project, plan = kept
    of_this = of_model(plan, "by_month", holds=(Hold("case 17", "2026-02", "2026-02"),))
    retain(database, of_this, tmp_path, datetime(2026, 5, 15, tzinfo=UTC))
    left = all_rows(database, "marts.by_month")
    assert {row.split(",")[1][1:8] for row in left} == {"2026-02", "2026-04"}
    support.build(database, project)
    assert all_rows(database, "marts.by_month") == left


def test_archived_files_end_too(database: Any, plan: Any, tmp_path: Path) -> None:
    of_this = of_model(plan, "by_month")
    retain(database, of_this, tmp_path)
    (path,) = tmp_path.rglob("*.parquet")
    (step, *_), failures = retain(database, of_this, tmp_path, datetime(2027, 2, 2, tzinfo=UTC))
    assert (step.move, failures) == ("hot to archive", [])
    steps, failures = retain(database, of_this, tmp_path, datetime(2027, 2, 2, tzinfo=UTC))
    assert (steps, failures) == ([], [])
    assert not path.exists()
    assert str(path) not in [each["file"] for each in manifest_of(path.parent)]
    assert ask(
        database,
        "select deleted_because, deleted_at is not null, row_count, file_to_delete"
        " from observability.archived_files where file is null",
    ) == [("hot 1 months, archive 12 months", True, OLD_ROWS, None)]


def test_a_file_can_be_rewritten(database: Any, plan: Any, tmp_path: Path) -> None:
    """As an erasure does; again and again, with the same result."""
    of_this = of_model(plan, "by_month")
    retain(database, of_this, tmp_path)
    with sessions_of(database, of_this) as sessions:
        session = sessions.main
        (file,) = archive.archived_files(session)
        assert "note" in [column.name for column in file.columns]
        until = datetime.now(UTC) + timedelta(days=1)
        recall.bring_back(session, of_this.policies, Hold("", "2026-01", "2026-01"), until)

        def without_seventh(table: pa.Table) -> pa.Table | None:
            wanted = pc.invert(table["is_seventh"])
            return table.filter(wanted) if not pc.all(wanted).as_py() else None

        assert archive.rewrite_archived(session, file.file_id, without_seventh)
        assert not archive.rewrite_archived(session, file.file_id, without_seventh)
        (after,) = archive.archived_files(session)
        archive.verify(after)
        session.commit()
        assert after.file_id == file.file_id
        assert after.row_count == ask(
            database, f"select count(*) from public.given where {OLD} and not is_seventh"
        )
        assert [path.name for path in tmp_path.rglob("*.parquet")] == [Path(after.file).name]
        (listed,) = manifest_of(Path(after.file).parent)
        assert (listed["row_count"], listed["checksum"]) == (after.row_count, after.checksum)
        # Recalled rows hold what was erased.
        assert ask(database, "select to_regclass('recalled.by_month')") is None
        recall.bring_back(session, of_this.policies, Hold("", "2026-01", "2026-01"), until)
        assert ask(database, "select count(*) from recalled.by_month") == after.row_count

        with pytest.raises(WarehouseError, match=r"returned the columns id int32; allowed are"):
            archive.rewrite_archived(session, file.file_id, lambda table: table.select(["id"]))
        with pytest.raises(WarehouseError, match="no archived file with the file_id 999"):
            archive.rewrite_archived(session, 999, lambda table: None)


def test_a_foreign_manifest_is_not_overwritten(database: Any, plan: Any, tmp_path: Path) -> None:
    of_this = of_model(plan, "by_month")
    folder = tmp_path / "kept" / "marts" / "by_month"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"files": [{"file": "theirs.parquet"}]}')
    _, (failure,) = retain(database, of_this, tmp_path)
    assert "does not know, such as" in failure
    assert "theirs.parquet" in failure
    assert len(all_rows(database, "marts.by_month")) == COUNT + 1


def test_a_value_that_parquet_cannot_hold_is_stored_as_text(database: Any) -> None:
    do(
        database,
        "create table public.odd (amount numeric(10, 2), fine numeric(10, 2), at timestamptz)",
        "insert into public.odd values ('NaN', 1, '294276-12-31 23:59:59+00'), (2, 3, now())",
    )
    with database.connect() as session:
        stored = [column.stored for column in columns_of(session, "public.odd")]
    assert stored == ["string", "decimal(10,2)", "string"]
