"""Callbacks as Twilio sends them: signed, with its retry rules."""

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
    """Twilio's connection overrides; the defaults are Twilio's own (docs: webhooks connection overrides).

    `retry_on` holds `4xx`, `5xx`, `ct` (no connection), `rt` (no answer in time). By default one retry, after a
    failed connection only; everything together may last `total_s`.
    """

    retries: int = 1
    retry_on: frozenset[str] = field(default_factory=lambda: frozenset({"ct"}))
    connect_s: float = 5.0
    read_s: float = 15.0
    total_s: float = 15.0

    @classmethod
    def from_fragment(cls, fragment: str) -> "ConnectionRules":
        """The rules in a callback URL's fragment, e.g. `#rt=6000&rc=3&rp=5xx,ct,rt`."""
        given = {name: values[0] for name, values in parse_qs(fragment.lstrip("#")).items()}
        named = frozenset(given.get("rp", "ct").split(","))
        return cls(
            retries=_within(given.get("rc"), 0, 5, 1),
            retry_on=frozenset({"4xx", "5xx", "ct", "rt"}) if "all" in named else named,
            connect_s=_within(given.get("ct"), 100, 10_000, 5000) / 1000,
            read_s=_within(given.get("rt"), 100, 15_000, 15_000) / 1000,
            total_s=_within(given.get("tt"), 100, 15_000, 15_000) / 1000,
        )


def _within(given: str | None, least: int, most: int, default: int) -> int:
    """The number given, inside Twilio's range: 15 seconds in all are a hard ceiling."""
    return default if given is None else min(max(int(given), least), most)


@dataclass(frozen=True, slots=True)
class CallbackOutcome:
    """How a callback fared. `status`: of the last answer, None when there was none; `outcome`: `2xx`, `ct`, …"""

    status: int | None
    outcome: str
    attempts: int


def sign(url: str, pairs: Pairs, token: str) -> dict[str, str]:
    """The headers of a callback to `url` (its fragment is not signed) with these form parameters."""
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
    """POST a signed callback, retried as Twilio would.

    `signed_base` is the base URL Twilio was given, where it differs from `base_url`, the one to connect to;
    `overrides` is that URL's fragment.
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
    delivery = CallbackOutcome(None, "tt", 0)
    try:
        async with asyncio.timeout(rules.total_s):
            while delivery.attempts == 0 or (delivery.outcome in rules.retry_on and delivery.attempts <= rules.retries):
                status, outcome = await _attempt(client, request)
                delivery = CallbackOutcome(status, outcome, delivery.attempts + 1)
    except TimeoutError:
        return CallbackOutcome(None, "tt", delivery.attempts + 1)
    return delivery


async def _attempt(client: httpx2.AsyncClient, request: httpx2.Request) -> tuple[int | None, str]:
    try:
        response = await client.send(request, follow_redirects=False)
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        return None, "ct"
    except httpx2.ReadTimeout:
        return None, "rt"
    except httpx2.TransportError:
        return None, "partial"  # never retried, whatever the rules say
    return response.status_code, f"{response.status_code // 100}xx"
