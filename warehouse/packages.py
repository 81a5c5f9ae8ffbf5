"""The dbt packages: from the dbt hub, or where it is out of reach the stand-ins we keep ourselves.

`python -m warehouse.packages` is a step of `make setup`. It says in one line what it did.
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

from warehouse import project
from warehouse.errors import WarehouseError

OFFLINE_VARIABLE = "WAREHOUSE_OFFLINE"
HUB_VARIABLE = "DBT_PACKAGE_HUB_URL"  # dbt's own
HUB_URL = "https://hub.getdbt.com/"

# Long enough for a slow proxy, short enough for a closed network that drops packets. The name's
# lookup is not part of the first one, which is why there is a second.
ANSWER_SECONDS = 3
CHECK_SECONDS = 5
# The hub only names the archives. They come from elsewhere, which can be closed all the same.
INSTALL_SECONDS = 120

# The dbt of this environment, whatever is on the PATH.
DBT = (sys.executable, "-c", "from dbt.cli.main import cli; cli()")

MARKER = ".installed.json"  # a file: dbt counts only the folders beside it
HUB = "hub"
STAND_INS = "stand-ins"


def install(root: Path | None = None) -> str:
    """Fill `dbt_packages/` of the project in `root` (default: the one we stand in).

    The hub is tried first, unless `WAREHOUSE_OFFLINE` is set or its packages are there already.
    Returns the line to show. Raises WarehouseError if a package can be had from nowhere.
    """
    root = root or project.root()
    installed = root / "dbt_packages"
    wanted = _wanted(root)
    source, fingerprint = _read_marker(installed)

    if source == HUB and fingerprint == _fingerprint(root) and _complete(installed, wanted):
        return "dbt packages from the hub: already there."

    reason = _why_not_asked() or _why_out_of_reach() or _install_from_hub(root)
    if reason is None and not _complete(installed, wanted):
        reason = "The dbt hub answers, but `dbt deps` left packages out"
    if reason is None:
        _write_marker(installed, HUB, _fingerprint(root))
        return "dbt packages from the hub: installed."

    # Genuine packages, of whatever version, beat stand-ins; only what is not ours can be genuine.
    source, fingerprint = _read_marker(installed)
    if source != STAND_INS and _complete(installed, wanted):
        return f"{reason}: left dbt_packages/ as it is."

    offline = root / "offline_packages"
    missing = [name for name in wanted if not (offline / name / "dbt_project.yml").is_file()]
    if missing:
        raise WarehouseError(
            f"{reason}, and offline_packages/ has no stand-in for {', '.join(missing)}.\n"
            "Run `make setup` again where the hub can be reached."
        )
    current = _fingerprint(root, *(offline / name for name in wanted))
    if (source, fingerprint) == (STAND_INS, current) and _complete(installed, wanted):
        return f"{reason}: the stand-ins from offline_packages/ stay; `make setup` tries again."
    _install_stand_ins(offline, wanted, installed, current)
    return (
        f"{reason}: installed the stand-ins from offline_packages/ instead; "
        "`make setup` tries again."
    )


def _wanted(root: Path) -> list[str]:
    """The folders that packages.yml asks for. Only packages of the hub have a known one."""
    path = root / "packages.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [entry["package"].split("/")[-1] for entry in content["packages"]]
    except FileNotFoundError:
        raise WarehouseError(f"There is no {path}: it names the dbt packages.") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise WarehouseError(
            f"Cannot read {path}: it must hold a list `packages`, each with `package: owner/name` "
            "and `version`, as on the dbt hub."
        ) from None


def _complete(installed: Path, wanted: list[str]) -> bool:
    """Whether every wanted package has its folder."""
    return all((installed / name / "dbt_project.yml").is_file() for name in wanted)


def _why_not_asked() -> str | None:
    """None if the hub may be asked, else why not."""
    offline = os.environ.get(OFFLINE_VARIABLE, "").lower() not in ("", "0", "false", "no")
    return f"The dbt hub was not asked ({OFFLINE_VARIABLE} is set)" if offline else None


def _why_out_of_reach() -> str | None:
    """None if the hub answers, else why not. Takes `CHECK_SECONDS` at most.

    Proxies are taken from the environment, as dbt does. dbt's own attempts would take minutes.
    """
    hub = os.environ.get(HUB_VARIABLE) or HUB_URL
    answers: list[str | None] = []
    # A thread, because looking up a name has no time limit of its own.
    asking = threading.Thread(target=lambda: answers.append(_ask(hub)), daemon=True)
    asking.start()
    asking.join(CHECK_SECONDS)
    problem = answers[0] if answers else f"no answer within {CHECK_SECONDS} s"
    return None if problem is None else f"The dbt hub is out of reach ({problem})"


def _ask(hub: str) -> str | None:
    """None if the hub answers, else what is in the way, in a few words."""
    try:
        url = f"{hub.rstrip('/')}/api/v1/dbt-labs/dbt_utils.json"
        with requests.get(url, timeout=ANSWER_SECONDS, stream=True) as response:
            return None if response.ok else f"it answered {response.status_code} {response.reason}"
    except requests.Timeout:
        return f"no answer within {ANSWER_SECONDS} s"
    except requests.exceptions.ProxyError:
        return "the proxy does not let us through"
    except requests.exceptions.SSLError:
        return "its certificate is not trusted here"
    except requests.ConnectionError as error:
        unknown = "resolve" in str(error).lower() or "getaddrinfo" in str(error)
        return "its name is not known here" if unknown else "no connection"
    except requests.RequestException as error:
        return f"cannot ask it: {type(error).__name__}"


def _install_from_hub(root: Path) -> str | None:
    """Run `dbt deps`. None if it worked, else why not."""
    lock = root / "package-lock.yml"
    lock_before = lock.read_bytes() if lock.exists() else None
    try:
        done = subprocess.run(
            [*DBT, "--no-use-colors", "deps", "--project-dir", str(root)],
            cwd=root,
            env=os.environ | {"DO_NOT_TRACK": "1"},
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"The dbt hub answers, but `dbt deps` was not done after {INSTALL_SECONDS} s"
    else:
        if done.returncode == 0:
            return None
        said = (done.stdout + done.stderr).strip().splitlines()
        last = said[-1].strip() if said else "it did not say why"
        reason = f"The dbt hub answers, but `dbt deps` failed ({last})"

    # A lock of an installation that failed would bind the next one.
    if lock_before is None:
        lock.unlink(missing_ok=True)
    else:
        lock.write_bytes(lock_before)
    return reason


def _install_stand_ins(offline: Path, wanted: list[str], installed: Path, fingerprint: str) -> None:
    """Copy the stand-ins beside the final place first, so that a killed run leaves nothing half."""
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
    """A hash over packages.yml and every file in the folders: what was installed, and from what."""
    files = [root / "packages.yml"]
    for folder in folders:
        files += sorted(path for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()


def _read_marker(installed: Path) -> tuple[str | None, str | None]:
    """The source and the fingerprint of what is installed; (None, None) if it is not ours."""
    try:
        marker = json.loads((installed / MARKER).read_text(encoding="utf-8"))
        return marker["source"], marker["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _write_marker(installed: Path, source: str, fingerprint: str) -> None:
    """Say where the folder comes from, inside it: `dbt deps` and `dbt clean` remove that too."""
    marker = json.dumps({"source": source, "fingerprint": fingerprint}, indent=2)
    (installed / MARKER).write_text(marker + "\n", encoding="utf-8")


def main() -> int:
    """Install, say what was done, and return the exit code."""
    try:
        print(install())
    except WarehouseError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
