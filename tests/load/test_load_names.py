"""Which files of a folder a load reads, and which names it knows."""

from __future__ import annotations

import os
import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.load.test_load_files import fetch, one, quarantined, refused
from tests.support.files import write
from warehouse.load import Reporter

USER = "user_id,email\n"


def keys(connection) -> list[str]:
    return [key for (key,) in fetch(connection, "select user_id from raw.users order by 1")]


def test_capitals_of_json_keys_do_not_matter(connection, tmp_path) -> None:
    good = "".join(f'{{"user_id": "{n}", "email": "e"}}\n' for n in range(20))
    write(
        tmp_path,
        "users.jsonl",
        good + '{"USER_ID": "a", "Email": "x", " country": "DE"}\n'
        '{"user_id": "b", "email": "1", "Email": "2"}\n{"user_id": "c", "email": 1, "email": 2}\n',
    )
    report = Reporter()
    assert one(tmp_path, connection, max_rejected=20, report=report) == {
        "read": 23,
        "new": 21,
        "rejected": 2,
    }
    rows = fetch(connection, "select email, country from raw.users where user_id = 'a'")
    assert rows == [("x", "DE")]
    assert [row[2:4] for row in quarantined(connection)] == [
        (22, "the key email 2 times: email, Email"),
        (23, "the key email 2 times: email, email"),
    ]
    assert "ignored columns" not in "".join(report.warnings)


def test_unknown_keys_late_in_a_file_are_named(connection, tmp_path) -> None:
    lines = "".join(f'{{"user_id": "{n}"}}\n' for n in range(1_500))
    write(tmp_path, "users.jsonl", '{"user_id": "x", "early": 1}\n' + lines +
          '{"user_id": "y", "late": 1, "Email": "e"}\n')  # fmt: skip
    report = Reporter()
    one(tmp_path, connection, report=report)
    assert [text for text in report.warnings if "ignored" in text] == [
        "users: ignored columns that are not in the contract: early.",
        "users: ignored columns that are not in the contract: late.",
    ]
    assert fetch(connection, "select email from raw.users where user_id = 'y'") == [("e",)]


def test_unfinished_and_hidden_files_are_left_out(connection, tmp_path) -> None:
    write(tmp_path, "users/part-0.csv", f"{USER}1,a\n")
    for name in ("users/_temporary/part-0.csv", "users/.staging/x.csv", "users/_x.csv",
                 "users/a/.x.csv", "_users.csv", ".users.csv", "_users/x.csv"):  # fmt: skip
        write(tmp_path, name, f"{USER}ghost,x\n")
    report = Reporter()
    assert one(tmp_path, connection, report=report) == {"read": 1, "new": 1}
    notes = " ".join(report.notes)
    for name in ("users/_temporary", "users/.staging", "users/_x.csv", "users/a/.x.csv",
                 "_users.csv", ".users.csv", "_users"):  # fmt: skip
        assert name in notes


def test_columns_of_partition_folders_are_read(connection, tmp_path) -> None:
    folders = {"country=DE/day=1": "1", "country=__HIVE_DEFAULT_PARTITION__/day=2": "2"}
    for folder, key in folders.items():
        (tmp_path / "users" / folder).mkdir(parents=True)
        table = pa.table({"user_id": [key], "email": ["e"]})
        pq.write_table(table, tmp_path / "users" / folder / "part-0.parquet")
    write(tmp_path, "users/country=A%20B/x.jsonl", '{"user_id": "3", "email": "e"}\n')
    report = Reporter()
    assert one(tmp_path, connection, report=report) == {"read": 3, "new": 3}
    rows = fetch(connection, "select user_id, country from raw.users order by 1")
    assert rows == [("1", "DE"), ("2", None), ("3", "A B")]
    assert "users: ignored columns that are not in the contract: day." in report.warnings


def test_links_are_followed_but_not_in_circles(connection, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere, "x.csv", f"{USER}1,a\n")
    data = tmp_path / "data"
    write(data, "users/a.csv", f"{USER}2,b\n")
    (data / "users/linked").symlink_to(elsewhere)
    (data / "users/circle").symlink_to(data / "users")
    report = Reporter()
    assert one(data, connection, report=report) == {"read": 2, "new": 2}
    assert report.notes == ["Ignored users/circle/: a link to a folder that contains it."]


@pytest.mark.parametrize("name", ["users.csv", "users/a.csv"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("dangling", "is a link to nowhere, which does not exist"),
        ("circle", "is a link to .*, which does not exist"),
        ("pipe", "is a pipe, a socket or a device"),
        ("socket", "is a pipe, a socket or a device"),
        ("device", "is a pipe, a socket or a device"),
        ("secret", "cannot be read: Permission denied"),
    ],
)
def test_what_cannot_be_read_is_an_error(
    connection, tmp_path, monkeypatch, name, kind, said
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "circle":
        path.symlink_to(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(name)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        write(tmp_path, name, USER)
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("root may read everything")
    refused(tmp_path, connection, f"{name} {said}")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("users.jsonl", '{"user_id": "1"}\n'.encode("utf-16"), "is not UTF-8 text"),
        ("users.csv", "user_id\n1\n".encode("utf-16-le"), "is not UTF-8 text"),
        ("users.csv", b"\x1f\x8b\x08\0", "is compressed; let its name end in .gz"),
    ],
)
def test_text_in_another_form_is_an_error(connection, tmp_path, name, data, said) -> None:
    write(tmp_path, name, data)
    refused(tmp_path, connection, f"{name} {said}")
