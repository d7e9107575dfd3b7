"""Download the first seconds of a recording.

URLs are built from validated SIDs and configuration, never from a URL in a request. Credentials are sent only to the
configured API origin. The caller's rules stop a download as soon as there is enough audio, or as soon as the body is
clearly not audio. So a recording of one hour needs no more traffic than a recording of one minute, and only the
beginning of ciphertext or of an HTML page is downloaded.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from amd_service import __version__
from amd_service.domain import Failure, RecordingSid, is_sid
from amd_service.errors import AmdError, MediaIncomplete, MediaNotYet, MediaRefused, TwilioUnavailable
from amd_service.settings import Account, Settings, is_loopback
from amd_service.settings.network import check_network_environment
from amd_service.twilio.download_timeouts import DownloadTimeouts
from amd_service.twilio.retry_after import retry_after_s

MAX_REDIRECTS = 3
# Redirects to these domains are followed. Twilio redirects messaging media to twiliocdn.com, and does not document that
# recordings are only at twilio.com.
MEDIA_DOMAINS = ("twilio.com", "twiliocdn.com")

_FIRST_CHECK_BYTES = 64 * 1024  # 4 s of mono 16-bit PCM at 8 kHz
# Maximum bytes of metadata or of an error body. Bodies are read to their end, so that the connection can be reused.
_MAX_SMALL_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class AudioRules:
    """The caller's rules for stopping a download. Each rule is called repeatedly with the bytes received so far.

    `is_audio(prefix, content_type)`: whether `prefix` may be audio in a format that the caller decodes.
    `is_enough(prefix)`: whether the prefix holds all the audio that the caller needs.
    """

    is_audio: Callable[[bytes, str | None], bool]
    is_enough: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Media:
    """The first bytes of a recording. `complete`: whether `data` is the whole body."""

    data: bytes
    content_type: str | None
    complete: bool


@asynccontextmanager
async def http_client(settings: Settings, *, is_used: bool = True) -> AsyncIterator[httpx2.AsyncClient]:
    """Open the HTTP client for Twilio. Each process opens one client. The timeouts include TLS handshakes.

    The client uses the proxies and certificates of the environment, because many networks require proxies. A loopback
    API host needs no proxy. `is_used`: false if the process sends no request, so that a wrong variable of the
    environment does not matter. Raises ConfigurationError if a variable of the environment cannot be used.
    """
    trust_env = is_used and not is_loopback(httpx2.URL(settings.api_origin).host)
    if trust_env:
        check_network_environment()
    timeout = httpx2.Timeout(settings.media_read_timeout_s, connect=settings.media_connect_timeout_s)
    async with httpx2.AsyncClient(
        headers={"user-agent": f"amd-service/{__version__}", "accept-encoding": "identity"},
        timeout=timeout,
        limits=httpx2.Limits(
            max_connections=100 + settings.recordings_at_once, max_keepalive_connections=20, keepalive_expiry=30.0
        ),
        follow_redirects=False,
        trust_env=trust_env,
    ) as client:
        yield client


class Recordings:
    """Downloads recordings from Twilio."""

    def __init__(self, client: httpx2.AsyncClient, settings: Settings) -> None:
        self._client = client
        self._api = httpx2.URL(settings.api_origin)
        self._loopback = is_loopback(self._api.host)
        self._max_bytes = settings.media_max_bytes
        self._timeouts = DownloadTimeouts(
            first_s=settings.media_first_timeout_s,
            longest_s=settings.media_total_timeout_s,
            max_long=max(1, settings.recordings_at_once // 2),
        )

    async def fetch(
        self, account: Account, recording_sid: RecordingSid, *, prefer_dual: bool, rules: AudioRules
    ) -> Media:
        """Download a recording to its end, until `rules` stop the download, or until AMD_MEDIA_MAX_BYTES is reached.

        `prefer_dual`: request both channels first, and then one channel if Twilio stored only one. A body that is not
        audio is returned for the decoder to reject, unless the recording is encrypted. Raises MediaNotYet (404),
        MediaIncomplete (a compressed body, or a later part of the recording), TwilioUnavailable (timeouts, connection
        errors, 429, 5xx) and MediaRefused (refused credentials, deleted, encrypted, external storage).
        """
        if not is_sid(recording_sid, "RE"):
            raise ValueError("recording_sid must be RE followed by 32 hexadecimal digits")
        resource = self._api.join(f"/2010-04-01/Accounts/{account.account_sid}/Recordings/{recording_sid}")
        try:
            async with self._timeouts.limit(recording_sid):
                return await self._fetch(account, str(resource), prefer_dual, rules)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise TwilioUnavailable(f"no response from {self._api.host}: {type(error).__name__} {error}") from error

    async def _fetch(self, account: Account, resource: str, dual: bool, rules: AudioRules) -> Media:
        query = {"RequestedChannels": "2"} if dual else {}
        media: Media | None = None
        async with self._open(account, f"{resource}.wav", query) as response:
            if response.status_code in (200, 206):
                _raise_if_not_the_beginning(response)
                media = await self._read(response, rules)
            else:
                await _read_small(response)
        if media is not None:
            if not rules.is_audio(media.data, media.content_type):
                await self._raise_if_encrypted(account, resource)
            return media
        if response.status_code == 400 and dual:  # Twilio stored only one channel (Twilio's warning 16113)
            return await self._fetch(account, resource, False, rules)
        if response.status_code == 404:
            await self._raise_if_external(account, resource)
        raise _error_of(response)

    @asynccontextmanager
    async def _open(
        self, account: Account, url: str, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """GET a URL and follow up to MAX_REDIRECTS redirects to allowed hosts. Only the API origin gets credentials."""
        target = httpx2.URL(url, params=query or {})
        auth: httpx2.BasicAuth | None = httpx2.BasicAuth(*account.basic_auth)
        for _hop in range(MAX_REDIRECTS + 1):
            request = self._client.build_request("GET", target)
            response = await self._client.send(request, stream=True, auth=auth, follow_redirects=False)
            try:
                if not response.has_redirect_location:
                    yield response
                    return
                target = self._next_hop(response)
                if not self._is_api(target):
                    # Send no more credentials, even to the API origin: another host chooses the next URL.
                    auth = None
                await _read_small(response)
            finally:
                await response.aclose()
        raise TwilioUnavailable(f"more than {MAX_REDIRECTS} redirects")

    def _is_api(self, url: httpx2.URL) -> bool:
        return (url.scheme, url.raw_host, url.port) == (self._api.scheme, self._api.raw_host, self._api.port)

    def _next_hop(self, response: httpx2.Response) -> httpx2.URL:
        """Return the target of a redirect. Raises MediaRefused if the target's host is not allowed.

        The check of the host name also excludes private addresses: MEDIA_DOMAINS contains no literal addresses, and a
        server at a private address has no valid certificate for an allowed name. A loopback API may redirect to
        loopback, because the simulated Twilio does so.
        """
        target = response.url.join(response.headers["location"])
        host = target.raw_host.decode("ascii")
        if target.userinfo:
            raise MediaRefused(f"the redirect to {host} contains credentials", Failure.EXTERNAL_STORAGE)
        is_allowed = target.scheme == "https" and any(
            host == name or host.endswith(f".{name}") for name in MEDIA_DOMAINS
        )
        if not (is_allowed or self._is_api(target) or (self._loopback and is_loopback(host))):
            raise MediaRefused(
                f"the recording is at {target.scheme}://{host}, outside Twilio: external storage is not supported",
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
                    # Each check copies the buffer. The intervals grow, so that the total of the copied bytes is linear
                    # in the size of the download.
                    next_check = len(buffer) * 5 // 4
                    prefix = bytes(buffer)
                    if not rules.is_audio(prefix, content_type) or rules.is_enough(prefix):
                        return Media(prefix, content_type, complete=False)
        except httpx2.TransportError:
            if not buffer or not rules.is_enough(bytes(buffer)):
                raise
            return Media(bytes(buffer), content_type, complete=False)
        return Media(bytes(buffer), content_type, complete=True)

    async def _raise_if_encrypted(self, account: Account, resource: str) -> None:
        """Raise MediaRefused if the metadata has encryption details. Ciphertext alone can look like any format."""
        if (await self._metadata(account, resource)).get("encryption_details"):
            raise MediaRefused(
                "the recording is encrypted with the account's public key: switch voice recording encryption off",
                Failure.ENCRYPTED,
            )

    async def _raise_if_external(self, account: Account, resource: str) -> None:
        """Raise MediaRefused if the metadata has the URL of an external storage, because Twilio then has no media."""
        media_url = (await self._metadata(account, resource)).get("media_url")
        if not isinstance(media_url, str):
            return
        host = httpx2.URL(media_url).raw_host.decode("ascii")
        is_twilio = host == self._api.raw_host.decode("ascii") or host.endswith(".twilio.com")
        if host and not is_twilio:
            raise MediaRefused(
                f"the recording is in external storage at {host}, which is not supported", Failure.EXTERNAL_STORAGE
            )

    async def _metadata(self, account: Account, resource: str) -> dict[str, object]:
        """Return the recording's metadata, or an empty dict if Twilio does not return metadata."""
        async with self._open(account, f"{resource}.json") as response:
            body = await _read_small(response)
        if response.status_code == 429 or response.status_code >= 500:
            raise _error_of(response)
        try:
            found = json.loads(body) if response.status_code == 200 else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


