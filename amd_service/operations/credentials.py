"""Add people and API keys, sign in, and find who sent a request."""

import asyncio
import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from amd_service.calls import api_keys, people
from amd_service.calls.tables import ApiKey, Person
from amd_service.database.pool import Database
from amd_service.domain import AccessScope, Principal, Role
from amd_service.errors import ConfigurationError

MIN_PASSWORD_LENGTH = 12
KEY_PREFIX = "amd_"


@dataclass(frozen=True, slots=True)
class Session:
    """A new session. `token`: value of the cookie. Only its hash is stored."""

    token: str
    lasts: timedelta


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


async def sign_in(database: Database, name: str, password: str, lasts: timedelta) -> Session | None:
    """Check a password and start a session. Returns None if the name or the password is wrong."""
    async with database.transaction() as session:
        credentials = await people.find_credentials(session, name)
    password_hash = None if credentials is None else credentials.password_hash
    is_correct = await asyncio.to_thread(_is_correct, password_hash, password)
    if credentials is None or not is_correct:
        return None
    token = secrets.token_urlsafe(32)
    async with database.transaction() as session:
        await people.start_session(session, credentials.person_id, sha256(token), lasts)
    return Session(token, lasts)


async def sign_out(database: Database, token: str) -> None:
    """End the session of a cookie."""
    async with database.transaction() as session:
        await people.end_session(session, sha256(token))


async def find_by_session(database: Database, token: str) -> Principal | None:
    """Return the person of a session cookie, or None if the session has ended."""
    async with database.transaction() as session:
        return await people.find_by_session(session, sha256(token))


async def find_by_proxy(database: Database, name: str) -> Principal | None:
    """Return the person whose name a trusted proxy has sent, or None if nobody has this name."""
    async with database.transaction() as session:
        return await people.find_by_name(session, name)


async def find_by_key(database: Database, key: str) -> Principal | None:
    """Return the program of an API key in the database, or None if the key is unknown or revoked."""
    async with database.transaction() as session:
        return await api_keys.find_by_key(session, sha256(key))


async def has_people_or_keys(database: Database) -> bool:
    """Whether a person or a key was ever added. Then the service no longer trusts every client on this machine."""
    async with database.transaction() as session:
        return await people.has_any(session) or await api_keys.has_any(session)


async def hash_password(password: str) -> str:
    """Hash a password in a thread. Raises ConfigurationError if it is too short."""
    if len(password) < MIN_PASSWORD_LENGTH:
        raise ConfigurationError(f"the password must have at least {MIN_PASSWORD_LENGTH} characters")
    return await asyncio.to_thread(PasswordHasher().hash, password)


def _is_correct(password_hash: str | None, password: str) -> bool:
    """Check a password. A check without a hash takes as long, so the time does not reveal which names exist."""
    hasher = PasswordHasher()
    if password_hash is None:
        hasher.hash(password)
        return False
    try:
        return hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def check_name(name: str) -> None:
    """Raise ConfigurationError unless `name` is printable, has 1 to 100 characters, and no blanks at its ends."""
    if not name.isprintable() or name.strip() != name or not 1 <= len(name) <= 100:
        raise ConfigurationError(f"{name!r} cannot be a name: use 1 to 100 printable characters")


def sha256(secret: str) -> str:
    """Return the SHA-256 of a random secret in hex. Not for passwords."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _unknown_person(name: str) -> ConfigurationError:
    return ConfigurationError(f"nobody is named {name!r}: see `amd-service person list`")
