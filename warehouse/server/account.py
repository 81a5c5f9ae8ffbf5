"""The system user that runs the server when root starts it: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from typing import Any

from warehouse import console
from warehouse.errors import WarehouseError

SYSTEM_USER = "warehouse_postgres"


def existing() -> Any:
    """The account under which root runs the server; None if we are not root, or it is missing."""
    import pwd

    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None


def create() -> Any:
    """The account under which root runs the server, created if missing.

    Raises:
        WarehouseError: the system refuses to create it.
    """
    if existing() is None:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
        try:
            # An `up` in another folder may create it at the same moment.
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            if existing() is None:
                reason = getattr(error, "stderr", None) or str(error)
                raise WarehouseError(
                    "PostgreSQL does not run as root, and its system user could not be created "
                    f"({reason.strip()}): work as a normal user, or create the user {SYSTEM_USER}."
                ) from error
    return existing()


def let_pass(path: Path, uid: int, quiet: Path) -> None:
    """Let one user traverse the folders above `path`, without the right to list them.

    Adds an access control entry for that user to each folder that is closed to others (a home
    folder, a temporary one), and prints a line, except for the folder `quiet`. All other
    permissions stay as they are.
    """
    for folder in path.resolve().parents:
        mode = folder.stat()
        if mode.st_mode & 0o001 or mode.st_uid == uid:
            continue
        try:
            added = _add_access_entry(folder, uid)
        except (OSError, AttributeError):
            return  # the file system has no such entries; the caller checks whether that matters
        if added and folder != quiet.resolve():
            console.say(
                f"The user {SYSTEM_USER}, which runs PostgreSQL, can now traverse {folder}.",
                stderr=True,
            )


def _add_access_entry(folder: Path, uid: int) -> bool:
    """Grant one user `--x` on a folder by a POSIX access control entry (Linux).

    Returns False if the user has it already. Raises OSError if the file system has no such entries.
    """
    name = "system.posix_acl_access"
    owner, user, group_owner, group, mask, other = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
    nobody = 0xFFFFFFFF
    try:
        entries = list(struct.iter_unpack("<HHI", os.getxattr(folder, name)[4:]))
    except OSError:
        bits = folder.stat().st_mode
        entries = [
            (owner, bits >> 6 & 7, nobody),
            (group_owner, bits >> 3 & 7, nobody),
            (other, bits & 7, nobody),
        ]
    if (user, 1, uid) in entries:
        return False
    kept = [entry for entry in entries if entry[0] != mask and entry[::2] != (user, uid)]
    kept.append((user, 1, uid))
    shared = 0
    for tag, bits, _ in kept:
        shared |= bits if tag in (user, group_owner, group) else 0
    kept.append((mask, shared, nobody))
    packed = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry) for entry in sorted(kept, key=lambda entry: entry[::2])
    )
    os.setxattr(folder, name, packed)
    return True
