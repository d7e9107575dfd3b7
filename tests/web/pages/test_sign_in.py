"""Signing in and out."""

import asyncio
import re
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from amd_service.database.pool import Database
from amd_service.domain import Role
from amd_service.operations import credentials
from amd_service.operations.sign_in import PasswordChecker
from amd_service.web.sign_in_limiter import PER_CLIENT_AND_NAME
from amd_service.web.state import MAX_SIGN_INS
from tests.support.app import App, open_app
from tests.support.people import PASSWORD, add_person, browser_of, signed_in
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

KEYLESS: dict[str, Any] = {"api_keys": [], "public_url": None}
HTML = {"accept": "text/html,application/xhtml+xml", "sec-fetch-site": "same-origin"}


@pytest.fixture
async def pages(database: Database) -> AsyncIterator[App]:
    """The service with one person and without keys."""
    await add_person(database, "ann", Role.REVIEWER)
    opened = open_app(database, **KEYLESS)
    del opened.client.headers["authorization"]
    yield opened
    await opened.client.aclose()


async def post(
    pages: App, path: str = "/sign-in", headers: dict[str, str] | None = None, **form: str
) -> httpx2.Response:
    return await pages.client.post(path, data=form, headers=HTML | (headers or {}))


def cookie_of(response: httpx2.Response, name: str = "amd_session") -> Any:
    return SimpleCookie(response.headers["set-cookie"])[name]


async def test_a_browser_without_a_session_is_led_to_the_form_and_back(pages: App) -> None:
    response = await pages.client.get("/metrics?a=1&b=2", headers=HTML)
    assert (response.status_code, response.headers["location"]) == (303, "/sign-in?next=/metrics%3Fa%3D1%26b%3D2")
    form = await pages.client.get(response.headers["location"], headers=HTML)
    assert 'name="next" value="/metrics?a=1&amp;b=2"' in form.text
    response = await post(pages, name="ann", password=PASSWORD, next="/metrics?a=1&b=2")
    assert (response.status_code, response.headers["location"]) == (303, "/metrics?a=1&b=2")
    cookie = cookie_of(response)
    assert (await pages.client.get("/metrics", headers={"cookie": f"amd_session={cookie.value}"})).status_code == 200


@pytest.mark.parametrize("public_url", ["https://example.com/met", "https://example.com/amd"])
async def test_only_the_prefix_of_the_public_url_is_removed_from_the_page(database: Database, public_url: str) -> None:
    opened = open_app(database, public_url=public_url)
    del opened.client.headers["authorization"]
    prefix = public_url.removeprefix("https://example.com")
    for shown in ("/metrics", f"{prefix}/metrics"):
        headers = HTML | {"hx-request": "true", "hx-current-url": f"https://example.com{shown}"}
        response = await opened.client.get("/metrics", headers=headers)
        assert response.headers["hx-redirect"] == f"{prefix}/sign-in?next=/metrics"
    await opened.client.aclose()


async def test_a_form_that_is_sent_after_the_session_ended_leads_to_the_sign_in(pages: App) -> None:
    response = await post(pages, "/sign-out", {"cookie": "amd_session=ended"})
    assert (response.status_code, response.headers["location"]) == (303, "/sign-in?next=/")


async def test_htmx_is_led_to_the_form_with_the_page_that_the_person_sees(pages: App) -> None:
    for shown, target in (("http://127.0.0.1:8080/calls?label=human", "/calls%3Flabel%3Dhuman"), ("http://[", "/")):
        headers = HTML | {"hx-request": "true", "hx-current-url": shown}
        response = await pages.client.get("/metrics", headers=headers)
        assert (response.status_code, response.headers["hx-redirect"]) == (401, f"/sign-in?next={target}")


