"""People who are signed in."""

from amd_service.domain import Role
from amd_service.web.session_cookie import SessionCookie, csrf_token
from tests.support.app import App
from tests.support.people import add_person, browser_of


async def sign_in(service: App, role: Role, *, sees_numbers: bool = False) -> str:
    """Add a person named after the role, use the person's session in all further requests, return the CSRF token."""
    database = service.runtime.database
    await add_person(database, role.value, role, sees_numbers=sees_numbers)
    browser = await browser_of(database, role.value)
    service.client.headers.pop("authorization", None)
    name = SessionCookie.of(service.runtime.settings.public_url).name
    service.client.headers["cookie"] = f"{name}={browser.token}"
    return csrf_token(browser.token)
