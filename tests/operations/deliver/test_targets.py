"""Deliveries go only to public addresses, and to the networks of AMD_DELIVERY_NETWORKS."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import httpx2
import pytest

from amd_service.errors import TargetRefused
from amd_service.operations.deliver.targets import BadTargets, CheckedTransport, find_bad_targets, is_allowed

pytestmark = pytest.mark.anyio

PUBLIC, OTHER_PUBLIC = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "239.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "ff0e::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378::1",
        "2001:db8::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_allowed(ip_address(address), [])


@pytest.mark.parametrize("address", [PUBLIC, OTHER_PUBLIC, f"::ffff:{PUBLIC}"])
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), [])


def test_the_settings_can_allow_a_network() -> None:
    allowed = [ip_network("10.0.0.0/8"), ip_network("::1/128")]
    assert is_allowed(ip_address("10.1.2.3"), allowed)
    assert is_allowed(ip_address("::ffff:10.1.2.3"), allowed)
    assert is_allowed(ip_address("::1"), allowed)
    assert not is_allowed(ip_address("192.168.1.1"), allowed)


class Name:
    """A name server whose answers a test chooses, and a network that records connections."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.connected: list[tuple[str, str, object]] = []
        self.unreachable: set[str] = set()

    async def resolve(self, _host: str, _port: int) -> Sequence[str]:
        return self._answers.pop(0)

    def connect(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.host in self.unreachable:
            raise httpx2.ConnectError("refused")
        self.connected.append((request.url.host, request.headers["host"], request.extensions.get("sni_hostname")))
        return httpx2.Response(204)

    async def post(self, url: str = "https://backend.example.com/amd") -> int:
        transport = CheckedTransport([], resolve=self.resolve, transport=httpx2.MockTransport(self.connect))
        async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
            return (await client.post(url)).status_code


async def test_the_connection_goes_to_the_checked_address_with_the_name_of_the_url() -> None:
    name = Name([PUBLIC])
    assert await name.post() == 204
    assert name.connected == [(PUBLIC, "backend.example.com", "backend.example.com")]


async def test_the_next_address_is_tried_if_the_first_is_unreachable() -> None:
    name = Name([OTHER_PUBLIC, PUBLIC])
    name.unreachable = {OTHER_PUBLIC}
    assert await name.post() == 204
    assert [address for address, *_ in name.connected] == [PUBLIC]


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://[::1]:8080/", "http://169.254.169.254/latest/meta-data"])
async def test_a_private_address_in_the_url_is_refused(url: str) -> None:
    name = Name()
    with pytest.raises(TargetRefused, match="AMD_DELIVERY_NETWORKS"):
        await name.post(url)
    assert name.connected == []


async def test_a_name_with_one_private_address_is_refused() -> None:
    name = Name([PUBLIC, "10.0.0.5"])
    with pytest.raises(TargetRefused, match=r"backend\.example\.com is at 10\.0\.0\.5"):
        await name.post()
    assert name.connected == []


async def test_a_name_that_changes_to_a_private_address_is_refused() -> None:
    name = Name([PUBLIC], ["127.0.0.1"])
    assert await name.post() == 204
    with pytest.raises(TargetRefused):
        await name.post()
    assert [address for address, *_ in name.connected] == [PUBLIC]


async def test_a_name_that_changes_after_the_check_does_not_matter() -> None:
    # The name server is asked once. A second question would be answered with a private address.
    name = Name([PUBLIC], ["127.0.0.1"])
    await name.post()
    assert name.connected[0][0] == PUBLIC


async def test_a_name_without_an_address_is_a_connect_error() -> None:
    with pytest.raises(httpx2.ConnectError):
        await Name([]).post()


async def test_bad_targets_are_found_before_the_first_delivery() -> None:
    addresses = {"good.example.com": [PUBLIC], "bad.example.com": [PUBLIC, "169.254.169.254"]}

    async def resolve(host: str, _port: int) -> Sequence[str]:
        if host not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        return addresses[host]

    urls = [f"https://{host}/secret" for host in (*addresses, "unknown.example.com", "10.0.0.7", "[::1]:8443")]
    bad = await find_bad_targets(urls, [ip_network("10.0.0.0/8")], resolve=resolve)
    assert [text.partition(",")[0] for text in bad.refused] == [
        "bad.example.com is at 169.254.169.254",
        "::1 is not a public address: if this is intended",
    ]
    assert bad.unresolved == [f"unknown.example.com cannot be resolved: [Errno {socket.EAI_NONAME}] unknown name"]
    assert "secret" not in "".join(bad.refused)


async def test_a_name_server_that_does_not_answer_is_not_waited_for() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    bad = await find_bad_targets(["https://slow.example.com"], [], resolve=resolve, timeout_s=0.01)
    assert bad == BadTargets([], ["slow.example.com cannot be resolved: no answer within 0.01 s"])
