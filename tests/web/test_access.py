"""Access control: API keys, and clients on this machine."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.datastructures import Headers

from amd_service.database.pool import Database
from amd_service.domain import Principal, Role
from amd_service.web.access import AccessControl
from amd_service.web.app import create_app
from amd_service.web.authentication import Authentication
from amd_service.web.problems import Problem
from tests.support.app import App, open_app
from tests.support.people import browser_of, signed_in

pytestmark = pytest.mark.anyio

KEYED: dict[str, Any] = {"api_keys": "alpha, beta", "public_url": None}
KEYLESS: dict[str, Any] = {"api_keys": [], "public_url": None}


async def status(database: Database, settings: dict[str, Any], sent: Any = None, **headers: Any) -> int | None:
    """The status of the problem; None if the request is allowed."""
    sent = sent or Headers({name.replace("_", "-"): value for name, value in headers.items()})
    try:
        await Authentication(open_app(database, **settings).runtime).find(sent, "127.0.0.1")
    except Problem as problem:
        return problem.status.value
    return None


@pytest.mark.parametrize("key", ["alpha", "beta"])
async def test_each_configured_key_grants_access(database: Database, key: str) -> None:
    assert await status(database, KEYED, authorization=f"Bearer {key}", host="amd.example.com") is None


@pytest.mark.parametrize("sent", ["Bearer gamma", "Bearer ", "Basic alpha", "alpha", "Bearer alphabeta", "Bearer ä"])
async def test_any_other_authorization_gets_401_even_from_this_machine(database: Database, sent: str) -> None:
    assert await status(database, KEYED, authorization=sent, host="127.0.0.1") == 401


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "127.0.0.1"])
async def test_without_keys_requests_from_this_machine_are_allowed(database: Database, host: str) -> None:
    assert await status(database, KEYLESS, host=host) is None


@pytest.mark.parametrize(
    "host", ["amd.example.com", "10.0.0.1:8080", "", "127.0.0.1.example.com", "localhost.evil.test"]
)
async def test_without_keys_another_host_name_is_refused(database: Database, host: str) -> None:
    assert await status(database, KEYLESS, host=host) == 403


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Server",
        "X-Forwarded",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "CF-Connecting-IP",
        "CF-Ray",
        "CDN-Loop",
        "True-Client-IP",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-Host",
        "X-Envoy-External-Address",
        "X-Azure-ClientIP",
        "Tailscale-User-Login",
        "X-Amzn-Trace-Id",
    ],
)
@pytest.mark.parametrize("value", ["127.0.0.1", ""])
async def test_without_keys_a_forwarded_request_is_refused(database: Database, header: str, value: str) -> None:
    assert await status(database, KEYLESS, host="localhost", **{header.lower().replace("-", "_"): value}) == 403


@pytest.mark.parametrize("hosts", [("localhost", "localhost"), ("localhost", "amd.example.com"), ()])
async def test_without_keys_a_request_without_exactly_one_host_is_refused(
    database: Database, hosts: tuple[str, ...]
) -> None:
    headers = Headers(raw=[(b"host", host.encode()) for host in hosts])
    assert await status(database, KEYLESS, headers) == 403


async def test_without_keys_ordinary_headers_of_local_programs_are_allowed(database: Database) -> None:
    ordinary = {"user_agent": "curl/8", "accept": "*/*", "x_request_id": "1", "traceparent": "00-1-2-01", "x_id": "x"}
    assert await status(database, KEYLESS, host="localhost", **ordinary) is None


async def test_without_keys_a_service_bound_to_all_addresses_refuses_local_requests(database: Database) -> None:
    assert await status(database, KEYLESS | {"host": "0.0.0.0"}, host="127.0.0.1") == 403


@pytest.mark.parametrize("public_url", ["https://amd.example.com", "http://10.0.0.1:8080"])
async def test_without_keys_a_published_service_refuses_local_requests(database: Database, public_url: str) -> None:
    assert await status(database, KEYLESS | {"public_url": public_url}, host="127.0.0.1") == 403


async def test_without_keys_local_requests_are_allowed_with_a_loopback_public_url(database: Database) -> None:
    assert await status(database, KEYLESS | {"public_url": "http://127.0.0.1:8080"}, host="127.0.0.1") is None


# Headers of forms and of script requests in browsers, by https://fetch.spec.whatwg.org and their own traces.
ATTACKS: dict[str, dict[str, str]] = {
    "a form of another site, Chromium and Firefox": {
        "origin": "https://evil.example",
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
        "content-type": "application/x-www-form-urlencoded",
    },
    "a form of another port of this machine": {
        "origin": "http://127.0.0.1:3000",
        "sec-fetch-site": "same-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
        "content-type": "application/x-www-form-urlencoded",
    },
    "fetch() of another site with mode no-cors": {
        "origin": "https://evil.example",
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "no-cors",
        "sec-fetch-dest": "empty",
        "content-type": "text/plain;charset=UTF-8",
    },
    "a form in a sandboxed frame": {"origin": "null", "content-type": "text/plain"},
    "a form of another site over http, which gets no Sec-Fetch-Site": {"origin": "http://evil.example"},
    "another port over http": {"origin": "http://127.0.0.1:3000"},
}
SAME_ORIGIN = {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}


@pytest.fixture
async def keyless(database: Database) -> AsyncIterator[App]:
    """The service without keys, which local clients may use."""
    opened = open_app(database, **KEYLESS)
    del opened.client.headers["authorization"]
    yield opened
    await opened.client.aclose()


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_page_of_another_site_cannot_use_the_access_of_this_machine(keyless: App, attack: str) -> None:
    for path in ("/predict", "/predict-stream", "/api/calls"):
        response = await keyless.client.post(path, headers=ATTACKS[attack], content=b"x")
        assert (response.status_code, response.json()["detail"]) == (403, "a page of another site sent this request")


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_page_of_another_site_cannot_use_a_session(database: Database, attack: str) -> None:
    browser = await signed_in(database, "ann", Role.ADMIN)
    opened = open_app(database, **KEYLESS)
    del opened.client.headers["authorization"]
    # SameSite=Lax would keep the cookie away. The check must not rely on that.
    headers = browser.headers | {"authorization": "Basic YW5uOng="} | ATTACKS[attack]
    if "sec-fetch-site" not in ATTACKS[attack]:
        del headers["sec-fetch-site"]
    assert (await opened.client.post("/predict", headers=headers)).status_code == 403


async def test_a_page_at_a_name_that_leads_to_this_machine_has_no_access(keyless: App) -> None:
    """DNS rebinding: the browser takes both for one site, but the Host header names the other site."""
    headers = {"host": "evil.example:8080", "origin": "http://evil.example:8080", "sec-fetch-site": "same-origin"}
    for method in ("GET", "POST"):
        assert (await keyless.client.request(method, "/metrics", headers=headers)).status_code == 403


@pytest.mark.parametrize("destination", ["image", "audio", "script", "iframe", "empty"])
async def test_another_site_cannot_load_parts_of_this_service(keyless: App, destination: str) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": destination}
    if destination == "iframe":
        headers["sec-fetch-mode"] = "navigate"
    assert (await keyless.client.get("/metrics", headers=headers)).status_code == 403


async def test_a_link_on_another_site_leads_to_a_page(keyless: App) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert (await keyless.client.get("/metrics", headers=headers)).status_code == 200
    assert (await keyless.client.post("/predict", headers=headers)).status_code == 403


@pytest.mark.parametrize("headers", [{}, SAME_ORIGIN, {"sec-fetch-site": "none"}, {"origin": "http://127.0.0.1:8080"}])
async def test_own_pages_and_local_programs_have_access(keyless: App, headers: dict[str, str]) -> None:
    assert (await keyless.client.get("/metrics", headers=headers)).status_code == 200
    assert (await keyless.client.post("/predict", headers=headers)).status_code == 415


async def test_a_session_needs_its_csrf_token(database: Database) -> None:
    browser = await signed_in(database, "ann", Role.ADMIN)
    other = await browser_of(database)
    opened = open_app(database, **KEYLESS)
    del opened.client.headers["authorization"]

    async def post(headers: dict[str, str]) -> int:
        return (await opened.client.post("/predict", headers=SAME_ORIGIN | headers)).status_code

    assert await post(browser.headers) == 415
    assert await post(browser.cookie) == 403
    assert await post(browser.cookie | {"x-csrf-token": other.headers["x-csrf-token"]}) == 403
    assert await post({"x-csrf-token": browser.headers["x-csrf-token"]}) == 401
    assert (await opened.client.get("/metrics", headers=browser.cookie)).status_code == 200


async def test_a_program_with_a_key_needs_no_csrf_token(database: Database) -> None:
    opened = open_app(database, **KEYED)
    headers = {"authorization": "Bearer alpha", "origin": "https://dashboard.example", "cookie": "amd_session=x"}
    assert (await opened.client.post("/predict", headers=headers)).status_code == 415


@pytest.mark.parametrize(("settings", "status"), [(KEYED, 401), (KEYLESS, 200)])
async def test_the_authorization_of_another_scheme_is_no_key(
    database: Database, settings: dict[str, Any], status: int
) -> None:
    response = await open_app(database, **settings).client.get("/metrics", headers={"authorization": "Basic YTpi"})
    assert response.status_code == status


@pytest.mark.parametrize(
    "path", ["/static/../metrics", "/twilio/../metrics", "//metrics", "/static/..%2fmetrics", "/sign-in/../metrics"]
)
async def test_no_spelling_of_a_path_avoids_access_control(database: Database, path: str) -> None:
    opened = open_app(database, **KEYED)
    del opened.client.headers["authorization"]
    sent: list[int] = []
    raw = path.encode()
    scope = {
        "type": "http",
        "method": "GET",
        "path": unquote(path),
        "raw_path": raw,
        "query_string": b"",
        "headers": [],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message.get("status", 0))

    await create_app(opened.runtime)(
        scope | {"http_version": "1.1", "scheme": "http", "server": None, "client": None}, receive, send
    )
    assert sent[0] in (401, 404)


async def test_without_a_database_a_browser_gets_a_page_with_503(closed_database: Database) -> None:
    opened = open_app(closed_database, **KEYLESS)
    response = await opened.client.get(
        "/metrics", headers={"cookie": "amd_session=x", "accept": "text/html", "authorization": ""}
    )
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("headers", "is_open"), [({}, False), ({"authorization": "Bearer alpha"}, True)])
async def test_websockets_need_access_too(database: Database, headers: dict[str, str], is_open: bool) -> None:
    reached: list[Principal] = []
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        reached.append(scope["principal"])

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    access = AccessControl(
        app, authentication=Authentication(open_app(database, **KEYED).runtime), public_paths=("/health",)
    )
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await access({"type": "websocket", "path": "/live", "headers": raw, "client": ("10.0.0.1", 1)}, receive, send)
    assert [principal.name for principal in reached] == (["AMD_API_KEYS"] if is_open else [])
    assert sent == ([] if is_open else [{"type": "websocket.close", "code": 1008}])
