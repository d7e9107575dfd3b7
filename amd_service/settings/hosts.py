"""Which addresses are of the web, and which mean this machine."""

import ipaddress
from urllib.parse import urlsplit


def is_web_url(url: str) -> bool:
    """Whether it is an http(s) URL that names a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host name or literal address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
