"""Which addresses mean this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host name or literal address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
