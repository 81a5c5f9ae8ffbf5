"""The archive in S3, with a server that speaks its protocol; `make test-s3` runs this."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.retention import support
from tests.retention.support import plan_json, retain, sessions_of
from tests.support.database import ask, do, fetch, new_database
from warehouse.retention import archive, recall, store
from warehouse.retention.policy import Hold, make_plan

moto = pytest.importorskip("moto.server", reason="needs requirements/moto.txt: make test-s3")

LOCATION = "s3://archive/of/warehouse"
OLD_ROWS = 107


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server with a bucket; the environment has what a client needs to reach it."""
    import s3fs

    service = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    service.start()
    host, port = service.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # It keeps its clients, and with them the address of another test's server.
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().makedirs("archive", exist_ok=True)
    yield service
    service.stop()


@pytest.fixture(scope="module")
def kept(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """A built database, and the plan of a table by month."""
    project: Path = support.write_kept_project(tmp_path_factory.mktemp("kept") / "project")
    with new_database(server, name="kept_s3") as made:
        do(made, support.GIVEN.replace("%(count)s", "400").replace("%%", "%"))
        support.build(made, project)
        plan = make_plan(plan_json(made, project))
        plan.policies[:] = [each for each in plan.policies if each.model == "by_month"]
        yield made, plan


def rows_of(database: Any, relation: str) -> list[str]:
    """The rows as text."""
    return [
        row[0] for row in fetch(database, f"select held::text from {relation} as held order by id")
    ]


def objects() -> set[str]:
    """The names of the objects in the store, without its folders."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    return {name.rpartition("/")[2] for name in s3fs.S3FileSystem().find("archive")}


def test_a_server_that_stopped_leaves_the_rows(kept: Any, bucket: Any) -> None:
    made, plan = kept
    before = rows_of(made, "marts.by_month")
    _, (failure,) = retain(made, plan, "s3://no-such-bucket/archive")
    assert "s3://no-such-bucket/archive/kept_s3/marts/by_month/manifest.json" in failure
    assert "could not be written" in failure
    bucket.stop()
    _, (failure,) = retain(made, plan, LOCATION)
    assert f"{LOCATION}/kept_s3/marts/by_month/manifest.json could not be " in failure
    assert rows_of(made, "marts.by_month") == before


def test_rows_go_to_the_store_and_come_back(kept: Any, bucket: Any) -> None:
    made, plan = kept
    everything = rows_of(made, "marts.by_month")
    steps, failures = retain(made, plan, LOCATION)
    assert ([(step.move, step.row_count) for step in steps], failures) == (
        [("hot to archive", OLD_ROWS)],
        [],
    )
    assert rows_of(made, "marts.by_month") == everything[OLD_ROWS:]
    until = datetime.now(UTC) + timedelta(days=1)
    with sessions_of(made, plan) as sessions:
        session = sessions.main
        (file,) = archive.archived_files(session)
        session.commit()
        assert file.file.startswith(f"{LOCATION}/kept_s3/marts/by_month/2026-01-01_2026-02-01_")
        assert objects() == {"manifest.json", file.file.rpartition("/")[2]}
        archive.verify(file)
        assert recall.bring_back(session, plan.policies, Hold("", "2026-01", "2026-01"), until) == 1
        names = ", ".join(column.name for column in file.columns)
        assert rows_of(made, f"(select {names} from recalled.by_month)") == everything[:OLD_ROWS]

        # As an erasure does.
        assert archive.rewrite_archived(session, file.file_id, lambda table: table.slice(1))
        (changed,) = archive.archived_files(session)
        session.commit()
        assert changed.row_count == OLD_ROWS - 1
        assert objects() == {"manifest.json", changed.file.rpartition("/")[2]}
        manifest = json.loads(store.read(f"{store.folder_of(changed.file)}/manifest.json") or b"")
        assert [each["checksum"] for each in manifest["files"]] == [changed.checksum]
        archive.delete_file(session, "observability", changed, "the test")
    assert objects() == {"manifest.json"}
    assert ask(made, "select count(*) from observability.archived_files where file is null") == 1
