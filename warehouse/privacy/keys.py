"""The keys of pseudonyms: where they lie, and how a session of PostgreSQL gets them.

A pseudonym is `p1_` and half of HMAC-SHA256(key of version 1, "purpose:value"). Without the key
nobody can compute the pseudonyms of all phone numbers and compare them; so the key is in no table,
no SQL text and no argument of a command. It lies in a file that only its owner can read:

    {"current": 2, "versions": {"1": "64 hex digits or more", "2": "..."}}

`WAREHOUSE_PII_KEY_FILE` names the file; default `pii_keys.json` in the folder of the embedded
server. Who loses it can never compute the same pseudonyms again, so back it up, but not where the
database's backups are.

A session gets the keys as the setting `warehouse.pii_pads` when it connects; dbt's sessions through
`SECRET_VARIABLE`, which profiles.yml appends to the options of a session. dbt refuses this variable
in models, and replaces its value in all output by *****. What can show the keys nevertheless:

- `show`, `current_setting` and `pg_settings`, to whoever writes the SQL of that session. A failing
  cast of the setting puts it into PostgreSQL's error message and log.
- `set warehouse.pii_pads = ...` and `alter role ... set`: PostgreSQL logs these texts, and stores
  the second one. Pass the setting when connecting instead.
- `target.search_path`, or all of `target`, in a model or macro: dbt writes it into `target/`.
- PGOPTIONS: dbt stores variables without its prefix in target/partial_parse.msgpack, `dbt debug`
  prints this one and logs it, and a model can read it.
- A connection over the network without TLS.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from warehouse import private, project
from warehouse.errors import WarehouseError

FILE_VARIABLE = "WAREHOUSE_PII_KEY_FILE"
FILE_NAME = "pii_keys.json"
SETTING = "warehouse.pii_pads"
# dbt keeps variables with this prefix out of models and logs.
SECRET_VARIABLE = "DBT_ENV_SECRET_PII_PADS"  # noqa: S105 - only the name

BLOCK_BYTES = 64  # of SHA-256
KEY_BYTES = 32
DIGITS = 32
# The options of a connection have to fit into 10,000 bytes.
MOST_VERSIONS = 30
_PURPOSE = re.compile("[a-z][a-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Keys:
    """The keys by their version.

    Attributes:
        current: the version that new pseudonyms get.
        versions: the key of each version, the current one included.
    """

    current: int
    versions: Mapping[int, bytes] = dataclasses.field(repr=False)


def key_file() -> Path:
    """The file of the keys."""
    named = os.environ.get(FILE_VARIABLE)
    return Path(named).expanduser().absolute() if named else project.home() / FILE_NAME


def pseudonym(
    value: str | None, purpose: str, keys: Keys | None = None, version: int | None = None
) -> str | None:
    """The pseudonym that the SQL functions of macros/sql/pseudonyms.sql compute.

    Args:
        value: the value; None gives None.
        purpose: what the pseudonym is for; each purpose has pseudonyms of its own.
        keys: the keys; default `read_keys()`.
        version: the version of the key; default the current one.

    Raises:
        WarehouseError: the purpose is not allowed, the version is missing, or as `read_keys`.
    """
    if not _PURPOSE.fullmatch(purpose):
        raise WarehouseError(
            f"The purpose of a pseudonym is {purpose!r}; it takes lower-case letters, digits and _,"
            " and begins with a letter."
        )
    keys = keys or read_keys()
    version = keys.current if version is None else version
    if version not in keys.versions:
        raise WarehouseError(f"There is no key for pseudonyms of version {version}.")
    if value is None:
        return None
    message = f"{purpose}:{value}".encode()
    digest = hmac.new(keys.versions[version], message, hashlib.sha256).hexdigest()
    return f"p{version}_{digest[:DIGITS]}"


def pads(keys: Keys) -> str:
    """The value of the setting: `version:inner pad:outer pad` of the current key, then the same of
    the others. It is as secret as the keys.

    Args:
        keys: the keys.
    """
    order = [keys.current, *sorted(keys.versions.keys() - {keys.current}, reverse=True)]
    return ":".join(part for number in order for part in (str(number), *_pads(keys, number)))


def _pads(keys: Keys, version: int) -> tuple[str, str]:
    key = keys.versions[version]
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK_BYTES else key).ljust(
        BLOCK_BYTES, b"\0"
    )
    return bytes(byte ^ 0x36 for byte in block).hex(), bytes(byte ^ 0x5C for byte in block).hex()


def session_settings(keys: Keys | None = None) -> str:
    """The options of libpq that give a session the keys, for a connection of ours.

    dbt gets `pads()` in `SECRET_VARIABLE` instead.

    Args:
        keys: the keys; default `read_keys()`.

    Raises:
        WarehouseError: as `read_keys`.
    """
    return f"-c {SETTING}={pads(keys or read_keys())}"


def settings_if_any() -> str:
    """The options of libpq that give a session the keys; nothing if there are none.

    Raises:
        WarehouseError: as `read_keys`; the file of `WAREHOUSE_PII_KEY_FILE` is missing.
    """
    return session_settings() if has_keys() else ""


def has_keys() -> bool:
    """Whether there are keys: their file exists, or a variable names one."""
    return bool(os.environ.get(FILE_VARIABLE)) or key_file().exists()


@contextlib.contextmanager
def given_to_dbt() -> Iterator[None]:
    """Give the keys to the sessions of dbt, if there are any, in a block of code.

    Raises:
        WarehouseError: as `read_keys`; the file of `WAREHOUSE_PII_KEY_FILE` is missing.
    """
    before = os.environ.get(SECRET_VARIABLE)
    if before is None and has_keys():
        os.environ[SECRET_VARIABLE] = pads(read_keys())
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(SECRET_VARIABLE, None)


def read_keys(path: Path | None = None) -> Keys:
    """Read the keys.

    Args:
        path: their file; default `key_file()`.

    Raises:
        WarehouseError: the file is missing, others may read it, or it has another form.
    """
    path = path or key_file()
    try:
        # A named pipe would block until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise WarehouseError(
            f"The file {path} with the keys of pseudonyms does not exist: restore it from your "
            f"backup, or correct {FILE_VARIABLE}."
        ) from None
    except OSError as error:
        raise WarehouseError(f"Cannot read the keys in {path}: {error.strerror}.") from None
    try:
        _check_owner(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            return _parsed(path, file.read())
    finally:
        os.close(descriptor)


def create_keys(path: Path | None = None) -> Keys:
    """Create the file with a first key; if it exists, read it.

    Args:
        path: the file; default `key_file()`.

    Raises:
        WarehouseError: the file cannot be created, or as `read_keys`.
    """
    path = path or key_file()
    if not path.exists():
        keys = Keys(current=1, versions={1: secrets.token_bytes(KEY_BYTES)})
        # Fails if another process was faster; then its key counts.
        with _written(path, keys) as new, contextlib.suppress(FileExistsError):
            os.link(new, path)
    return read_keys(path)


def add_version(path: Path | None = None) -> Keys:
    """Add a new key and make it the current one; the old ones stay, to recompute old pseudonyms.

    Args:
        path: the file of the keys; default `key_file()`.

    Raises:
        WarehouseError: there are too many versions, the file cannot be written, or as `read_keys`.
    """
    path = (path or key_file()).resolve()
    with _locked(path.parent):
        keys = read_keys(path)
        if len(keys.versions) >= MOST_VERSIONS:
            raise WarehouseError(
                f"{path} has {len(keys.versions)} keys, and takes at most {MOST_VERSIONS}: remove "
                "versions of which no pseudonym is left."
            )
        version = max(keys.versions) + 1
        added = Keys(version, {**keys.versions, version: secrets.token_bytes(KEY_BYTES)})
        with _written(path, added) as new:
            new.replace(path)
    return read_keys(path)


def _check_owner(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise WarehouseError(f"{path} is no file: correct {FILE_VARIABLE}.")
    if found.st_uid not in (os.geteuid(), 0):
        raise WarehouseError(
            f"The keys in {path} belong to another user (id {found.st_uid}): work as that user, or "
            f"set {FILE_VARIABLE} to a file of yours."
        )
    if found.st_mode & 0o077:
        raise WarehouseError(
            f"Other users may read the keys in {path} (mode {stat.S_IMODE(found.st_mode):04o}): run"
            f" `chmod 600 {path}`, and add a new version if one of them may have done so."
        )


def _parsed(path: Path, content: bytes) -> Keys:
    """The keys of a file; no message quotes them."""
    form = (
        f"{path} does not have the form of keys: "
        '{"current": 1, "versions": {"1": "64 hex digits or more"}}'
    )
    try:
        given: Any = json.loads(content)
        current = given["current"]
        versions = {
            int(number): bytes.fromhex(key)
            for number, key in given["versions"].items()
            if re.fullmatch("[1-9][0-9]{0,8}", number) and re.fullmatch("[0-9a-fA-F]+", key)
        }
        is_complete = len(versions) == len(given["versions"])
    except (AttributeError, KeyError, TypeError, ValueError):
        # json's error would quote the file to whoever prints it.
        raise WarehouseError(f"{form}.") from None
    if not is_complete or type(current) is not int or current not in versions:
        raise WarehouseError(f"{form}, with current among the versions.")
    if short := [str(number) for number, key in versions.items() if len(key) < KEY_BYTES]:
        raise WarehouseError(
            f"{path}: the key of version {', '.join(short)} is too short; it needs "
            f"{2 * KEY_BYTES} hex digits."
        )
    if len(versions) > MOST_VERSIONS:
        raise WarehouseError(f"{path} has {len(versions)} keys, and takes at most {MOST_VERSIONS}.")
    return Keys(current, versions)


@contextlib.contextmanager
def _written(path: Path, keys: Keys) -> Iterator[Path]:
    """Write the keys beside a file; the caller gives the new file its place."""
    content = {
        "current": keys.current,
        "versions": {str(number): key.hex() for number, key in sorted(keys.versions.items())},
    }
    new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        private.make_folder(path.parent)
        try:
            with open(new, "x", encoding="utf-8", opener=private.opener) as file:
                file.write(json.dumps(content, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            yield new
            _sync(path.parent)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise WarehouseError(f"Cannot write the keys to {path}: {error.strerror}.") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, so that no version is lost."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise WarehouseError(f"Cannot open the folder {folder}: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
