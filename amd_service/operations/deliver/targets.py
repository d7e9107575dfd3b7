"""Decides to which addresses a delivery may go, and connects only to these addresses.

A URL in the settings, and the name server that resolves its host, could otherwise lead the service to a neighbour in
its own network, for example to the metadata service of a cloud (https://owasp.org/www-community/attacks/SSRF).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import httpx2

from amd_service.errors import DeliveryFailed, TargetRefused
from amd_service.settings import Network

# Maximum seconds that the start of a worker waits for the name server.
START_TIMEOUT_S = 5.0

Address = IPv4Address | IPv6Address
# Returns the addresses of a host.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class BadTargets:
    """`refused`: hosts at an address that is not allowed. `unresolved`: hosts whose name cannot be resolved now."""

    refused: Sequence[str]
    unresolved: Sequence[str]


# IPv6 addresses behind which a translator reaches an IPv4 address, in the last 32 bits (RFC 6052 and RFC 8215).
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the name server of the system. Raises OSError for an unknown host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether a delivery may go to an address: it is public, or in one of `networks`.

    An IPv4 address inside an IPv6 address (IPv4-mapped, 6to4, NAT64) must be allowed itself.
    """
    inner = _embedded(address)
    if inner is not None:
        return is_allowed(inner, networks)
    if any(address in network for network in networks):
        return True
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _embedded(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    # `::a.b.c.d` is the deprecated form that some systems still route to IPv4 (RFC 4291, section 2.5.5.1).
    compatible = IPv4Address(int(address)) if 1 < int(address) < 2**32 else None
    return address.ipv4_mapped or address.sixtofour or compatible


async def checked_addresses(
    url: httpx2.URL, networks: Sequence[Network], *, resolve: Resolve = resolve
) -> Sequence[Address]:
    """Return the addresses of a URL's host. Raises TargetRefused if one of them is not allowed, and OSError."""
    host, port = url.host, url.port or (443 if url.scheme == "https" else 80)
    found = [host] if _is_address(host) else list(dict.fromkeys(await resolve(host, port)))
    addresses = [ip_address(address.partition("%")[0]) for address in found]
    for address in addresses:
        if not is_allowed(address, networks):
            subject = host if _is_address(host) else f"{host} is at {address}, which"
            raise TargetRefused(
                f"{subject} is not a public address: if this is intended, add its network to AMD_DELIVERY_NETWORKS, "
                f"for example {ip_network(address)}"
            )
    return addresses


async def find_bad_targets(
    urls: Iterable[str], networks: Sequence[Network], *, resolve: Resolve = resolve, timeout_s: float = START_TIMEOUT_S
) -> BadTargets:
    """Check the addresses of all URLs at once, before the first delivery."""
    checks = [_why_bad(httpx2.URL(url), networks, resolve, timeout_s) for url in urls]
    faults = [fault for fault in await asyncio.gather(*checks) if fault is not None]
    return BadTargets(
        [str(fault) for fault in faults if isinstance(fault, TargetRefused)],
        [str(fault) for fault in faults if not isinstance(fault, TargetRefused)],
    )


async def _why_bad(
    url: httpx2.URL, networks: Sequence[Network], resolve: Resolve, timeout_s: float
) -> DeliveryFailed | None:
    """Return why an event cannot be sent to a URL now, or None. Path and query are not named: they may be secret."""
    try:
        async with asyncio.timeout(timeout_s):
            await checked_addresses(url, networks, resolve=resolve)
    except TargetRefused as error:
        return error
    except TimeoutError:
        return DeliveryFailed(f"{url.host} cannot be resolved: no answer within {timeout_s:g} s")
    except OSError as error:
        return DeliveryFailed(f"{url.host} cannot be resolved: {error}")
    return None


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Connects to an address that was checked. The name server is asked once per request, and never by the connection.

    A name that resolves to a public address during the check, and to a private one afterwards, therefore gains nothing.
    Use one transport per URL: a kept connection is reused by address, whatever the host of the next request.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        *,
        resolve: Resolve = resolve,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._networks = networks
        self._resolve = resolve
        self._transport = transport or httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to the first address that accepts a connection.

        Raises TargetRefused if one of the host's addresses is not allowed, and httpx2.ConnectError.
        """
        host = request.url.host
        try:
            addresses = await checked_addresses(request.url, self._networks, resolve=self._resolve)
        except OSError as error:
            raise httpx2.ConnectError(f"{host} cannot be resolved: {error}", request=request) from error
        failure = httpx2.ConnectError(f"{host} has no address", request=request)
        for address in addresses:
            # The header Host and the name in the certificate stay those of the URL.
            checked = httpx2.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions | {"sni_hostname": host},
            )
            try:
                return await self._transport.handle_async_request(checked)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = httpx2.ConnectError(str(error) or "no connection", request=request)
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
