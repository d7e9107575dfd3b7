"""POST /predict-stream: audio in a chunked body, verdicts line by line as soon as they can be given."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from amd_service.detector.stream import Listening
from amd_service.domain import Verdict
from amd_service.web.body import stream_body
from amd_service.web.predict import MULTIPART, as_problems, read_channel
from amd_service.web.problems import Problem, problem_body
from amd_service.web.shapes import StreamLine
from amd_service.web.state import runtime_of

NDJSON = "application/x-ndjson"


async def predict_stream(request: Request) -> Response:
    """A provisional verdict once 1, 2 and 5 s of speech have arrived, then the final one; NDJSON.

    The body is the audio itself with its content type: WAV, MP3, or headerless audio with its rate, such as
    `audio/x-mulaw;rate=8000`. A body longer than needed is read to its end, at most to the upload cap.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() in ("", MULTIPART, "application/json"):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the audio itself as the body, with its own content type")
    return NdjsonResponse(_lines(request, content_type, read_channel(request)))


async def _lines(request: Request, content_type: str, channel: int | None) -> AsyncIterator[StreamLine]:
    runtime = runtime_of(request)
    listening = Listening(runtime.detector, content_type=content_type, channel=channel, one_sided=True)
    started = perf_counter()

    def line(verdict: Verdict, speech_ms: int | None) -> StreamLine:
        return StreamLine.of(
            verdict,
            processing_ms=(perf_counter() - started) * 1000,
            provisional=speech_ms is not None,
            speech_ms=speech_ms,
        )

    with as_problems():
        async with aclosing(stream_body(request, runtime.settings.max_upload_bytes)) as chunks:
            async for chunk in chunks:
                for provisional in await listening.feed(chunk):
                    yield line(provisional.verdict, provisional.speech_ms)
        yield line(await listening.finish(), None)


class NdjsonResponse(Response):
    """Sends each line as it comes.

    Starlette's StreamingResponse listens for a disconnect while it sends; here the request's body is still being
    read then, by the generator of lines itself. The status is sent with the first line, so that whatever goes
    wrong before is an ordinary error answer; what goes wrong later is a last line in the shape of a problem.
    """

    media_type = NDJSON

    def __init__(self, lines: AsyncIterator[StreamLine]) -> None:
        super().__init__()
        self._lines = lines
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        started = False
        try:
            async for line in self._lines:
                if not started:
                    started = True
                    await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await self._send(send, line.model_dump_json())
        except Problem as problem:
            if not started:
                raise
            await self._send(send, json.dumps(problem_body(problem)))
        await send({"type": "http.response.body", "body": b""})

    async def _send(self, send: Send, line: str) -> None:
        await send({"type": "http.response.body", "body": line.encode() + b"\n", "more_body": True})
