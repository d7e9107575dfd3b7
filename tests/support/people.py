"""People and keys in the database, and browsers that are signed in."""

from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe

from argon2 import PasswordHasher

from amd_service.calls import people
from amd_service.database.pool import Database
from amd_service.domain import AccessScope, Role
from amd_service.operations import credentials
from amd_service.web.session_cookie import SessionCookie, csrf_token

PASSWORD = "correct horse battery"
# The parameters are much faster than the parameters of the service.
HASHED = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
TWELVE_HOURS = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Browser:
    """The session cookie of a person."""

    token: str
    public_url: str | None = None

    @property
    def cookie(self) -> dict[str, str]:
        """The header of a GET."""
        return {"cookie": f"{SessionCookie.of(self.public_url).name}={self.token}"}

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a POST by htmx: cookie, CSRF token, and what Chromium sends."""
        return self.cookie | {"x-csrf-token": csrf_token(self.token), "sec-fetch-site": "same-origin"}


async def add_person(
    database: Database, name: str = "ann", role: Role = Role.VIEWER, *, sees_numbers: bool = False
) -> None:
    """Add a person whose password is PASSWORD."""
    async with database.transaction() as session:
        assert await people.add(session, name, role, HASHED, sees_numbers=sees_numbers)


async def browser_of(
    database: Database, name: str = "ann", *, lasts: timedelta = TWELVE_HOURS, public_url: str | None = None
) -> Browser:
    """Start a session of a person, without checking the password."""
    token = token_urlsafe(32)
    async with database.transaction() as session:
        checked = await people.find_credentials(session, name)
        assert checked is not None
        assert await people.start_session(session, checked, credentials.sha256(token), lasts, new_hash=None)
    return Browser(token, public_url)


async def signed_in(
    database: Database, name: str, role: Role, *, sees_numbers: bool = False, public_url: str | None = None
) -> Browser:
    """Add a person and sign the person in."""
    await add_person(database, name, role, sees_numbers=sees_numbers)
    return await browser_of(database, name, public_url=public_url)


async def add_key(database: Database, name: str, *scopes: AccessScope) -> dict[str, str]:
    """Make an API key. Returns the header of its requests."""
    key = await credentials.add_api_key(database, name, scopes)
    return {"authorization": f"Bearer {key}"}
