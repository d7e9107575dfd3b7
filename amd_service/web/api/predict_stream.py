"""POST /predict-stream: audio in a chunked body, verdicts line by line as soon as they can be given."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from http import HTTPStatus
from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.streamed_upload import StreamedUpload
from amd_service.domain import Verdict
from amd_service.web.api.predict import MULTIPART, as_problems, read_channel, while_connected
from amd_service.web.api.schemas import StreamLine
from amd_service.web.body import media_type, stream_body
from amd_service.web.problems import Problem, problem_body
from amd_service.web.state import runtime_of

NDJSON = "application/x-ndjson"
IDLE_S = 30.0  # a caller on hold still sends silence
STREAM_S = 600.0  # what has no verdict by then holds a place for nothing
DRAIN_S = 5.0  # for a client that sends everything before it reads; one that sends a live call need not be heard out


async def predict_stream(request: Request) -> Response:
    """A provisional verdict once 1, 2 and 5 s of speech have arrived, then the final one; NDJSON.

    The body is the audio itself with its content type: WAV, MP3, or headerless audio with its rate, such as
    `audio/x-mulaw;rate=8000`. The final verdict comes at the body's end, or as soon as more audio cannot change it;
    the rest of the body is then read and thrown away, for a few seconds and at most to the upload cap. A client that
    leaves during a provisional verdict is noticed at the next read: one window may be judged for nobody.
    """
    content_type = request.headers.get("content-type", "")
    if media_type(request) in ("", MULTIPART, "application/json"):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the audio itself as the body, with its own content type")
    return NdjsonResponse(_lines(request, content_type, read_channel(request.query_params.get("channel"))))


async def _lines(request: Request, content_type: str, channel: int | None) -> AsyncGenerator[StreamLine, None]:
    runtime = runtime_of(request)
    upload = StreamedUpload(runtime.detector, AudioInput(data=b"", content_type=content_type, channel=channel))
    started = perf_counter()

    def line(verdict: Verdict, speech_ms: int | None) -> StreamLine:
        return StreamLine.of(
            verdict,
            processing_ms=(perf_counter() - started) * 1000,
            provisional=speech_ms is not None,
            speech_ms=speech_ms,
        )

    with as_problems():
        body = stream_body(request, runtime.settings.max_upload_bytes, idle_s=IDLE_S, total_s=STREAM_S)
        async with aclosing(body) as chunks:
            while not upload.is_complete and (chunk := await anext(chunks, None)) is not None:
                for provisional in await upload.feed(chunk):
                    yield line(provisional.verdict, provisional.speech_ms)
            if upload.is_complete:
                yield line(await upload.finish(), None)
                await _drain(chunks)
            else:
                yield line(await while_connected(request, upload.finish()), None)


async def _drain(chunks: AsyncGenerator[bytes, None]) -> None:
    """Read what is left, so that a client which sends everything before it reads comes to its end."""
    # The verdict is out: neither a long body nor a client that left takes it back.
    with suppress(Problem, TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            async for _ in chunks:
                continue


class NdjsonResponse(Response):
    """Sends each line as it comes.

    Starlette's StreamingResponse listens for a disconnect while it sends; here the request's body is still being
    read then, by the generator of lines itself. The status is sent with the first line, so that whatever goes
    wrong before is an ordinary error answer; what goes wrong later is a last line in the shape of a problem.
    """

    media_type = NDJSON

    def __init__(self, lines: AsyncGenerator[StreamLine, None]) -> None:
        super().__init__()
        self._lines = lines
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        started = False
        try:
            async with aclosing(self._lines) as lines:
                async for line in lines:
                    if not started:
                        started = True
                        await self._start(send)
                    await self._send(send, line.model_dump_json())
        except Problem as problem:
            if not started:
                raise
            await self._send(send, json.dumps(problem_body(problem)))
        await send({"type": "http.response.body", "body": b""})

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _send(self, send: Send, line: str) -> None:
        await send({"type": "http.response.body", "body": line.encode() + b"\n", "more_body": True})
