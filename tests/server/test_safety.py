"""Folders that others can write to, links that they plant, and paths that a shell would read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import warehouse
from tests.support.server import FAST
from warehouse import private, project
from warehouse.errors import WarehouseError
from warehouse.server import Server

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def home(short_path: Path) -> Iterator[Path]:
    """A WAREHOUSE_HOME that exists already; its server is stopped at the end."""
    folder = short_path / "home"
    folder.mkdir(mode=0o700)
    yield folder
    with contextlib.suppress(WarehouseError):
        Server(folder).down()


@pytest.mark.parametrize(
    ("link", "name"),
    [
        *(("symbolic", name) for name in ("lock", "server.log", "server.log.1", "run", "data.new")),
        *(("hard", name) for name in ("lock", "server.log", "server.log.1")),
    ],
)
def test_a_planted_link_is_refused(home: Path, name: str, link: str) -> None:
    victim = home.parent / "victim"
    victim.write_text("mine")
    victim.chmod(0o640)
    before = victim.stat()
    if link == "symbolic":
        (home / name).symlink_to(victim)
    else:
        (home / name).hardlink_to(victim)
    server = Server(home, settings=FAST)
    with pytest.raises(WarehouseError, match=f"{home / name} (is a link|has a second name)"):
        server.up() if name != "lock" else server.down()
    after = victim.stat()
    assert victim.read_text() == "mine"
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)


def test_a_folder_that_all_can_write_to_is_refused(home: Path) -> None:
    home.chmod(0o777)
    for act in (Server(home).up, Server(home).down):
        with pytest.raises(WarehouseError, match=f"All users can write to the folder {home}"):
            act()
    assert [*home.iterdir()] == []


@only_root
def test_what_belongs_to_another_user_is_refused(home: Path, monkeypatch) -> None:
    os.chown(home, 12345, -1)
    with pytest.raises(WarehouseError, match=r"belongs to another user \(id 12345\)"):
        Server(home).up()
    assert [*home.iterdir()] == []
    link = home.parent / "link"
    link.symlink_to(home.parent)
    os.chown(link, 12345, -1, follow_symlinks=False)
    monkeypatch.setenv("WAREHOUSE_HOME", str(link))
    with pytest.raises(WarehouseError, match="is a link of another user"):
        project.home()


@pytest.mark.parametrize(
    "name",
    [
        "$(touch planted)",
        "`touch planted`",
        'a"b',
        "a'b",
        "a,b",
        "a\\b",
        "a\nb",
        "a%sb",
        "a;b",
        "a\x7fb",
    ],
)
def test_an_odd_path_is_refused_by_name(
    short_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(short_path)
    with pytest.raises(WarehouseError, match=r"has the characters .*: allowed are letters, digits"):
        Server(short_path / name).up()
    assert [*short_path.iterdir()] == []


def test_spaces_and_letters_of_all_languages_work(short_path: Path) -> None:
    home = short_path / "größe 1 +@=:~.-_" / "home"
    try:
        started = warehouse(None, "up", WAREHOUSE_HOME=str(home))
        assert started.returncode == 0, started.stderr
        asked = warehouse(None, "psql", "-AtXc", "show data_directory", WAREHOUSE_HOME=str(home))
        assert asked.stdout == f"{home / 'data'}\n", asked.stderr
        # The folder and what is in it are for its owner only.
        for path in (home, home / "lock", home / "server.log", home / "run"):
            assert path.stat().st_mode & 0o067 == 0, path
    finally:
        Server(home).down()


def test_private_files(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        folder = tmp_path / "a" / "b"
        private.make_folder(folder)
        private.write_text(folder / "text", "x")
        private.create(folder / "empty")
    finally:
        os.umask(previous)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"a": 0o700, "b": 0o700, "text": 0o600, "empty": 0o600}
    (folder / "link").symlink_to(folder / "text")
    with pytest.raises(OSError, match="symbolic link"):
        private.write_text(folder / "link", "y")


def test_a_sample_is_for_its_owner_only(tmp_path: Path) -> None:
    out = tmp_path / "new" / "sample"
    for kind in ("csv.gz", "parquet"):
        said = warehouse(
            None, "sample", "--users", "20", "--days", "5", "--loads", "2", "--overwrite",
            "--format", kind, "--out", str(out),
        )  # fmt: skip
        assert said.returncode == 0, said.stderr
        found = [out.parent, *out.parent.rglob("*")]
        assert len(found) > 20
        assert [path for path in found if path.stat().st_mode & 0o077] == []
