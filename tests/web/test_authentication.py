"""The service recognises the sender of a request by a key, a session or a sign-in proxy."""

from datetime import timedelta
from typing import Any

import pytest
from starlette.datastructures import Headers
from structlog.testing import capture_logs

from amd_service.database.pool import Database
from amd_service.domain import ALL_SCOPES, AccessScope, Principal, Role
from amd_service.errors import DatabaseUnavailable
from amd_service.operations import credentials
from amd_service.operations.sign_in import sign_out
from amd_service.web.authentication import CONFIGURED_KEY, LOCAL_CLIENT, Authentication
from amd_service.web.problems import Problem
from amd_service.web.recent_lookups import MAX_RESULTS, REUSE_S, RecentLookups
from tests.support.app import open_app
from tests.support.people import add_key, add_person, browser_of, signed_in

pytestmark = pytest.mark.anyio

PROXIED: dict[str, Any] = {"user_header": "X-Forwarded-User", "trusted_proxies": "10.0.0.0/8"}
LOCAL = {"host": "127.0.0.1"}


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def authentication(database: Database, clock: Clock | None = None, **settings: Any) -> Authentication:
    settings = {"api_keys": [], "public_url": None} | settings
    return Authentication(open_app(database, **settings).runtime, clock=clock or Clock())


async def find(
    found: Authentication, headers: dict[str, str] | list[tuple[str, str]], peer: str = "127.0.0.1"
) -> Principal:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    return await found.find(Headers(raw=[(name.encode(), value.encode()) for name, value in pairs]), peer)


async def problem(found: Authentication, *arguments: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        await find(found, *arguments)
    return caught.value


async def test_a_key_in_the_database_has_its_scopes_and_sees_numbers(database: Database) -> None:
    key = await add_key(database, "dashboard", AccessScope.READ)
    assert await find(authentication(database), key) == Principal("dashboard", frozenset({AccessScope.READ}), True)


async def test_a_configured_key_has_all_scopes(database: Database) -> None:
    found = await find(authentication(database, api_keys="alpha"), {"authorization": "bearer alpha"})
    assert found is CONFIGURED_KEY
    assert found.scopes == ALL_SCOPES


async def test_a_revoked_key_has_no_access_after_a_few_seconds(database: Database) -> None:
    clock = Clock()
    running = authentication(database, clock)
    key = await add_key(database, "dashboard", AccessScope.READ)
    await find(running, key)
    await credentials.revoke_api_key(database, "dashboard")
    clock.now += REUSE_S + 0.1
    assert (await problem(running, key | LOCAL)).status == 401


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        (Role.VIEWER, {AccessScope.READ}),
        (Role.REVIEWER, {AccessScope.READ, AccessScope.REVIEW, AccessScope.PREDICT}),
        (Role.ADMIN, ALL_SCOPES),
    ],
)
async def test_a_session_has_the_scopes_of_the_role(
    database: Database, role: Role, scopes: frozenset[AccessScope]
) -> None:
    browser = await signed_in(database, "ann", role)
    assert await find(authentication(database), browser.cookie) == Principal("ann", scopes, role is Role.ADMIN)


async def test_a_session_ends_after_its_lifetime(database: Database) -> None:
    await add_person(database)
    ended = await browser_of(database, lasts=timedelta(seconds=-1))
    assert (await problem(authentication(database), ended.cookie)).status == 401


@pytest.mark.parametrize("change", ["disable", "sign out", "new role", "sign out everywhere"])
async def test_a_session_ends_within_seconds_of_a_change(database: Database, change: str) -> None:
    clock = Clock()
    running = authentication(database, clock)
    browser = await signed_in(database, "ann", Role.VIEWER)
    other = await browser_of(database)
    await find(running, browser.cookie)
    match change:
        case "disable":
            await credentials.disable_person(database, "ann")
        case "sign out":
            await sign_out(database, browser.token)
        case "new role":
            await credentials.change_person(database, "ann", role=Role.ADMIN)
        case _:
            await credentials.sign_out_everywhere(database, "ann")
    clock.now += REUSE_S + 0.1
    assert (await problem(running, browser.cookie)).status == 401
    if change == "sign out":
        assert (await find(running, other.cookie)).name == "ann"
    else:
        assert (await problem(running, other.cookie)).status == 401


async def test_a_disabled_person_has_no_access_through_a_proxy(database: Database) -> None:
    await add_person(database)
    await credentials.disable_person(database, "ann")
    refused = await problem(authentication(database, **PROXIED), {"x-forwarded-user": "ann"}, "10.1.2.3")
    assert refused.status == 403


async def test_a_trusted_proxy_names_the_person(database: Database) -> None:
    await add_person(database, "josé@example.com", Role.REVIEWER)
    running = authentication(database, **PROXIED)
    for peer in ("10.1.2.3", "::ffff:10.1.2.3"):
        assert (await find(running, {"x-forwarded-user": "josé@example.com"}, peer)).name == "josé@example.com"


