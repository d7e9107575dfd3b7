"""Fetch a recording from scripted responses, or from the simulated Twilio over real sockets."""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

from amd_service.domain import AccountSid, RecordingSid
from amd_service.settings import Account, Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.twilio.recordings import AudioRules, Media, Recordings, http_client

AC = AccountSid("AC" + "a" * 32)
RE = RecordingSid("RE" + "2" * 32)
ACCOUNT = Account.model_validate({"account_sid": AC, "auth_tokens": ["token"], "api_key": "SKkey", "api_secret": "shh"})
WAV = b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(2000)
API = f"https://api.twilio.com/2010-04-01/Accounts/{AC}/Recordings/{RE}"
CREDENTIALS = "Basic " + b64encode(b"SKkey:shh").decode()
Handler = Callable[[httpx2.Request], httpx2.Response]


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)


def never(_prefix: bytes) -> bool:
    return False


def is_riff(prefix: bytes, _content_type: str | None) -> bool:
    return prefix.startswith(b"RIFF")


NEVER_ENOUGH = AudioRules(is_riff, never)


async def fetch(
    handler: Handler,
    *,
    prefer_dual: bool = False,
    enough: Callable[[bytes], bool] = never,
    configured: Settings | None = None,
) -> Media:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(handler)) as client:
        recordings = Recordings(client, configured or settings())
        return await recordings.fetch(ACCOUNT, RE, prefer_dual=prefer_dual, rules=AudioRules(is_riff, enough))


async def fetch_from(
    simulated_twilio: SimulatedTwilio,
    *,
    prefer_dual: bool = False,
    enough: Callable[[bytes], bool] = never,
    **given: Any,
) -> Media:
    configured = settings(twilio_api_url=simulated_twilio.url, **given)
    async with http_client(configured) as client:
        return await Recordings(client, configured).fetch(
            ACCOUNT, RE, prefer_dual=prefer_dual, rules=AudioRules(is_riff, enough)
        )


class Log:
    """Returns scripted responses. Records the URL and the Authorization header of each request."""

    def __init__(self, *answers: httpx2.Response) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self._answers = list(answers)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append((str(request.url), request.headers.get("authorization")))
        return self._answers.pop(0)

    @property
    def urls(self) -> list[str]:
        return [url for url, _ in self.requests]


class Endless(httpx2.AsyncByteStream):
    """A body of one hour of dual-channel 16-bit PCM at 8 kHz. Counts the bytes that the client has read."""

    def __init__(self, chunk: bytes) -> None:
        self.given = 0
        self._chunk = chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._chunk and self.given < 3600 * 32_000:
            self.given += len(self._chunk)
            yield self._chunk


def ok(body: bytes = WAV, content_type: str = "audio/x-wav") -> httpx2.Response:
    return httpx2.Response(200, content=body, headers={"content-type": content_type})


def metadata(**fields: object) -> httpx2.Response:
    return httpx2.Response(200, json={"media_url": API, "encryption_details": None} | fields)


def redirect(location: str) -> httpx2.Response:
    return httpx2.Response(302, headers={"location": location})
