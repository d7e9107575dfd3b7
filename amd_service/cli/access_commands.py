"""Opens the database for the commands `person` and `key`."""

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from amd_service.database.opening import open_database
from amd_service.domain import AccessScope, Role
from amd_service.errors import ConfigurationError
from amd_service.operations import credentials
from amd_service.settings import Settings

# Printed with the first person or key.
NOW_CLOSED = (
    "From now on, programs on this machine need an API key, and people must sign in. This takes up to 5 seconds."
)


async def add_person(settings: Settings, name: str, role: str, password: str | None, sees_numbers: bool) -> str:
    """Add a person, and return a note for the user, empty if nothing else changes.

    Raises ConfigurationError if the name is taken or the password is too short.
    """
    async with open_database(settings) as database:
        is_first = not settings.api_keys and not await credentials.has_people_or_keys(database)
        await credentials.add_person(database, name, Role(role), password, sees_numbers=sees_numbers)
    return NOW_CLOSED if is_first else ""


async def change_person(
    settings: Settings, name: str, role: str | None, password: str | None, sees_numbers: bool | None
) -> None:
    """Change a person. Raises ConfigurationError for an unknown name."""
    async with open_database(settings) as database:
        await credentials.change_person(
            database, name, role=Role(role) if role else None, password=password, sees_numbers=sees_numbers
        )


async def disable_person(settings: Settings, name: str) -> None:
    """Disable a person. Raises ConfigurationError for an unknown name."""
    async with open_database(settings) as database:
        await credentials.disable_person(database, name)


async def sign_out_person(settings: Settings, name: str) -> None:
    """End all sessions of a person. Raises ConfigurationError for an unknown name."""
    async with open_database(settings) as database:
        await credentials.sign_out_everywhere(database, name)


async def print_people(settings: Settings, *, as_json: bool) -> None:
    """Print one line per person."""
    async with open_database(settings) as database:
        found = await credentials.list_people(database)
    rows = [
        {
            "name": person.name,
            "role": person.role,
            "state": "disabled" if person.disabled_at else "enabled",
            "numbers": "in full" if person.sees_numbers or person.role == Role.ADMIN else "masked",
            "sign_in": "password" if person.password_hash else "proxy only",
            "added": f"{person.created_at:%Y-%m-%d}",
        }
        for person in found
    ]
    print_rows(rows, as_json=as_json, empty="no people: `amd-service person add NAME --role admin` adds the first one")


async def add_key(settings: Settings, name: str, scopes: Collection[str]) -> tuple[str, str]:
    """Make an API key and return it with a note for the user, as `add_person`.

    Raises ConfigurationError if the name is taken.
    """
    async with open_database(settings) as database:
        is_first = not settings.api_keys and not await credentials.has_people_or_keys(database)
        key = await credentials.add_api_key(database, name, read_scopes(scopes))
    return key, NOW_CLOSED if is_first else ""


def read_scopes(names: Collection[str]) -> list[AccessScope]:
    """Convert names to scopes. Raises ConfigurationError for an unknown name."""
    unknown = [name for name in names if name not in set(AccessScope)]
    if unknown:
        raise ConfigurationError(f"{unknown[0]!r} is not a scope: use {', '.join(AccessScope)}")
    return [AccessScope(name) for name in names]


async def revoke_key(settings: Settings, name: str) -> None:
    """Revoke an API key. Raises ConfigurationError if no valid key has this name."""
    async with open_database(settings) as database:
        await credentials.revoke_api_key(database, name)


async def print_keys(settings: Settings, *, as_json: bool) -> None:
    """Print one line per API key in the database."""
    async with open_database(settings) as database:
        found = await credentials.list_api_keys(database)
    rows = [
        {
            "name": key.name,
            "scopes": ",".join(key.scopes),
            "state": "revoked" if key.revoked_at else "valid",
            "added": f"{key.created_at:%Y-%m-%d}",
        }
        for key in found
    ]
    print_rows(rows, as_json=as_json, empty="no keys: `amd-service key add NAME --scope read` makes one")


def print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool, empty: str) -> None:
    """Print rows in aligned columns with a header, or as JSON. `empty`: a line for people if there are no rows.

    In JSON, numbers are numbers, times are ISO 8601 strings and None is null.
    """
    if as_json:
        for row in rows:
            times = {name: value.isoformat() for name, value in row.items() if isinstance(value, datetime)}
            print(json.dumps({**row, **times}, ensure_ascii=False))  # noqa: T201 - the command's output
        return
    if not rows:
        print(empty, file=sys.stderr)  # noqa: T201
        return
    table = [
        [name.replace("_", " ") for name in rows[0]],
        *([_as_text(value) for value in row.values()] for row in rows),
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())  # noqa: T201


def _as_text(value: object) -> str:
    """Return the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return str(value)
