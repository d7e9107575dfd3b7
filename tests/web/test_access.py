"""Access control."""

import pytest
from starlette.datastructures import Headers

from amd_service.settings import Settings
from amd_service.web.access import access_problem

KEYED = Settings(api_keys="alpha, beta")
KEYLESS = Settings(host="127.0.0.1")


def status(settings: Settings, **headers: str) -> int | None:
    problem = access_problem(Headers({name.replace("_", "-"): value for name, value in headers.items()}), settings)
    return None if problem is None else problem.status.value


@pytest.mark.parametrize("key", ["alpha", "beta"])
def test_each_configured_key_grants_access(key: str) -> None:
    assert status(KEYED, authorization=f"Bearer {key}", host="amd.example.com") is None


@pytest.mark.parametrize("sent", ["Bearer gamma", "Bearer ", "Basic alpha", "alpha", "Bearer alphabeta", "Bearer ä"])
def test_any_other_authorization_gets_401_even_from_this_machine(sent: str) -> None:
    assert status(KEYED, authorization=sent, host="127.0.0.1") == 401


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "127.0.0.1"])
def test_without_keys_requests_from_this_machine_are_allowed(host: str) -> None:
    assert status(KEYLESS, host=host) is None


@pytest.mark.parametrize(
    "host", ["amd.example.com", "10.0.0.1:8080", "", "127.0.0.1.example.com", "localhost.evil.test"]
)
def test_without_keys_another_host_name_is_refused(host: str) -> None:
    assert status(KEYLESS, host=host) == 403


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
def test_without_keys_a_forwarded_request_is_refused(header: str, value: str) -> None:
    assert status(KEYLESS, host="localhost", **{header.lower().replace("-", "_"): value}) == 403


@pytest.mark.parametrize("hosts", [("localhost", "localhost"), ("localhost", "amd.example.com"), ()])
def test_without_keys_a_request_without_exactly_one_host_is_refused(hosts: tuple[str, ...]) -> None:
    headers = Headers(raw=[(b"host", host.encode()) for host in hosts])
    problem = access_problem(headers, KEYLESS)
    assert problem is not None
    assert problem.status.value == 403


def test_without_keys_ordinary_headers_of_local_programs_are_allowed() -> None:
    ordinary = {"user_agent": "curl/8", "accept": "*/*", "x_request_id": "1", "traceparent": "00-1-2-01", "x_id": "x"}
    assert status(KEYLESS, host="localhost", **ordinary) is None


def test_without_keys_a_service_bound_to_all_addresses_refuses_local_requests() -> None:
    assert status(Settings(host="0.0.0.0"), host="127.0.0.1") == 403


@pytest.mark.parametrize("public_url", ["https://amd.example.com", "http://10.0.0.1:8080"])
def test_without_keys_a_published_service_refuses_local_requests(public_url: str) -> None:
    assert status(Settings(public_url=public_url), host="127.0.0.1") == 403


def test_without_keys_local_requests_are_allowed_with_a_loopback_public_url() -> None:
    assert status(Settings(public_url="http://127.0.0.1:8080"), host="127.0.0.1") is None
