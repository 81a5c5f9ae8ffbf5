"""The dbt packages: from the dbt hub, or if it is unreachable, the stand-ins of this repository.

`python -m warehouse.setup.packages` is a step of `make setup`. It prints one line: what it did.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import requests
import yaml

from warehouse import console, dbt, project, redaction
from warehouse.errors import WarehouseError
from warehouse.project import is_set

OFFLINE_VARIABLE = "WAREHOUSE_OFFLINE"
HUB_VARIABLE = "DBT_PACKAGE_HUB_URL"  # dbt's own
HUB_URL = "https://hub.getdbt.com/"

# Long enough for a slow proxy, short enough for a closed network that drops packets. The first
# limit does not cover the DNS lookup, the second does.
ANSWER_SECONDS = 3
CHECK_SECONDS = 5
# The hub only lists the archives. They come from another host, which may be blocked.
INSTALL_SECONDS = 120

MARKER = ".installed.json"  # a file, because dbt counts only folders
HUB = "hub"
STAND_INS = "stand-ins"


def install(root: Path | None = None) -> str:
    """Fill `dbt_packages/` of a project.

    Tries the hub first, unless `WAREHOUSE_OFFLINE` is set or its packages are already installed.

    Args:
        root: the folder of the project; default the current one.

    Returns:
        The line to print.

    Raises:
        WarehouseError: neither the hub nor the stand-ins have a package.
    """
    root = root or project.root()
    installed = root / "dbt_packages"
    wanted = _wanted(root)
    source, fingerprint = _read_marker(installed)

    if source == HUB and fingerprint == _fingerprint(root) and _complete(installed, wanted):
        return "dbt packages from the hub: already installed."

    reason = _why_skipped() or _why_unreachable() or _install_from_hub(root)
    if reason is None and not _complete(installed, wanted):
        reason = "The dbt hub answers, but `dbt deps` left packages out"
    if reason is None:
        _write_marker(installed, HUB, _fingerprint(root))
        return "dbt packages from the hub: installed."

    # Keep packages that we did not install: genuine ones of any version are better than stand-ins.
    source, fingerprint = _read_marker(installed)
    if source != STAND_INS and _complete(installed, wanted):
        return f"{reason}: left dbt_packages/ as it is."

    offline = root / "offline_packages"
    missing = [name for name in wanted if not (offline / name / "dbt_project.yml").is_file()]
    if missing:
        raise WarehouseError(
            f"{reason}, and offline_packages/ has no stand-in for {', '.join(missing)}.\n"
            "Run `make setup` again on a network that reaches the hub."
        )
    current = _fingerprint(root, *(offline / name for name in wanted))
    if (source, fingerprint) == (STAND_INS, current) and _complete(installed, wanted):
        return f"{reason}: kept the stand-ins from offline_packages/; `make setup` retries the hub."
    _install_stand_ins(offline, wanted, installed, current)
    return (
        f"{reason}: installed the stand-ins from offline_packages/ instead; "
        "`make setup` retries the hub."
    )


def _wanted(root: Path) -> list[str]:
    """The folders of the packages in packages.yml, which must be packages of the hub."""
    path = root / "packages.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [entry["package"].split("/")[-1] for entry in content["packages"]]
    except FileNotFoundError:
        raise WarehouseError(f"There is no {path}: it lists the dbt packages.") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise WarehouseError(
            f"Cannot read {path}: it must have a list `packages`, each with `package: owner/name` "
            "and `version`, as on the dbt hub."
        ) from None


def _complete(installed: Path, wanted: list[str]) -> bool:
    """Whether every wanted package has its folder."""
    return all((installed / name / "dbt_project.yml").is_file() for name in wanted)


def _why_skipped() -> str | None:
    """None if we may use the hub, else why not."""
    offline = is_set(OFFLINE_VARIABLE)
    return f"Skipped the dbt hub ({OFFLINE_VARIABLE} is set)" if offline else None


def _why_unreachable() -> str | None:
    """None if the hub answers, else why not. Takes `CHECK_SECONDS` at most.

    Uses the proxies of the environment, as dbt does. dbt itself would retry for minutes.
    """
    hub = os.environ.get(HUB_VARIABLE) or HUB_URL
    answers: list[str | None] = []
    # In a thread, because a DNS lookup has no timeout.
    asking = threading.Thread(target=lambda: answers.append(_ask(hub)), daemon=True)
    asking.start()
    asking.join(CHECK_SECONDS)
    problem = answers[0] if answers else f"no answer within {CHECK_SECONDS} s"
    return None if problem is None else f"The dbt hub is unreachable ({problem})"


def _ask(hub: str) -> str | None:
    """None if the hub answers, else the error, in a few words."""
    try:
        url = f"{hub.rstrip('/')}/api/v1/dbt-labs/dbt_utils.json"
        with requests.get(url, timeout=ANSWER_SECONDS, stream=True) as response:
            return None if response.ok else f"it answered {response.status_code} {response.reason}"
    except requests.Timeout:
        return f"no answer within {ANSWER_SECONDS} s"
    except requests.exceptions.ProxyError:
        return "refused by the proxy"
    except requests.exceptions.SSLError:
        return "its certificate is not trusted"
    except requests.ConnectionError as error:
        unknown = "resolve" in str(error).lower() or "getaddrinfo" in str(error)
        return "DNS lookup failed" if unknown else "no connection"
    except requests.RequestException as error:
        return f"request failed: {type(error).__name__}"


def _install_from_hub(root: Path) -> str | None:
    """Run `dbt deps`. None if it worked, else why not."""
    lock = root / "package-lock.yml"
    lock_before = lock.read_bytes() if lock.exists() else None
    try:
        done = dbt.run_apart(["deps", "--project-dir", str(root)], root, INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        reason = f"The dbt hub answers, but `dbt deps` did not finish within {INSTALL_SECONDS} s"
    else:
        if done.returncode == 0:
            return None
        said = (done.stdout + done.stderr).strip().splitlines()
        last = said[-1].strip() if said else "without a message"
        reason = f"The dbt hub answers, but `dbt deps` failed ({last})"

    # A lock file of a failed installation would pin the versions of the next one.
    if lock_before is None:
        lock.unlink(missing_ok=True)
    else:
        lock.write_bytes(lock_before)
    return reason


def _install_stand_ins(offline: Path, wanted: list[str], installed: Path, fingerprint: str) -> None:
    """Install the stand-ins by a rename, so that a killed run leaves no incomplete folder."""
    staged = installed.with_name(installed.name + ".new")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    for name in wanted:
        shutil.copytree(offline / name, staged / name)
    _write_marker(staged, STAND_INS, fingerprint)
    if installed.is_dir():
        shutil.rmtree(installed)
    staged.rename(installed)


def _fingerprint(root: Path, *folders: Path) -> str:
    """A hash of packages.yml and every file in the folders: what was installed, and from what."""
    files = [root / "packages.yml"]
    for folder in folders:
        files += sorted(path for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()


def _read_marker(installed: Path) -> tuple[str | None, str | None]:
    """The source and fingerprint of what we installed; (None, None) if we did not install it."""
    try:
        marker = json.loads((installed / MARKER).read_text(encoding="utf-8"))
        return marker["source"], marker["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _write_marker(installed: Path, source: str, fingerprint: str) -> None:
    """Record the source of the folder inside it, so that `dbt deps` and `dbt clean` remove it."""
    marker = json.dumps({"source": source, "fingerprint": fingerprint}, indent=2)
    (installed / MARKER).write_text(marker + "\n", encoding="utf-8")


def main() -> int:
    """Install, print what was done, and return the exit code."""
    try:
        redaction.watch([])  # the address of the hub may hold one
        console.say(install())
    except WarehouseError as error:
        console.say(str(error), stderr=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
