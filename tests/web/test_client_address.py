"""The address of a client behind trusted proxies."""

import ipaddress

import pytest
from starlette.datastructures import Headers

from amd_service.web.client_address import client_network

NETWORKS = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128")]


def client(peer: str | None, *forwarded: str) -> str:
    headers = Headers(raw=[(b"x-forwarded-for", value.encode()) for value in forwarded])
    return client_network(headers, peer, NETWORKS)


def test_a_client_without_a_proxy_is_the_peer_and_its_header_is_ignored() -> None:
    assert client("192.0.2.7") == "192.0.2.7"
    assert client("192.0.2.7", "10.0.0.1") == "192.0.2.7"


def test_a_trusted_proxy_names_the_client() -> None:
    assert client("10.0.0.1", "192.0.2.7") == "192.0.2.7"
    assert client("::1", "192.0.2.7") == "192.0.2.7"


@pytest.mark.parametrize(
    "forwarded", [("203.0.113.9, 192.0.2.7",), ("203.0.113.9", "192.0.2.7"), ("10.0.0.3, 192.0.2.7",)]
)
def test_addresses_that_the_client_claims_are_ignored(forwarded: tuple[str, ...]) -> None:
    assert client("10.0.0.1", *forwarded) == "192.0.2.7"


def test_several_trusted_proxies_are_skipped() -> None:
    assert client("10.0.0.1", "203.0.113.9, 192.0.2.7, 10.2.0.1, 10.3.0.1") == "192.0.2.7"


@pytest.mark.parametrize("forwarded", ["", "unknown", "192.0.2.7, _hidden", "<script>"])
def test_behind_a_proxy_that_names_no_client_the_proxy_counts_as_the_client(forwarded: str) -> None:
    assert client("10.0.0.1", forwarded) == "10.0.0.1"


def test_an_ipv4_address_that_is_mapped_to_ipv6_is_the_ipv4_address() -> None:
    assert client("::ffff:10.0.0.1", "::ffff:192.0.2.7") == "192.0.2.7"


def test_the_addresses_of_one_ipv6_network_count_as_one_client() -> None:
    assert client("2001:db8:1:2::1") == client("2001:db8:1:2:ffff::7") == "2001:db8:1:2::/64"
    assert client("2001:db8:1:3::1") != client("2001:db8:1:2::1")


@pytest.mark.parametrize("peer", [None, "", "testclient"])
def test_an_unknown_address_is_empty(peer: str | None) -> None:
    assert client(peer, "192.0.2.7") == ""
