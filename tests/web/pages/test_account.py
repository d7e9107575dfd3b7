"""People change their password on a page."""

import re
from collections.abc import AsyncIterator

import pytest

from amd_service.database.pool import Database
from amd_service.domain import Role
from amd_service.operations import credentials
from amd_service.operations.sign_in import PasswordChecker, sign_in
from amd_service.web.session_cookie import csrf_token
from amd_service.web.sign_in_limiter import PER_CLIENT_AND_NAME
from tests.support.app import App, open_app
from tests.support.people import PASSWORD, TWELVE_HOURS, Browser, browser_of, signed_in

pytestmark = pytest.mark.anyio

NEW = "another long password"
HTML = {"accept": "text/html", "sec-fetch-site": "same-origin"}


@pytest.fixture
async def pages(database: Database) -> AsyncIterator[App]:
    """The service without keys."""
    opened = open_app(database, api_keys=[], public_url=None)
    del opened.client.headers["authorization"]
    yield opened
    await opened.client.aclose()


async def change(pages: App, browser: Browser, **changed: str) -> tuple[int, str, str | None]:
    """Send the form. Returns the status, the message and the new session cookie."""
    form = {"old": PASSWORD, "new": NEW, "repeated": NEW, "csrf_token": csrf_token(browser.token)} | changed
    response = await pages.client.post("/account/password", data=form, headers=HTML | browser.cookie)
    message = re.search(r'class="note[^>]*>([^<]*)', response.text)
    cookie = re.search("amd_session=([^;]+)", response.headers.get("set-cookie", ""))
    return response.status_code, message[1] if message else "", cookie[1] if cookie else None


async def may_sign_in(database: Database, password: str) -> bool:
    found = await sign_in(database, PasswordChecker(), "ann", password, lasts=TWELVE_HOURS, replaces=None)
    return found.token is not None


async def test_a_person_changes_the_password_and_only_this_browser_stays_signed_in(
    pages: App, database: Database
) -> None:
    browser = await signed_in(database, "ann", Role.VIEWER)
    other = await browser_of(database, "ann")
    status, message, cookie = await change(pages, browser)
    assert (status, message) == (200, "The password is changed. All other browsers are signed out. ")
    assert (await may_sign_in(database, PASSWORD), await may_sign_in(database, NEW)) == (False, True)
    assert cookie is not None
    for token, is_valid in ((cookie, True), (browser.token, False), (other.token, False)):
        assert (await credentials.find_by_session(database, token) is not None) is is_valid


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"old": "wrong"}, 403, "The present password is wrong."),
        ({"repeated": "other"}, 422, "The new passwords differ."),
        ({"new": "short", "repeated": "short"}, 422, "The password must have 12 to 1000 characters, and not 5."),
        ({"csrf_token": "wrong"}, 403, "The CSRF token is missing or old: load the page again."),
    ],
)
async def test_a_wrong_form_changes_nothing_and_says_why(
    pages: App, database: Database, changed: dict[str, str], status: int, words: str
) -> None:
    browser = await signed_in(database, "ann", Role.VIEWER)
    assert await change(pages, browser, **changed) == (status, words, None)
    assert await may_sign_in(database, PASSWORD)


async def test_a_stolen_session_does_not_help_to_find_the_password(pages: App, database: Database) -> None:
    browser = await signed_in(database, "ann", Role.VIEWER)
    for _ in range(PER_CLIENT_AND_NAME):
        assert (await change(pages, browser, old="wrong"))[0] == 403
    assert (await change(pages, browser))[0] == 429
    assert await may_sign_in(database, PASSWORD)


async def test_the_page_offers_to_sign_out_everywhere(pages: App, database: Database) -> None:
    browser = await signed_in(database, "ann", Role.VIEWER)
    page = (await pages.client.get("/account", headers=HTML | browser.cookie)).text
    assert 'name="everywhere"' in page
    assert 'href="/account" aria-current="page"' in page


async def test_people_without_a_password_learn_why_there_is_no_form(pages: App, database: Database) -> None:
    page = (await pages.client.get("/account", headers=HTML)).text
    assert "no password here" in page
    response = await pages.client.post("/account/password", data={"old": "x"}, headers=HTML)
    assert response.status_code == 403
