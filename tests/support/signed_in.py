"""People who are signed in."""

from datetime import timedelta

from amd_service.domain import Role
from amd_service.operations import credentials
from amd_service.web.authentication import SESSION_COOKIE, csrf_token
from tests.support.app import App

PASSWORD = "a long enough password"


async def sign_in(service: App, role: Role, *, sees_numbers: bool = False) -> str:
    """Add a person named after the role, use the person's session in all further requests, return the CSRF token."""
    database = service.runtime.database
    await credentials.add_person(database, role.value, role, PASSWORD, sees_numbers=sees_numbers)
    session = await credentials.sign_in(database, role.value, PASSWORD, timedelta(hours=1))
    assert session is not None
    service.client.headers.pop("authorization", None)
    service.client.headers["cookie"] = f"{SESSION_COOKIE}={session.token}"
    return csrf_token(session.token)
