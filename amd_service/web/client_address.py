"""Finds the address of a client, also behind trusted proxies."""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers

from amd_service.settings.access import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDED_FOR = "x-forwarded-for"

# A client usually has all addresses of an IPv6 network of this size, so the addresses of the network count as one.
IPV6_CLIENT_PREFIX = 64


def parse_address(text: str) -> Address | None:
    """Parse an address; None for other texts. An IPv4 address that is mapped to IPv6 becomes an IPv4 address."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_trusted(address: Address | None, networks: Collection[Network]) -> bool:
    """Whether the address belongs to a trusted proxy."""
    return address is not None and any(address in network for network in networks)


def client_network(headers: Headers, peer: str | None, networks: Collection[Network]) -> str:
    """Return the address of a client, or the network of an IPv6 client; an empty string if the address is unknown.

    `peer`: address of the TCP connection. Each proxy appends the address of its own peer to X-Forwarded-For. So the
    client is the last address that belongs to no trusted proxy. Earlier addresses are what the client claims.
    """
    address = parse_address(peer or "")
    forwarded = ",".join(headers.getlist(FORWARDED_FOR)).split(",")
    while is_trusted(address, networks) and forwarded:
        before = parse_address(forwarded.pop())
        if before is None:
            break
        address = before
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), IPV6_CLIENT_PREFIX), strict=False))
    return "" if address is None else str(address)