@pytest.mark.parametrize(
    ("public_url", "name", "path", "is_secure"),
    [
        ("https://amd.example.com", "__Host-amd_session", "/", True),
        ("https://example.com/amd", "__Secure-amd_session", "/amd/", True),
        ("http://127.0.0.1:8080", "amd_session", "/", False),
    ],
)
async def test_the_cookie_is_as_strict_as_the_public_url_allows(
    database: Database, public_url: str, name: str, path: str, is_secure: bool
) -> None:
    await add_person(database)
    pages = open_app(database, **KEYLESS | {"public_url": public_url, "session_hours": 0.5})
    response = await post(pages, name="ann", password=PASSWORD)
    cookie = cookie_of(response, name)
    assert (cookie["path"], cookie["max-age"], cookie["samesite"]) == (path, "1800", "lax")
    assert (cookie["httponly"], bool(cookie["secure"]), cookie["domain"]) == (True, is_secure, "")
    assert response.headers["location"] == f"{path}calls"


async def test_a_wrong_password_and_an_unknown_name_get_the_same_page(pages: App) -> None:
    wrong = await post(pages, name="ann", password="wrong")
    unknown = await post(pages, name="eve", password="wrong")
    assert wrong.status_code == unknown.status_code == 401
    pages_seen = {
        re.sub('nonce="[^"]*"', "", response.text).replace(f'value="{name}"', "")
        for response, name in ((wrong, "ann"), (unknown, "eve"))
    }
    assert len(pages_seen) == 1
    assert "The name or the password is wrong." in unknown.text
    assert "set-cookie" not in wrong.headers


async def test_people_without_access_or_without_a_password_cannot_sign_in(pages: App, database: Database) -> None:
    await credentials.add_person(database, "proxied", Role.ADMIN, None)
    await credentials.disable_person(database, "ann")
    for name in ("proxied", "ann", "", "\x00", "a" * 500, "\ud800".encode(errors="surrogatepass").decode("latin-1")):
        assert (await post(pages, name=name, password=PASSWORD)).status_code == 401


async def test_signing_in_starts_a_new_session_and_ends_the_one_before(pages: App, database: Database) -> None:
    before = await browser_of(database)
    response = await post(pages, headers=before.cookie, name="ann", password=PASSWORD)
    token = cookie_of(response).value
    assert token != before.token
    assert (await pages.client.get("/metrics", headers=before.cookie)).status_code == 401
    fixed = await post(pages, headers={"cookie": "amd_session=chosen-by-a-stranger"}, name="ann", password=PASSWORD)
    assert cookie_of(fixed).value not in ("chosen-by-a-stranger", token)


async def test_signing_out_ends_the_session_and_deletes_the_cookie(pages: App, database: Database) -> None:
    browser, other = await browser_of(database), await browser_of(database)
    await pages.client.get("/metrics", headers=browser.cookie)
    response = await post(pages, "/sign-out", browser.cookie, csrf_token=browser.headers["x-csrf-token"])
    assert (response.status_code, response.headers["location"]) == (303, "/sign-in")
    assert cookie_of(response)["max-age"] == "0"
    assert (await pages.client.get("/metrics", headers=browser.cookie)).status_code == 401
    assert (await pages.client.get("/metrics", headers=other.cookie)).status_code == 200


async def test_signing_out_everywhere_ends_all_sessions_of_the_person(pages: App, database: Database) -> None:
    browser, other = await browser_of(database), await browser_of(database)
    stranger = await signed_in(database, "ben", Role.VIEWER)
    form = {"csrf_token": browser.headers["x-csrf-token"], "everywhere": "1"}
    await post(pages, "/sign-out", browser.cookie, **form)
    for each, status in ((browser, 401), (other, 401), (stranger, 200)):
        assert (await pages.client.get("/metrics", headers=each.cookie)).status_code == status


async def test_signing_out_needs_the_csrf_token_of_the_session(pages: App, database: Database) -> None:
    browser = await browser_of(database)
    for form in ({}, {"csrf_token": "0" * 64}):
        assert (await post(pages, "/sign-out", browser.cookie, **form)).status_code == 403
    assert (await pages.client.get("/metrics", headers=browser.cookie)).status_code == 200


