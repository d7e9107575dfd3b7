"""The first seconds of a recording, fetched safely.

What is fetched is built from validated SIDs and configuration, never from a URL that somebody sent. Credentials go
to the configured API origin alone. What is audio, and how much of it is enough, are the caller's rules: an hour costs
what a minute costs, and ciphertext or a page no more than its beginning.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from amd_service import __version__
from amd_service.domain import Failure, RecordingSid, is_sid
from amd_service.errors import AmdError, MediaNotReady, MediaRefused, TwilioUnavailable
from amd_service.settings import Account, Settings, is_loopback
from amd_service.twilio.retry_after import retry_after_s

MAX_REDIRECTS = 3
# Twilio redirects messaging media to twiliocdn.com; that recordings stay at twilio.com is nowhere promised.
MEDIA_DOMAINS = ("twilio.com", "twiliocdn.com")

_FIRST_CHECK_BYTES = 64 * 1024  # 4 s of mono 16-bit PCM
_SMALL_BODY_BYTES = 64 * 1024  # error bodies and metadata are read up to here, so that the connection lives on


@dataclass(frozen=True, slots=True)
class AudioRules:
    """The caller's rules for stopping a download. Both are called with the body's prefix, repeatedly as it grows.

    `is_audio(prefix, content_type)`: whether this may be audio in a format that the caller decodes.
    `is_enough(prefix)`: whether the prefix holds all the audio that the caller needs.
    """

    is_audio: Callable[[bytes, str | None], bool]
    is_enough: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Media:
    """The head of a recording. `complete`: the body was read to its end. `content_type`: as the host gave it."""

    data: bytes
    content_type: str | None
    complete: bool


@asynccontextmanager
async def http_client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """The process's client for Twilio: pooled connections, and time-outs that also bound its TLS handshakes.

    Proxies of the environment are honoured (many networks have no other way out), except for a loopback API host.
    """
    timeout = httpx2.Timeout(settings.media_read_timeout_s, connect=settings.media_connect_timeout_s)
    async with httpx2.AsyncClient(
        headers={"user-agent": f"amd-service/{__version__}", "accept-encoding": "identity"},
        timeout=timeout,
        limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0),
        follow_redirects=False,
        trust_env=not is_loopback(httpx2.URL(settings.api_origin).host),
    ) as client:
        yield client


class Recordings:
    """Recordings at Twilio."""

    def __init__(self, client: httpx2.AsyncClient, settings: Settings) -> None:
        self._client = client
        self._api = httpx2.URL(settings.api_origin)
        self._loopback = is_loopback(self._api.host)
        self._max_bytes = settings.media_max_bytes
        self._total_timeout_s = settings.media_total_timeout_s

    async def fetch(
        self, account: Account, recording_sid: RecordingSid, *, prefer_dual: bool, rules: AudioRules
    ) -> Media:
        """The recording's head: until it is enough, its end, or the byte cap, whichever comes first.

        `prefer_dual` asks for both channels and falls back to what there is. What is not known as audio is read no
        further and, unless it is encrypted, left to the decoder to refuse. Raises MediaNotReady (404),
        TwilioUnavailable (time-outs, broken connections, 429, 5xx) and MediaRefused (credentials, gone, encrypted,
        stored elsewhere).
        """
        if not is_sid(recording_sid, "RE"):
            raise ValueError("a recording SID is RE followed by 32 hexadecimal digits")
        resource = self._api.join(f"/2010-04-01/Accounts/{account.account_sid}/Recordings/{recording_sid}")
        try:
            async with asyncio.timeout(self._total_timeout_s):
                return await self._fetch(account, str(resource), prefer_dual, rules)
        except TimeoutError as error:
            raise TwilioUnavailable(f"the download took longer than {self._total_timeout_s:g} s") from error
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise TwilioUnavailable(f"no answer from {self._api.host}: {type(error).__name__} {error}") from error

    async def _fetch(self, account: Account, resource: str, dual: bool, rules: AudioRules) -> Media:
        query = {"RequestedChannels": "2"} if dual else {}
        media: Media | None = None
        async with self._open(account, f"{resource}.wav", query) as response:
            if response.status_code in (200, 206):
                media = await self._read(response, rules)
            else:
                await _read_small(response)
        if media is not None:
            if not rules.is_audio(media.data, media.content_type):
                await self._refuse_if_encrypted(account, resource)
            return media
        if response.status_code == 400 and dual:  # Twilio's answer when only one channel was kept (its warning 16113)
            return await self._fetch(account, resource, False, rules)
        if response.status_code == 404:
            await self._refuse_if_stored_elsewhere(account, resource)
        raise _translated(response)

    @asynccontextmanager
    async def _open(
        self, account: Account, url: str, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """GET with redirects followed by hand: few, to known hosts, without credentials once the API is left."""
        target = httpx2.URL(url, params=query or {})
        auth: httpx2.BasicAuth | None = httpx2.BasicAuth(*account.basic_auth)
        for _hop in range(MAX_REDIRECTS + 1):
            request = self._client.build_request("GET", target)
            response = await self._client.send(request, stream=True, auth=auth, follow_redirects=False)
            try:
                _refuse_compressed(response)
                if not response.has_redirect_location:
                    yield response
                    return
                target = self._next_hop(response)
                if not self._is_api(target):
                    auth = None  # for good: a later hop back to the API was chosen by somebody else
                await _read_small(response)
            finally:
                await response.aclose()
        raise TwilioUnavailable(f"more than {MAX_REDIRECTS} redirects")

    def _is_api(self, url: httpx2.URL) -> bool:
        return (url.scheme, url.raw_host, url.port) == (self._api.scheme, self._api.raw_host, self._api.port)

    def _next_hop(self, response: httpx2.Response) -> httpx2.URL:
        """Where a redirect leads, once that is a host we may follow to.

        Names are enough to keep private addresses out: a literal address is on no list, and a listed name that
        resolves to one has no certificate for it. Loopback is followed from loopback only, which is the stand-in.
        """
        target = response.url.join(response.headers["location"])
        host = target.raw_host.decode("ascii")
        if target.userinfo:
            raise MediaRefused(f"the redirect to {host} carries credentials", Failure.EXTERNAL_STORAGE)
        known = target.scheme == "https" and any(host == name or host.endswith(f".{name}") for name in MEDIA_DOMAINS)
        if not (known or self._is_api(target) or (self._loopback and is_loopback(host))):
            raise MediaRefused(
                f"the recording lies at {target.scheme}://{host}, outside Twilio: external storage is not supported",
                Failure.EXTERNAL_STORAGE,
            )
        return target

    async def _read(self, response: httpx2.Response, rules: AudioRules) -> Media:
        content_type = response.headers.get("content-type")
        buffer = bytearray()
        next_check = _FIRST_CHECK_BYTES
        try:
            async for chunk in response.aiter_bytes():
                buffer += chunk
                if len(buffer) >= self._max_bytes:
                    return Media(bytes(buffer[: self._max_bytes]), content_type, complete=False)
                if len(buffer) >= next_check:
                    # Each check copies the buffer: growing intervals keep the sum of copies linear in its size.
                    next_check = len(buffer) * 5 // 4
                    prefix = bytes(buffer)
                    if not rules.is_audio(prefix, content_type) or rules.is_enough(prefix):
                        return Media(prefix, content_type, complete=False)
        except httpx2.TransportError:
            if not buffer or not rules.is_enough(bytes(buffer)):
                raise
            return Media(bytes(buffer), content_type, complete=False)
        return Media(bytes(buffer), content_type, complete=True)

    async def _refuse_if_encrypted(self, account: Account, resource: str) -> None:
        """Ciphertext looks like anything; that it is some, the metadata says."""
        if (await self._metadata(account, resource)).get("encryption_details"):
            raise MediaRefused(
                "the recording is encrypted with the account's public key; switch voice recording encryption off",
                Failure.ENCRYPTED,
            )

    async def _refuse_if_stored_elsewhere(self, account: Account, resource: str) -> None:
        """With external storage Twilio keeps no media (404) but the metadata says where it went."""
        media_url = (await self._metadata(account, resource)).get("media_url")
        if not isinstance(media_url, str):
            return
        host = httpx2.URL(media_url).raw_host.decode("ascii")
        twilios = host == self._api.raw_host.decode("ascii") or host.endswith(".twilio.com")
        if host and not twilios:
            raise MediaRefused(
                f"the recording is kept in external storage at {host}, which is not supported", Failure.EXTERNAL_STORAGE
            )

    async def _metadata(self, account: Account, resource: str) -> dict[str, object]:
        """What Twilio knows about the recording; empty when it does not say."""
        async with self._open(account, f"{resource}.json") as response:
            body = await _read_small(response)
        if response.status_code == 429 or response.status_code >= 500:
            raise _translated(response)
        try:
            found = json.loads(body) if response.status_code == 200 else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


async def _read_small(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _SMALL_BODY_BYTES:
            break
    return bytes(body)


def _refuse_compressed(response: httpx2.Response) -> None:
    # A few compressed kilobytes can unpack to gigabytes, past any cap; and we asked for `identity`.
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise TwilioUnavailable(f"the media host compressed its answer ({encoding}), which was not asked for")


def _translated(response: httpx2.Response) -> AmdError:
    """The error that a status other than success means."""
    host, status = response.url.host, response.status_code
    if status == 404:
        return MediaNotReady(f"{host} does not have the recording (yet)")
    if status == 410:
        return MediaRefused(f"{host} says the recording is gone", Failure.MEDIA_MISSING)
    if status in (401, 403) and "authorization" in response.request.headers:
        return MediaRefused(
            f"{host} refuses our credentials ({status}): check TWILIO_API_KEY and TWILIO_API_SECRET or the auth "
            "token, and that they belong to the region of AMD_TWILIO_API_URL",
            Failure.UNAUTHORISED,
        )
    return TwilioUnavailable(
        f"{host} answered {status}", retry_after_s=retry_after_s(response.headers.get("retry-after"))
    )
