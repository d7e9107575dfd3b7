"""Twilio's media host, as far as its documentation and field reports describe it. It remembers what it was asked."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from secrets import compare_digest

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

CHUNK_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
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
NOT_FOUND = Answer(
    404,
    b"<?xml version='1.0' encoding='UTF-8'?>\n<TwilioResponse><RestException><Code>20404</Code>"
    b"<Message>The requested resource was not found</Message><Status>404</Status></RestException></TwilioResponse>",
    {"content-type": "application/xml"},
)
NO_DUAL = Answer(400, b"<TwilioResponse/>", {"content-type": "application/xml"})
UNAUTHORISED = Answer(401, b"<TwilioResponse/>", {"content-type": "application/xml", "www-authenticate": "Basic"})


@dataclass(slots=True)
class Reel:
    """How one recording is served.

    `body`: bytes, or a function giving chunks for what is too long to hold. `first`: answers given one by one, once
    each, before the media. `pause_s`: between chunks, a slow drip. `declared_bytes`: Content-Length; when it is more
    than the body, the connection breaks in the middle. `metadata`: fields of `.json` that differ from the usual.
    """

    body: bytes | Callable[[], Iterable[bytes]]
    content_type: str = "audio/x-wav"
    dual_available: bool = False
    first: list[Answer] = field(default_factory=list)
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
    """Serves `reels` (by RecordingSid) under Twilio's paths, to whoever has the account's credentials.

    `/cdn/RE….wav` serves the same reels as a foreign host would, for redirects: credentials that arrive there are
    written to `violations`.
    """

    def __init__(self, credentials: Mapping[str, tuple[str, str]]) -> None:
        self._authorization = {
            account: "Basic " + b64encode(f"{user}:{password}".encode()).decode()
            for account, (user, password) in credentials.items()
        }
        self.reels: dict[str, Reel] = {}
        self.requests: list[Seen] = []
        self.violations: list[str] = []

    def routes(self) -> list[Route]:
        return [
            Route("/2010-04-01/Accounts/{account}/Recordings/{name}", self._serve_recording),
            Route("/cdn/{name}", self._serve_redirected),
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
        reel = self.reels.get(sid)
        if reel is None:
            return await respond(NOT_FOUND, request)
        if suffix == "json":
            return JSONResponse(_metadata(request, sid, reel))
        if reel.first:
            return await respond(reel.first.pop(0), request)
        if request.query_params.get("RequestedChannels") == "2" and not reel.dual_available:
            return await respond(NO_DUAL, request)
        return _media(reel, seen)

    async def _serve_redirected(self, request: Request) -> Response:
        seen = self._remember(request)
        if seen.with_credentials:
            self.violations.append(f"credentials arrived at {request.url.netloc}{request.url.path}")
        reel = self.reels.get(request.path_params["name"].partition(".")[0])
        return await respond(NOT_FOUND, request) if reel is None else _media(reel, seen)

    def _remember(self, request: Request) -> Seen:
        seen = Seen(request.url.path, request.url.query, "authorization" in request.headers, request.client)
        self.requests.append(seen)
        return seen


async def respond(answer: Answer, request: Request) -> Response:
    """Give an answer that was scripted."""
    while answer.silent and (await request.receive())["type"] != "http.disconnect":
        pass
    headers = dict(answer.headers)
    if answer.cut:
        headers["content-length"] = str(len(answer.body) + 1)
    return Response(answer.body, answer.status, headers)


def _metadata(request: Request, sid: str, reel: Reel) -> dict[str, object]:
    return {
        "sid": sid,
        "account_sid": request.path_params["account"],
        "status": "completed",
        "media_url": str(request.url.replace(path=request.url.path.removesuffix(".json"), query="")),
        "encryption_details": None,
        **reel.metadata,
    }


def _media(reel: Reel, seen: Seen) -> Response:
    headers = {"content-type": reel.content_type}
    if reel.declared_bytes is not None:
        headers["content-length"] = str(reel.declared_bytes)
    elif isinstance(reel.body, bytes):
        headers["content-length"] = str(len(reel.body))
    return StreamingResponse(_drip(reel, seen), headers=headers)


async def _drip(reel: Reel, seen: Seen) -> AsyncIterator[bytes]:
    for chunk in reel.chunks():
        seen.sent_bytes += len(chunk)
        yield chunk
        await asyncio.sleep(reel.pause_s)