async def test_the_name_from_the_proxy_has_priority_over_a_session(database: Database) -> None:
    browser = await signed_in(database, "ann", Role.ADMIN)
    await add_person(database, "ben")
    found = await find(authentication(database, **PROXIED), browser.cookie | {"x-forwarded-user": "ben"}, "10.1.2.3")
    assert found.name == "ben"


@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.1", "11.0.0.1", "::ffff:192.0.2.1", "testclient"])
async def test_a_user_header_of_any_other_peer_is_refused(database: Database, peer: str) -> None:
    await add_person(database)
    headers = {"x-forwarded-user": "ann", "x-forwarded-for": "10.1.2.3", **LOCAL}
    refused = await problem(authentication(database, **PROXIED), headers, peer)
    assert refused.status == 403
    assert "AMD_TRUSTED_PROXIES" in refused.detail


@pytest.mark.parametrize("values", [("ann", "ben"), ("ann", "ann"), ("",), (" ",), ("\x00",)])
async def test_a_proxy_must_send_exactly_one_name(database: Database, values: tuple[str, ...]) -> None:
    await add_person(database)
    headers = [("x-forwarded-user", value) for value in values]
    assert (await problem(authentication(database, **PROXIED), headers, "10.1.2.3")).status == 403


async def test_the_user_header_without_a_setting_is_ignored(database: Database) -> None:
    await add_person(database)
    refused = await problem(authentication(database), {"x-forwarded-user": "ann"}, "10.1.2.3")
    assert refused.status == 401


async def test_with_a_user_header_local_clients_need_a_key(database: Database) -> None:
    assert (await problem(authentication(database, **PROXIED), LOCAL)).status == 401


async def test_the_first_person_ends_the_access_of_local_clients_within_seconds(database: Database) -> None:
    clock = Clock()
    running = authentication(database, clock)
    assert await find(running, LOCAL) is LOCAL_CLIENT
    await add_person(database)
    clock.now += REUSE_S + 0.1
    assert (await problem(running, LOCAL)).status == 401


async def test_a_disabled_person_and_a_revoked_key_do_not_open_the_service_again(database: Database) -> None:
    await add_person(database)
    await credentials.disable_person(database, "ann")
    assert (await problem(authentication(database), LOCAL)).status == 401


async def test_the_refusal_without_credentials_names_both_cures(database: Database) -> None:
    refused = await problem(authentication(database), {"host": "amd.example.com"})
    assert refused.status == 403
    assert "AMD_API_KEYS" in refused.detail
    assert "amd-service person add" in refused.detail


async def test_a_configured_key_works_without_a_database(closed_database: Database) -> None:
    running = authentication(closed_database, api_keys="alpha")
    assert await find(running, {"authorization": "Bearer alpha"}) is CONFIGURED_KEY
    assert (await problem(running, {"authorization": "Bearer beta"})).status == 401
    with pytest.raises(DatabaseUnavailable):
        await find(running, {"cookie": "amd_session=x"})
    with pytest.raises(DatabaseUnavailable):
        await find(running, {"authorization": f"Bearer {credentials.KEY_PREFIX}x"})


async def test_without_a_database_the_last_answer_about_local_clients_is_reused(
    database: Database, closed_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    with pytest.raises(DatabaseUnavailable):
        await find(authentication(closed_database, clock), LOCAL)
    running = authentication(database, clock)
    assert await find(running, LOCAL) is LOCAL_CLIENT

    async def fail(_database: Database) -> bool:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(credentials, "has_people_or_keys", fail)
    clock.now += 100 * REUSE_S
    assert await find(running, LOCAL) is LOCAL_CLIENT


async def test_the_use_of_a_key_is_logged_once_an_hour_without_the_key(database: Database) -> None:
    clock = Clock()
    running = authentication(database, clock)
    key = await add_key(database, "dashboard", AccessScope.READ)
    with capture_logs() as logs:
        for _ in range(3):
            await find(running, key, "192.0.2.1")
            clock.now += 1700
    used = [entry for entry in logs if entry["event"] == "API key used"]
    assert [(entry["name"], entry["client"]) for entry in used] == [("dashboard", "192.0.2.1")]
    assert key["authorization"][-20:] not in str(logs)


async def test_invented_keys_do_not_displace_the_lookups_of_real_ones() -> None:
    asked: list[str] = []
    lookups = RecentLookups(Clock())

    async def find_one(name: str, principal: Principal | None) -> Principal | None:
        async def look_up() -> Principal | None:
            asked.append(name)
            return principal

        return await lookups.find(("key", name), look_up)

    await find_one("real", CONFIGURED_KEY)
    for number in range(2 * MAX_RESULTS):
        await find_one(f"invented {number}", None)
    await find_one("real", CONFIGURED_KEY)
    assert asked.count("real") == 1
    await find_one("invented 0", None)
    assert asked.count("invented 0") == 2  # the oldest was forgotten, so the memory is bounded
