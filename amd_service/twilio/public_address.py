"""Sends requests to AMD_PUBLIC_URL, as Twilio does, to find mistakes in the configuration of a proxy."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from amd_service.settings import is_loopback

TIMEOUT_S = 10.0
# Maximum characters of a response in a message.
_MAX_EXCERPT = 100


@dataclass(frozen=True, slots=True)
class PublicAddressReport:
    """Result of the requests. `unreachable`: reason why no response came. `faults`: unexpected responses."""

    unreachable: str | None = None
    faults: tuple[str, ...] = ()


async def probe_public_address(public_url: str) -> PublicAddressReport:
    """Send `GET /health` and an unsigned `POST /twilio/status`. Raises nothing.

    If the proxy forwards both requests, the service responds with 200 and with 403. The service counts the second
    request as a refused callback.
    """
    is_local = is_loopback(httpx2.URL(public_url).host)
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=not is_local) as client:
            health = await client.get(f"{public_url}/health")
            callback = await client.post(f"{public_url}/twilio/status", data={"From": "amd-service doctor"})
    except (httpx2.HTTPError, OSError, ValueError, ImportError) as error:
        return PublicAddressReport(unreachable=str(error) or type(error).__name__)
    faults = []
    if health.status_code != HTTPStatus.OK or _members(health).get("status") != "alive":
        faults.append(_describe(health, HTTPStatus.OK))
    if callback.status_code != HTTPStatus.FORBIDDEN or _members(callback).get("detail") != "invalid Twilio signature":
        faults.append(_describe(callback, HTTPStatus.FORBIDDEN))
    return PublicAddressReport(faults=tuple(faults))


def _members(response: httpx2.Response) -> Mapping[str, object]:
    """Return the members of a JSON object; empty for any other body."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _describe(response: httpx2.Response, expected: HTTPStatus) -> str:
    """Describe an unexpected response in one line."""
    request = f"{response.request.method} {response.request.url}"
    server = response.headers.get("server")
    got = f"{response.status_code}{f' from {server}' if server else ''}"
    if location := response.headers.get("location"):
        return f"{request} got {got}, a redirect to {location}: after a redirect Twilio sends no form"
    if response.status_code == HTTPStatus.NOT_FOUND and "/twilio/" not in str(_members(response).get("detail", "")):
        cure = "the proxy must forward this path to the service, and strip the prefix of AMD_PUBLIC_URL"
        return f"{request} got {got} instead of the service's {expected.value}: {cure}"
    text = str(_members(response).get("detail") or " ".join(response.text.split()))
    instead = (
        ", but not the service's response to an unsigned callback"
        if response.status_code == expected
        else f" instead of the service's {expected.value}"
    )
    return f"{request} got {got}{instead}: {text[:_MAX_EXCERPT] or 'an empty response'}"