async def test_another_site_can_neither_sign_in_nor_out(pages: App, database: Database) -> None:
    attack = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    assert (await post(pages, headers=attack, name="ann", password=PASSWORD)).status_code == 403
    browser = await browser_of(database)
    form = {"csrf_token": browser.headers["x-csrf-token"]}
    assert (await post(pages, "/sign-out", browser.cookie | attack, **form)).status_code == 403


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\n/evil.example",
        "evil",
        "",
        "\\/x",
    ],
)
async def test_the_form_leads_to_no_other_site(pages: App, target: str) -> None:
    response = await post(pages, name="ann", password=PASSWORD, next=target)
    assert response.headers["location"] == "/calls"


async def test_too_many_wrong_passwords_get_429_with_a_time(pages: App) -> None:
    statuses = [(await post(pages, name="ann", password="x")).status_code for _ in range(PER_CLIENT_AND_NAME)]
    assert statuses == [401] * PER_CLIENT_AND_NAME
    refused = await post(pages, name="ann", password=PASSWORD)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "Too many attempts. Try again in" in refused.text


async def test_behind_a_trusted_proxy_each_client_has_its_own_limit(database: Database) -> None:
    await add_person(database)
    pages = open_app(database, **KEYLESS | {"trusted_proxies": "127.0.0.1"})
    for _ in range(PER_CLIENT_AND_NAME + 1):
        refused = await post(pages, headers={"x-forwarded-for": "203.0.113.9"}, name="ann", password="x")
    assert refused.status_code == 429
    signed = await post(pages, headers={"x-forwarded-for": "192.0.2.7"}, name="ann", password=PASSWORD)
    assert signed.status_code == 303


async def test_passwords_are_checked_one_at_a_time_and_further_sign_ins_get_429(
    pages: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, release = 0, 0, asyncio.Event()

    async def to_thread(*_: Any) -> tuple[bool, None]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        return False, None

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    requests = [post(pages, name=f"name {number}", password="x") for number in range(MAX_SIGN_INS + 3)]
    tasks = [asyncio.ensure_future(request) for request in requests]
    await until(lambda: sum(task.done() for task in tasks) == 3)
    assert [task.result().status_code for task in tasks if task.done()] == [429] * 3
    release.set()
    statuses = [response.status_code for response in await asyncio.gather(*tasks)]
    assert (statuses.count(401), statuses.count(429)) == (MAX_SIGN_INS, 3)
    assert most == 1


async def test_without_a_database_the_form_says_so(closed_database: Database) -> None:
    pages = open_app(closed_database, **KEYLESS)
    for _ in range(PER_CLIENT_AND_NAME + 1):
        response = await post(pages, name="ann", password=PASSWORD)
        assert response.status_code == 503
    assert "The database is unavailable" in response.text


async def test_the_log_says_who_signs_in_and_contains_no_password(pages: App) -> None:
    with capture_logs() as logs:
        await post(pages, name="ann", password="not this one")
        await post(pages, name="my password in the wrong field", password="")
        signed = await post(pages, name="ann", password=PASSWORD)
    entries = [(entry["event"], entry.get("name"), entry.get("reason")) for entry in logs]
    assert entries == [
        ("sign-in refused", "ann", "wrong password"),
        ("sign-in refused", None, "unknown name"),
        ("signed in", "ann", None),
    ]
    assert all(entry["client"] == "127.0.0.1" for entry in logs)
    assert PASSWORD not in str(logs)
    assert cookie_of(signed).value not in str(logs)


async def test_a_large_form_is_refused(pages: App) -> None:
    assert (await post(pages, name="ann", password="x" * 20_000)).status_code == 413


async def test_a_check_without_a_hash_takes_as_long_as_a_check_with_one() -> None:
    checks: list[str] = []

    class Hasher:
        def hash(self, _password: str) -> str:
            checks.append("hash")
            return ""

        def verify(self, _hash: str, _password: str) -> bool:
            checks.append("verify")
            return True

        def check_needs_rehash(self, _hash: str) -> bool:
            return False

    checker = PasswordChecker(Hasher())  # type: ignore[arg-type]
    assert await checker.check(None, PASSWORD) == (False, None)
    assert await checker.check("$argon2id$", PASSWORD) == (True, None)
    assert checks == ["hash", "verify"]  # one run of Argon2 each, with the same parameters
