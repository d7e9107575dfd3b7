"""Add people and API keys, and find who sent a request."""

import asyncio
import hashlib
import secrets
from collections.abc import Collection

from argon2 import PasswordHasher

from amd_service.calls import api_keys, people
from amd_service.calls.tables import ApiKey, Person
from amd_service.database.pool import Database
from amd_service.domain import AccessScope, Principal, Role
from amd_service.errors import ConfigurationError

MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 1000
MAX_NAME_LENGTH = 100
KEY_PREFIX = "amd_"

# Names in the log, and of reviewers, for clients without a row. No person and no key can have such a name.
LOCAL_NAME = "local"
CONFIGURED_KEY_NAME = "AMD_API_KEYS"
RESERVED_NAMES = frozenset({LOCAL_NAME, CONFIGURED_KEY_NAME})


async def add_person(
    database: Database, name: str, role: Role, password: str | None, *, sees_numbers: bool = False
) -> None:
    """Add a person. Without a password, the person can sign in only through a proxy.

    Raises ConfigurationError if the name is taken or blank, or if the password is too short.
    """
    check_name(name)
    password_hash = None if password is None else await hash_password(password)
    async with database.transaction() as session:
        added = await people.add(session, name, role, password_hash, sees_numbers=sees_numbers)
    if not added:
        raise ConfigurationError(f"{name!r} exists already: use `amd-service person change {name}`")


async def change_person(
    database: Database,
    name: str,
    *,
    role: Role | None = None,
    password: str | None = None,
    sees_numbers: bool | None = None,
) -> None:
    """Change a person, and end all of the person's sessions. Raises ConfigurationError for an unknown name."""
    password_hash = None if password is None else await hash_password(password)
    async with database.transaction() as session:
        found = await people.change(session, name, role=role, password_hash=password_hash, sees_numbers=sees_numbers)
    if not found:
        raise _unknown_person(name)


async def disable_person(database: Database, name: str) -> None:
    """Disable a person, and end all of the person's sessions. Raises ConfigurationError for an unknown name."""
    async with database.transaction() as session:
        found = await people.disable(session, name)
    if not found:
        raise _unknown_person(name)


async def sign_out_everywhere(database: Database, name: str) -> None:
    """End all sessions of a person. Raises ConfigurationError for an unknown name."""
    async with database.transaction() as session:
        found = await people.sign_out_everywhere(session, name)
    if not found:
        raise _unknown_person(name)


async def list_people(database: Database) -> list[Person]:
    """Return all people by name, the disabled too."""
    async with database.transaction() as session:
        return await people.list_people(session)


async def add_api_key(database: Database, name: str, scopes: Collection[AccessScope]) -> str:
    """Make an API key and return it. It cannot be read again. Raises ConfigurationError if the name is taken."""
    check_name(name)
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    async with database.transaction() as session:
        added = await api_keys.add(session, name, sha256(key), scopes)
    if not added:
        raise ConfigurationError(f"a key named {name!r} exists already, maybe a revoked one: choose another name")
    return key


async def revoke_api_key(database: Database, name: str) -> None:
    """Revoke a key. Raises ConfigurationError if no valid key has this name."""
    async with database.transaction() as session:
        revoked = await api_keys.revoke(session, name)
    if not revoked:
        raise ConfigurationError(f"no valid key is named {name!r}: see `amd-service key list`")


async def list_api_keys(database: Database) -> list[ApiKey]:
    """Return all keys by name, the revoked too."""
    async with database.transaction() as session:
        return await api_keys.list_keys(session)


async def find_by_session(database: Database, token: str) -> Principal | None:
    """Return the person of a session cookie, or None if the session has ended."""
    async with database.looking_up() as session:
        return await people.find_by_session(session, sha256(token))


async def find_by_proxy(database: Database, name: str) -> Principal | None:
    """Return the person whose name a trusted proxy has sent, or None if nobody has this name."""
    if not is_name(name):
        return None
    async with database.looking_up() as session:
        return await people.find_by_name(session, name)


async def find_by_key(database: Database, key: str) -> Principal | None:
    """Return the program of an API key in the database, or None if the key is unknown or revoked."""
    async with database.looking_up() as session:
        return await api_keys.find_by_key(session, sha256(key))


async def has_people_or_keys(database: Database) -> bool:
    """Whether a person or a key was ever added. Then the service no longer trusts every client on this machine."""
    async with database.looking_up() as session:
        return await people.has_any(session) or await api_keys.has_any(session)


async def hash_password(password: str) -> str:
    """Hash a password in a thread. Raises ConfigurationError if it is too short."""
    check_password(password)
    return await asyncio.to_thread(PasswordHasher().hash, password)


def check_password(password: str) -> None:
    """Raise ConfigurationError if a password is too short, or longer than the sign-in form accepts."""
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        limits = f"{MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH}"
        raise ConfigurationError(f"the password must have {limits} characters, and not {len(password)}")


def is_name(name: str) -> bool:
    """Whether `name` is printable, has 1 to 100 characters, and no blanks at its ends."""
    return name.isprintable() and name.strip() == name and 1 <= len(name) <= MAX_NAME_LENGTH


def check_name(name: str) -> None:
    """Raise ConfigurationError if `name` cannot be the name of a person or a key."""
    if not is_name(name):
        raise ConfigurationError(f"{name!r} cannot be a name: use 1 to {MAX_NAME_LENGTH} printable characters")
    if name in RESERVED_NAMES:
        raise ConfigurationError(f"{name!r} is the name of clients without a row of their own: choose another name")


def sha256(secret: str) -> str:
    """Return the SHA-256 of a random secret in hex. Not for passwords."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _unknown_person(name: str) -> ConfigurationError:
    return ConfigurationError(f"nobody is named {name!r}: see `amd-service person list`")