async def _read_small(response: httpx2.Response) -> bytes:
    if _compression(response) is not None:
        # A few compressed kilobytes can expand to gigabytes.
        return b""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_SMALL_BODY_BYTES:
            break
    return bytes(body)


def _compression(response: httpx2.Response) -> str | None:
    """Return the content encoding, or None for an uncompressed body. The request had `accept-encoding: identity`."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return None if encoding in ("", "identity") else encoding


def _raise_if_not_the_beginning(response: httpx2.Response) -> None:
    """Raise MediaIncomplete if the body is compressed, or does not start at the first byte of the recording."""
    host, encoding = response.url.host, _compression(response)
    if encoding is not None:
        raise MediaIncomplete(f"{host} sent a compressed response ({encoding}) although `identity` was requested")
    part = response.headers.get("content-range", "bytes 0-")
    if response.status_code == 206 and not part.startswith("bytes 0-"):
        raise MediaIncomplete(f"{host} sent a later part of the recording ({part}) although no part was requested")


def _error_of(response: httpx2.Response) -> AmdError:
    """Create the error to raise for an unsuccessful response."""
    host, status = response.url.host, response.status_code
    if status == 404:
        return MediaNotYet(f"{host} does not have the recording yet")
    if status == 410:
        return MediaRefused(f"{host} responded with 410: the recording was deleted", Failure.MEDIA_MISSING)
    if status in (401, 403) and "authorization" in response.request.headers:
        return MediaRefused(
            f"{host} refused our credentials ({status}): check TWILIO_API_KEY and TWILIO_API_SECRET or the auth "
            "token, and that they belong to the region of AMD_TWILIO_API_URL",
            Failure.UNAUTHORISED,
        )
    return TwilioUnavailable(
        f"{host} responded with {status}", retry_after_s=retry_after_s(response.headers.get("retry-after"))
    )
