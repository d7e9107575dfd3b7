"""Twilio's media host, as far as its documentation and field reports describe it. It remembers what it was asked."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from secrets import compare_digest

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from amd_service.simulator.twilio.media_conversion import convert_media

CHUNK_BYTES = 16 * 1024
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


@dataclass(frozen=True, slots=True)
class ScriptedResponse:
    """A whole response, given in place of the real one.

    `cut`: the connection breaks in the middle of it. `silent`: nothing is answered until the other side leaves.
    `carried_out`: what was asked (of the REST API) is done all the same.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    silent: bool = False
    carried_out: bool = False


# Twilio's errors are XML also where audio was asked for; stored unread, they have passed for recordings.
NOT_FOUND = ScriptedResponse(
    404,
    b"<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse><RestException><Code>20404</Code>"
    b"<Message>The requested resource was not found</Message><Status>404</Status></RestException></TwilioResponse>",
    {"content-type": "application/xml"},
)
NO_DUAL = ScriptedResponse(400, b"<TwilioResponse/>", {"content-type": "application/xml"})
UNAUTHORISED = ScriptedResponse(
    401, b"<TwilioResponse/>", {"content-type": "application/xml", "www-authenticate": "Basic"}
)


@dataclass(slots=True)
class MediaFile:
    """How one recording is served.

    `body`: bytes, or a function giving chunks for what is too long to hold. It is what a name without suffix or with
    `.wav` gives, channels as they are: Twilio serves a call's recording in the form that was asked for when it was
    created, unless `RequestedChannels` says otherwise. `.mp3` and `RequestedChannels=1` convert it where it is audio;
    all else, chunks too, goes out as it is.
    `scripted`: responses given one by one, once each, before the media. `pause_s`: between chunks, a slow drip.
    `declared_bytes`: Content-Length; when it is more than the body, the connection breaks in the middle. `metadata`:
    fields of `.json` that differ from the usual.
    """

    body: bytes | Callable[[], Iterable[bytes]]
    content_type: str = "audio/x-wav"
    dual_available: bool = False
    scripted: list[ScriptedResponse] = field(default_factory=list)
    pause_s: float = 0.0
    declared_bytes: int | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    def chunks(self) -> Iterable[bytes]:
        if not isinstance(self.body, bytes):
            return self.body()
        return (self.body[at : at + CHUNK_BYTES] for at in range(0, len(self.body), CHUNK_BYTES))


@dataclass(slots=True)
class Seen:
    """A request that arrived. `peer`: the connection it came on. `sent_bytes` grows while the body is sent."""

    path: str
    query: str
    with_credentials: bool
    peer: tuple[str, int] | None
    sent_bytes: int = 0


class MediaHost:
    """Serves `files` (by RecordingSid) under Twilio's paths to requests with the account's credentials.

    `/cdn/RE….wav` serves the same files as a foreign host, for redirects; every other path is a 404. Credentials sent
    to either are recorded in `violations`.
    """

    def __init__(self, credentials: Mapping[str, tuple[str, str]]) -> None:
        self._authorization = {
            account: "Basic " + b64encode(f"{user}:{password}".encode()).decode()
            for account, (user, password) in credentials.items()
        }
        self.files: dict[str, MediaFile] = {}
        self.requests: list[Seen] = []
        self.violations: list[str] = []

    def routes(self) -> list[Route]:
        """To be served last: they take whatever is left."""
        return [
            Route("/2010-04-01/Accounts/{account}/Recordings/{name}", self._serve_recording),
            Route("/cdn/{name}", self._serve_redirected),
            Route("/{path:path}", self._refuse_unknown, methods=METHODS),
        ]

    def has_credentials(self, request: Request) -> bool:
        """Whether a request below `/Accounts/{account}` came with that account's credentials."""
        expected = self._authorization.get(request.path_params["account"])
        given = request.headers.get("authorization", "")
        return expected is not None and compare_digest(given.encode(), expected.encode())

    async def _serve_recording(self, request: Request) -> Response:
        seen = self._remember(request)
        if not self.has_credentials(request):
            return await respond(UNAUTHORISED, request)
        sid, _, suffix = request.path_params["name"].partition(".")
        media_file = self.files.get(sid)
        if media_file is None:
            return await respond(NOT_FOUND, request)
        if suffix == "json":
            return JSONResponse(_metadata(request, sid, media_file))
        if media_file.scripted:
            return await respond(media_file.scripted.pop(0), request)
        channels = request.query_params.get("RequestedChannels")
        if channels == "2" and not media_file.dual_available:
            return await respond(NO_DUAL, request)
        return _media(_as_asked(media_file, mono=channels == "1", mp3=suffix == "mp3"), seen)

    async def _serve_redirected(self, request: Request) -> Response:
        seen = self._remember_stray(request)
        media_file = self.files.get(request.path_params["name"].partition(".")[0])
        return await respond(NOT_FOUND, request) if media_file is None else _media(media_file, seen)

    async def _refuse_unknown(self, request: Request) -> Response:
        self._remember_stray(request)
        return await respond(NOT_FOUND, request)

    def _remember_stray(self, request: Request) -> Seen:
        """Remember a request to where credentials do not belong."""
        seen = self._remember(request)
        if seen.with_credentials:
            self.violations.append(f"credentials arrived at {request.url.netloc}{request.url.path}")
        return seen

    def _remember(self, request: Request) -> Seen:
        seen = Seen(request.url.path, request.url.query, "authorization" in request.headers, request.client)
        self.requests.append(seen)
        return seen


async def respond(answer: ScriptedResponse, request: Request) -> Response:
    """Give an answer that was scripted."""
    while answer.silent and (await request.receive())["type"] != "http.disconnect":
        pass
    headers = dict(answer.headers)
    if answer.cut:
        headers["content-length"] = str(len(answer.body) + 1)
    return Response(answer.body, answer.status, headers)


def _metadata(request: Request, sid: str, media_file: MediaFile) -> dict[str, object]:
    return {
        "sid": sid,
        "account_sid": request.path_params["account"],
        "status": "completed",
        "media_url": str(request.url.replace(path=request.url.path.removesuffix(".json"), query="")),
        "encryption_details": None,
        **media_file.metadata,
    }


def _as_asked(media_file: MediaFile, *, mono: bool, mp3: bool) -> MediaFile:
    if not (mono or mp3) or not isinstance(media_file.body, bytes):
        return media_file
    made = convert_media(media_file.body, mono=mono, mp3=mp3)
    if made is None:
        return media_file
    return replace(media_file, body=made, content_type="audio/mpeg" if mp3 else media_file.content_type)


def _media(media_file: MediaFile, seen: Seen) -> Response:
    headers = {"content-type": media_file.content_type}
    if media_file.declared_bytes is not None:
        headers["content-length"] = str(media_file.declared_bytes)
    elif isinstance(media_file.body, bytes):
        headers["content-length"] = str(len(media_file.body))
    return StreamingResponse(_drip(media_file, seen), headers=headers)


async def _drip(media_file: MediaFile, seen: Seen) -> AsyncIterator[bytes]:
    for chunk in media_file.chunks():
        seen.sent_bytes += len(chunk)
        yield chunk
        await asyncio.sleep(media_file.pause_s)
