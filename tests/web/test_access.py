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


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip", "x_forwarded_host", "via"])
def test_without_keys_a_forwarded_request_is_refused(header: str) -> None:
    assert status(KEYLESS, host="localhost", **{header: "127.0.0.1"}) == 403


def test_without_keys_a_service_bound_to_all_addresses_refuses_local_requests() -> None:
    assert status(Settings(host="0.0.0.0"), host="127.0.0.1") == 403


@pytest.mark.parametrize("public_url", ["https://amd.example.com", "http://10.0.0.1:8080"])
def test_without_keys_a_published_service_refuses_local_requests(public_url: str) -> None:
    assert status(Settings(public_url=public_url), host="127.0.0.1") == 403


def test_without_keys_local_requests_are_allowed_with_a_loopback_public_url() -> None:
    assert status(Settings(public_url="http://127.0.0.1:8080"), host="127.0.0.1") is None
