"""The doctor's requests to AMD_PUBLIC_URL."""

import socket
from collections.abc import Callable

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.cli.doctor.public_access import check_proxy
from amd_service.database.pool import Database
from amd_service.settings import Settings
from amd_service.simulator.twilio.loopback_server import serve_on_loopback
from amd_service.web.app import create_app
from tests.support.app import open_app

pytestmark = pytest.mark.anyio


async def check(public_url: str | None) -> CheckResult:
    return await check_proxy(Settings(_env_file=None, public_url=public_url))


async def check_behind(respond: Callable[[Request], Response]) -> CheckResult:
    """The result behind a proxy that responds itself."""

    async def endpoint(request: Request) -> Response:
        return respond(request)

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])])
    async with serve_on_loopback(app) as url:
        return await check(url)


async def test_a_service_that_gets_the_requests_unchanged_is_ok() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    runtime = open_app(database).runtime
    async with serve_on_loopback(create_app(runtime)) as url:
        result = await check(url)
        assert (result.health, url in result.text) == (Health.OK, True)
        # A proxy that keeps the prefix of AMD_PUBLIC_URL.
        kept = await check(f"{url}/amd")
    await database.dispose()
    assert kept.health is Health.FAIL
    assert "must strip the prefix '/amd'" in kept.text


async def test_a_running_service_without_a_public_url_is_found() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    runtime = open_app(database, public_url=None).runtime
    async with serve_on_loopback(create_app(runtime)) as url:
        result = await check(url)
    await database.dispose()
    assert result.health is Health.FAIL
    assert ", but not the service's response to an unsigned callback: AMD_PUBLIC_URL is not set" in result.text


@pytest.mark.parametrize(
    ("respond", "said"),
    [
        (lambda _: HTMLResponse("<h1>502 Bad\nGateway</h1>", 502, {"server": "nginx/1.22"}), "nginx/1.22"),
        (lambda _: HTMLResponse("<h1>502 Bad\nGateway</h1>", 502), "502 Bad Gateway"),
        (lambda request: RedirectResponse(f"https://x{request.url.path}", 301), "a redirect to https://x/health"),
        (lambda _: HTMLResponse("Just a moment...", 403, {"server": "cloudflare"}), "cloudflare"),
        (lambda _: HTMLResponse("It works!"), "It works!"),
        (lambda _: Response(status_code=404), "must forward this path"),
        (lambda _: JSONResponse([1]), "[1]"),
        (lambda _: JSONResponse({"detail": "send one of AMD_API_KEYS"}, 401), "send one of AMD_API_KEYS"),
        (lambda _: Response(status_code=405), "405"),
    ],
)
async def test_another_response_is_named_in_one_line(respond: Callable[[Request], Response], said: str) -> None:
    result = await check_behind(respond)
    assert (result.health, said in result.text) == (Health.FAIL, True), result.text
    assert all(request in result.text for request in ("GET http", "/health", "POST http", "/twilio/status", "proxy.md"))
    assert "\n" not in result.text


async def test_no_response_is_a_warning_that_names_the_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = await check(f"http://127.0.0.1:{port}")
    assert (result.health, "start the service" in result.text) == (Health.WARN, True)


async def test_without_a_public_url_nothing_is_sent() -> None:
    assert (await check(None)).health is Health.WARN
