"""Simulates Twilio's media host, based on Twilio's documentation and field reports. Records all requests."""

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
    """A response that is sent instead of the normal response.

    `cut`: break the connection in the middle of the body. `silent`: send nothing until the client disconnects.
    `carried_out`: the REST API still processes the request.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    silent: bool = False
    carried_out: bool = False


# Twilio sends errors as XML, even for audio requests. Some clients stored the XML of an error as a recording.
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
    """A recording's file and how it is served.

    `body`: bytes, or a function that returns chunks for bodies too large for memory. A request without a suffix or with
    `.wav` gets the body unchanged: Twilio serves a recording with the channels that were requested at its creation,
    unless the request has `RequestedChannels`. `.mp3` and `RequestedChannels=1` convert a body in bytes if it is audio.
    All other bodies are served unchanged.
    `scripted`: responses that are sent once each, in order, before the media. `pause_s`: seconds of pause after each
    chunk. `declared_bytes`: value of Content-Length. If it is larger than the body, the connection breaks in the
    middle. `metadata`: fields of the `.json` response that differ from the defaults.
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
class MediaRequest:
    """A received request. `peer`: the client's address. `sent_bytes`: bytes of the response's body sent so far."""

    path: str
    query: str
    with_credentials: bool
    peer: tuple[str, int] | None
    sent_bytes: int = 0


class MediaHost:
    """Serves `files` (by RecordingSid) under Twilio's paths to requests with the account's credentials.

    `/cdn/RE….wav` acts as a foreign host that serves the same files after a redirect. Every other path returns 404.
    A request with credentials to `/cdn` or to an unknown path is recorded in `violations`.
    """

    def __init__(self, credentials: Mapping[str, tuple[str, str]]) -> None:
        self._authorization = {
            account: "Basic " + b64encode(f"{user}:{password}".encode()).decode()
            for account, (user, password) in credentials.items()
        }
        self.files: dict[str, MediaFile] = {}
        self.requests: list[MediaRequest] = []
        self.violations: list[str] = []

    def routes(self) -> list[Route]:
        """Return all routes. In a list of routes, put these routes last, because one of them matches every path."""
        return [
            Route("/2010-04-01/Accounts/{account}/Recordings/{name}", self.serve_recording),
            Route("/cdn/{name}", self.serve_redirected),
            Route("/{path:path}", self.reject_unknown, methods=METHODS),
        ]

    def has_credentials(self, request: Request) -> bool:
        """Return whether a request to `/Accounts/{account}/…` has the credentials of this account.

        Another path needs the credentials of any account.
        """
        account, given = request.path_params.get("account"), request.headers.get("authorization", "")
        known = [value for sid, value in self._authorization.items() if account in (None, sid)]
        return any(compare_digest(given.encode(), expected.encode()) for expected in known)

    async def serve_recording(self, request: Request) -> Response:
        received = self._record(request)
        if not self.has_credentials(request):
            return await scripted_response(UNAUTHORISED, request)
        sid, _, suffix = request.path_params["name"].partition(".")
        media_file = self.files.get(sid)
        if media_file is None:
            return await scripted_response(NOT_FOUND, request)
        if suffix == "json":
            return JSONResponse(_metadata(request, sid, media_file))
        if media_file.scripted:
            return await scripted_response(media_file.scripted.pop(0), request)
        channels = request.query_params.get("RequestedChannels")
        if channels == "2" and not media_file.dual_available:
            return await scripted_response(NO_DUAL, request)
        return _media(_convert(media_file, mono=channels == "1", mp3=suffix == "mp3"), received)

    async def serve_redirected(self, request: Request) -> Response:
        received = self._record_foreign(request)
        media_file = self.files.get(request.path_params["name"].partition(".")[0])
        return await scripted_response(NOT_FOUND, request) if media_file is None else _media(media_file, received)

    async def reject_unknown(self, request: Request) -> Response:
        self._record_foreign(request)
        return await scripted_response(NOT_FOUND, request)

    def _record_foreign(self, request: Request) -> MediaRequest:
        """Record a request to a path outside the account. Credentials in such a request are a violation."""
        received = self._record(request)
        if received.with_credentials:
            self.violations.append(f"credentials arrived at {request.url.netloc}{request.url.path}")
        return received

    def _record(self, request: Request) -> MediaRequest:
        received = MediaRequest(request.url.path, request.url.query, "authorization" in request.headers, request.client)
        self.requests.append(received)
        return received


async def scripted_response(scripted: ScriptedResponse, request: Request) -> Response:
    """Return the scripted response. A silent response waits until the client disconnects."""
    while scripted.silent and (await request.receive())["type"] != "http.disconnect":
        pass
    headers = dict(scripted.headers)
    if scripted.cut:
        headers["content-length"] = str(len(scripted.body) + 1)
    return Response(scripted.body, scripted.status, headers)


def _metadata(request: Request, sid: str, media_file: MediaFile) -> dict[str, object]:
    return {
        "sid": sid,
        "account_sid": request.path_params["account"],
        "status": "completed",
        "media_url": str(request.url.replace(path=request.url.path.removesuffix(".json"), query="")),
        "encryption_details": None,
        **media_file.metadata,
    }


def _convert(media_file: MediaFile, *, mono: bool, mp3: bool) -> MediaFile:
    if not (mono or mp3) or not isinstance(media_file.body, bytes):
        return media_file
    converted = convert_media(media_file.body, mono=mono, mp3=mp3)
    if converted is None:
        return media_file
    return replace(media_file, body=converted, content_type="audio/mpeg" if mp3 else media_file.content_type)


def _media(media_file: MediaFile, received: MediaRequest) -> Response:
    headers = {"content-type": media_file.content_type}
    if media_file.declared_bytes is not None:
        headers["content-length"] = str(media_file.declared_bytes)
    elif isinstance(media_file.body, bytes):
        headers["content-length"] = str(len(media_file.body))
    return StreamingResponse(_send_chunks(media_file, received), headers=headers)


async def _send_chunks(media_file: MediaFile, received: MediaRequest) -> AsyncIterator[bytes]:
    for chunk in media_file.chunks():
        received.sent_bytes += len(chunk)
        yield chunk
        await asyncio.sleep(media_file.pause_s)
