"""Recognises requests that a program on this machine sent directly, without a proxy."""

import re

from starlette.datastructures import Headers

from amd_service.settings import is_loopback

_HOST = re.compile(r"(\[[0-9a-f:]+\]|[\w.-]+)(?::\d{1,5})?", re.ASCII)

# A proxy on this machine may forward requests of remote clients and set a local Host header. The following headers
# reveal the proxy. Sources: RFC 7239 and RFC 9110 (Via), RFC 8586 (CDN-Loop), and the documentation of nginx, Apache,
# Envoy, Cloudflare, Akamai, Fastly, Fly.io, Azure, AWS, Tailscale and WebLogic.
FORWARDING_HEADERS = frozenset(
    {"forwarded", "via", "cdn-loop", "client-ip", "true-client-ip", "fastly-client-ip", "proxy-client-ip"}
    | {"wl-proxy-client-ip", "proxy-connection", "x-amzn-trace-id", "x-arr-log-id", "x-arr-ssl", "x-host"}
    | {"x-forwarder-for", "x-client-ip", "x-cluster-client-ip", "x-originating-ip", "x-proxyuser-ip"}
    | {"x-remote-addr", "x-remote-ip", "x-scheme", "x-url-scheme", "front-end-https"}
)
FORWARDING_PREFIXES = (
    "x-forwarded",
    "x-real-",
    "x-original-",
    "x-envoy-",
    "x-azure-",
    "x-appengine-",
    "cf-",
    "fly-",
    "tailscale-",
)


def is_local(headers: Headers) -> bool:
    """Whether the request names this machine as its host, and no header of a proxy is present."""
    hosts = headers.getlist("host")
    # A proxy and the service can read different Host headers of one request, so a second one is refused.
    host = _HOST.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
    if host is None or not is_loopback(host[1]):
        return False
    return not any(name in FORWARDING_HEADERS or name.startswith(FORWARDING_PREFIXES) for name in headers)
