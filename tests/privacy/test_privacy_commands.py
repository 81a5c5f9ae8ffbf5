"""The commands of erasure and export, as a user runs them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.privacy.test_erase import NAMES, a_person, connect
from tests.support.command import warehouse
from tests.support.database import Database, ask, do
from warehouse.errors import WarehouseError
from warehouse.privacy import erase_command, keys, ledger, registry, verify
from warehouse.privacy import export as exporting


def test_the_way_of_a_request(shop: Database, tmp_path: Path) -> None:
    """Plan, hold, release, erase, verify; then the audit trail and the certificate."""
    person = a_person(shop)
    before = ask(shop, "select count(*) from raw.users where user_id like 'erased%'")

    plan = warehouse(shop, "erase", person)
    assert plan.returncode == 0, plan.stderr
    assert "raw.users" in plan.stdout and "--apply erases them" in plan.stdout
    assert ask(shop, "select count(*) from privacy.audit_trail") == before == 0

    assert warehouse(shop, "hold", "add", person, "--reason", "case 7").returncode == 0
    held = warehouse(shop, "erase", person, "--apply")
    assert held.returncode == 1
    assert f"- {person}: case 7 (since " in held.stderr
    assert "case 7" in warehouse(shop, "hold", "list").stdout
    again = warehouse(shop, "hold", "add", person, "--reason", "case 8")
    assert "is held already: case 7" in again.stderr
    assert warehouse(shop, "hold", "release", person).returncode == 0

    file = tmp_path / "certificate.json"
    done = warehouse(shop, "erase", person, "--apply", "--verify", "--certificate", str(file))
    assert done.returncode == 0, done.stderr
    assert "no value of theirs is left" in done.stdout
    certificate = json.loads(file.read_text())
    assert certificate["persons"] == 1
    assert certificate["rows"]["raw.users"] == 1
    assert person not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0

    trail = warehouse(shop, "audit", "show")
    assert [each in trail.stdout for each in ("erase", "hold", "release")] == [True] * 3
    assert person not in trail.stdout
    assert "are as they were written" in warehouse(shop, "audit", "verify").stdout
    do(
        shop,
        "alter table privacy.audit_trail disable trigger all",
        "delete from privacy.audit_trail where action = 'erase'",
    )
    cut = warehouse(shop, "audit", "verify")
    assert cut.returncode == 1 and "tampered with" in cut.stderr


def test_a_build_erases_who_asks(shop: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    person, held = a_person(shop), a_person(shop, 1)
    do(
        shop,
        "delete from raw.erasure_requests",
        *(
            "insert into raw.erasure_requests (request_id, user_id, requested_at, _loaded_at)"
            f" values ('request {place}', '{each}', now(), now())"
            for place, each in enumerate((person, held))
        ),
        f"insert into privacy.legal_holds values ('{held}', 'case 9', 'me', now())",
    )
    monkeypatch.delenv(keys.SECRET_VARIABLE)
    named = keys.FILE_VARIABLE
    with monkeypatch.context() as without:
        without.delenv(named)
        said = warehouse(shop, "build", "--select", "dim_date")
        assert "1 person asks to be erased (raw.erasure_requests)" in said.stderr
        assert ask(shop, f"select count(*) from raw.users where user_id = '{person}'") == 1
    said = warehouse(shop, "build", "--select", "dim_date")
    assert said.returncode == 0, said.stderr
    assert "Erased 1 person who asked for it" in said.stdout
    with connect(shop) as session:
        assert verify.find(session, {person}, NAMES)[0] == {}
        assert verify.find(session, {held}, NAMES)[0] != {}


def test_an_export_has_every_row_of_the_person_and_no_other(
    shop: Database,
    manifest: dict,
    of: keys.Keys,
    tmp_path: Path,
) -> None:
    person = a_person(shop)
    with connect(shop) as session:
        held = registry.read(session, manifest)
        session.rollback()
        found = exporting.export(session, held, person, {})
        again = exporting.export(session, held, person, {})
    assert again.files == found.files
    expected = {
        f"raw.{name}": ask(shop, f"select count(*) from raw.{name} where user_id = '{person}'")
        for name in ("users", "orders", "user_sessions", "consents")
    }
    for name, key in (("order_items", "order_id"), ("payments", "order_id")):
        expected[f"raw.{name}"] = ask(
            shop,
            f"select count(*) from raw.{name} where {key} in"
            f" (select order_id from raw.orders where user_id = '{person}')",
        )
    assert {name: found.rows.get(name, 0) for name in expected} == expected
    file = tmp_path / "person.zip"
    file.write_bytes(found.zipped())
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        page = archive.read("index.html").decode()
        for name in names[1:]:
            rows = json.loads(archive.read(name))
            assert len(rows) == found.rows[name.removesuffix(".json")]
            assert f'href="{name}"' in page
            assert all(row.get("user_id", person) == person for row in rows)
    assert f"<b>{person}</b>" in page


def test_wrong_use_gets_a_sentence(shop: Database, tmp_path: Path) -> None:
    for persons, says in (
        (["5", " "], "A USER_ID is empty"),
        (["erased_p1_00"], "is the key of a person who is erased already"),
    ):
        with pytest.raises(WarehouseError, match=says):
            erase_command.checked(persons)
    failed = warehouse(shop, "erase", "5", "--certificate", "file")
    assert failed.returncode == 1
    assert "--certificate file is allowed only with" in failed.stderr
    out = tmp_path / "none.zip"
    nobody = warehouse(shop, "export", "nobody", "--out", str(out))
    assert "The warehouse holds nothing of nobody" in nobody.stderr
    assert not out.exists()
    assert ledger.read_file(ledger.file_of(shop.name)) == []
