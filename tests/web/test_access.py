"""Access control: API keys, and clients on this machine."""

from typing import Any

import pytest
from starlette.datastructures import Headers

from amd_service.database.pool import Database
from amd_service.web.authentication import Authentication
from amd_service.web.problems import Problem
from tests.support.app import open_app

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
