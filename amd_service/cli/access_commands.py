"""Opens the database for the commands `person` and `key`."""

from collections.abc import Collection

from amd_service.database.opening import open_database
from amd_service.domain import AccessScope, Role
from amd_service.errors import ConfigurationError
from amd_service.operations import credentials
from amd_service.settings import Settings


async def add_person(settings: Settings, name: str, role: str, password: str | None, sees_numbers: bool) -> None:
    """Add a person. Raises ConfigurationError if the name is taken or the password is too short."""
    async with open_database(settings) as database:
        await credentials.add_person(database, name, Role(role), password, sees_numbers=sees_numbers)


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


async def list_people(settings: Settings) -> list[str]:
    """Return one line per person."""
    async with open_database(settings) as database:
        found = await credentials.list_people(database)
    return [
        f"{person.name}\t{person.role}\t{'disabled' if person.disabled_at else 'enabled'}"
        f"\t{'numbers in full' if person.sees_numbers else 'numbers masked'}"
        f"\t{'password' if person.password_hash else 'proxy only'}"
        for person in found
    ]


async def add_key(settings: Settings, name: str, scopes: Collection[str]) -> str:
    """Make an API key and return it. Raises ConfigurationError if the name is taken."""
    async with open_database(settings) as database:
        return await credentials.add_api_key(database, name, read_scopes(scopes))


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


async def list_keys(settings: Settings) -> list[str]:
    """Return one line per API key."""
    async with open_database(settings) as database:
        found = await credentials.list_api_keys(database)
    return [
        f"{key.name}\t{','.join(key.scopes)}\t{'revoked' if key.revoked_at else 'valid'}\t{key.created_at:%Y-%m-%d}"
        for key in found
    ]
