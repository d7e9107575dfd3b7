"""Sign people in with a password, and out."""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from amd_service.calls import people
from amd_service.database.pool import Database
from amd_service.operations.credentials import check_password, is_name, sha256


@dataclass(frozen=True, slots=True)
class SignIn:
    """The result of a sign-in. `token`: value of the session cookie, None if the password or the name is wrong.

    Only the hash of the token is stored. `is_known`: whether an enabled person has the name.
    """

    token: str | None
    is_known: bool


class PasswordChecker:
    """Checks one password at a time. A check needs 64 MiB and up to four cores for about 50 ms (argon2id, RFC 9106)."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._one_at_a_time = asyncio.Lock()

    async def check(self, password_hash: str | None, password: str) -> tuple[bool, str | None]:
        """Return whether the password fits, and a new hash if the stored hash has other parameters than today's."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._check, password_hash, password)

    async def hash(self, password: str) -> str:
        """Hash a new password."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._hasher.hash, password)

    def _check(self, password_hash: str | None, password: str) -> tuple[bool, str | None]:
        if password_hash is None:
            # Takes as long as a check, so the time does not reveal which names exist.
            self._hasher.hash(password)
            return False, None
        try:
            self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False, None
        is_outdated = self._hasher.check_needs_rehash(password_hash)
        return True, self._hasher.hash(password) if is_outdated else None


async def sign_in(
    database: Database, passwords: PasswordChecker, name: str, password: str, *, lasts: timedelta, replaces: str | None
) -> SignIn:
    """Check a password and start a session that ends after `lasts`.

    `replaces`: the token of an earlier session of the same browser, which ends. Raises DatabaseUnavailable.
    """
    found = None
    if is_name(name):
        async with database.looking_up() as session:
            found = await people.find_credentials(session, name)
    is_correct, new_hash = await passwords.check(None if found is None else found.password_hash, password)
    if found is None or not is_correct:
        return SignIn(None, is_known=found is not None)
    token = secrets.token_urlsafe(32)
    async with database.transaction() as session:
        started = await people.start_session(session, found, sha256(token), lasts, new_hash=new_hash)
        if started and replaces is not None:
            await people.end_session(session, sha256(replaces))
    return SignIn(token if started else None, is_known=True)


async def change_password(
    database: Database, passwords: PasswordChecker, name: str, old: str, new: str, *, lasts: timedelta
) -> str | None:
    """Change a password, end all sessions of the person, and start a session. Returns its token.

    None: `old` is wrong, or the person has no password. Raises ConfigurationError if `new` is too short or too long,
    and DatabaseUnavailable.
    """
    check_password(new)
    async with database.looking_up() as session:
        found = await people.find_credentials(session, name)
    is_correct, _ = await passwords.check(None if found is None else found.password_hash, old)
    if found is None or not is_correct:
        return None
    new_hash, token = await passwords.hash(new), secrets.token_urlsafe(32)
    async with database.transaction() as session:
        await people.sign_out_everywhere(session, name)
        started = await people.start_session(session, found, sha256(token), lasts, new_hash=new_hash)
    return token if started else None


async def sign_out(database: Database, token: str, *, everywhere: bool = False) -> None:
    """End the session of a cookie, or all sessions of its person. Raises DatabaseUnavailable."""
    end = people.end_all_sessions if everywhere else people.end_session
    async with database.transaction() as session:
        await end(session, sha256(token))
