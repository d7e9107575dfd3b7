"""nginx with the configuration of docs/access.md, and a program in the place of oauth2-proxy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from amd_service.simulator.twilio.loopback_server import serve_on_loopback
from tests.support.proxies import documented, nginx_command, replace, run_proxy

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
COOKIE = "signed_in_as"


async def check(request: Request) -> Response:
    """GET /oauth2/auth: the person in the cookie is signed in."""
    name = request.cookies.get(COOKIE)
    return Response(status_code=202, headers={"x-auth-request-email": name}) if name else Response(status_code=401)


async def start(request: Request) -> Response:
    """GET /oauth2/start: a real oauth2-proxy leads to the identity provider."""
    return PlainTextResponse(f"sign in, then go to {request.query_params['rd']}")


@asynccontextmanager
async def single_sign_on(folder: Path, port: int, service_port: int) -> AsyncIterator[str]:
    """Run nginx and the program. Yields the URL of nginx."""
    app = Starlette(routes=[Route("/oauth2/auth", check), Route("/oauth2/start", start)])
    async with serve_on_loopback(app) as url:
        changes = {
            r"listen 443 ssl;": f"listen 127.0.0.1:{port};",
            r"^ *ssl_certificate.*$": "",
            r"127\.0\.0\.1:8080": f"127.0.0.1:{service_port}",
            r"http://127\.0\.0\.1:4180": url,
        }
        command = nginx_command(folder, replace(documented("nginx", PAGE), changes))
        async with run_proxy("nginx", command, folder, port) as proxy_url:
            yield proxy_url
