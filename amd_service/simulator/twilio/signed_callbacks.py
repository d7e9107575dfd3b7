"""Sends signed callbacks with Twilio's retry rules."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from urllib.parse import parse_qs, urlencode

import httpx2
from twilio.request_validator import RequestValidator

from amd_service.twilio.signature import SignedForm

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ConnectionRules:
    """Twilio's connection overrides, with its defaults (docs: webhooks connection overrides).

    `retry_on`: any of `4xx`, `5xx`, `ct` (connection failed), `rt` (read timeout). The default is one retry, only after
    a failed connection. `total_s`: maximum seconds for all attempts together.
    """

    retries: int = 1
    retry_on: frozenset[str] = field(default_factory=lambda: frozenset({"ct"}))
    connect_s: float = 5.0
    read_s: float = 15.0
    total_s: float = 15.0

    @classmethod
    def from_fragment(cls, fragment: str) -> "ConnectionRules":
        """Parse the rules in a callback URL's fragment, e.g. `#rt=6000&rc=3&rp=5xx,ct,rt`."""
        given = {name: values[0] for name, values in parse_qs(fragment.lstrip("#")).items()}
        named = frozenset(given.get("rp", "ct").split(","))
        return cls(
            retries=_limit(given.get("rc"), 0, 5, 1),
            retry_on=frozenset({"4xx", "5xx", "ct", "rt"}) if "all" in named else named,
            connect_s=_limit(given.get("ct"), 100, 10_000, 5000) / 1000,
            read_s=_limit(given.get("rt"), 100, 15_000, 15_000) / 1000,
            total_s=_limit(given.get("tt"), 100, 15_000, 15_000) / 1000,
        )


def _limit(given: str | None, minimum: int, maximum: int, default: int) -> int:
    """Return the given number, limited to Twilio's range."""
    return default if given is None else min(max(int(given), minimum), maximum)


@dataclass(frozen=True, slots=True)
class CallbackOutcome:
    """The result of a callback.

    `status`: HTTP status of the last response; None without a response. `outcome`: `2xx`, `ct`, …
    """

    status: int | None
    outcome: str
    attempts: int


def sign(url: str, pairs: Pairs, token: str) -> dict[str, str]:
    """Return the headers of a callback to `url` with these form parameters. The fragment of `url` is not signed."""
    signature = RequestValidator(token).compute_signature(url.partition("#")[0], SignedForm(pairs))
    return {
        "X-Twilio-Signature": signature,
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "User-Agent": "TwilioProxy/1.1",
    }


async def send_callback(
    client: httpx2.AsyncClient,
    base_url: str,
    path: str,
    pairs: Pairs,
    *,
    token: str,
    signed_base: str | None = None,
    overrides: str = "",
) -> CallbackOutcome:
    """POST a signed callback with Twilio's retries.

    `signed_base`: the base URL to sign, if it differs from `base_url`, which the client connects to. `overrides`: the
    fragment of the callback URL, with Twilio's connection overrides.
    """
    rules = ConnectionRules.from_fragment(overrides)
    headers = sign((signed_base or base_url) + path, pairs, token) | {"I-Twilio-Idempotency-Token": token_hex(16)}
    request = client.build_request(
        "POST",
        base_url + path,
        content=urlencode(pairs),
        headers=headers,
        timeout=httpx2.Timeout(rules.read_s, connect=rules.connect_s),
    )
    result = CallbackOutcome(None, "tt", 0)
    try:
        async with asyncio.timeout(rules.total_s):
            while result.attempts == 0 or (result.outcome in rules.retry_on and result.attempts <= rules.retries):
                status, outcome = await _attempt(client, request)
                result = CallbackOutcome(status, outcome, result.attempts + 1)
    except TimeoutError:
        return CallbackOutcome(None, "tt", result.attempts + 1)
    return result


async def _attempt(client: httpx2.AsyncClient, request: httpx2.Request) -> tuple[int | None, str]:
    try:
        response = await client.send(request, follow_redirects=False)
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        return None, "ct"
    except httpx2.ReadTimeout:
        return None, "rt"
    except httpx2.TransportError:
        return None, "partial"  # Twilio never retries after this failure
    return response.status_code, f"{response.status_code // 100}xx"
