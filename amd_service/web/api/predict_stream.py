"""POST /predict-stream: judge audio in a chunked body, and send verdicts as NDJSON lines while the body arrives."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.streamed_upload import StreamedUpload
from amd_service.domain import AccessScope, Verdict
from amd_service.web.api.openapi.responses import Json, response
from amd_service.web.api.openapi.route import DescribedRoute
from amd_service.web.api.schemas import ScoredWindow, StreamLine
from amd_service.web.api.uploads import (
    AUDIO_BODIES,
    CHANNEL,
    FORMATS,
    UPLOAD_LIMIT,
    UPLOAD_PROBLEMS,
    parse_channel,
    parse_longer_window,
    require_audio,
    require_channel,
    translate_detection_errors,
    while_connected,
)
from amd_service.web.body import stream_body
from amd_service.web.media_types import NDJSON
from amd_service.web.problems import Problem, problem_body
from amd_service.web.state import state_of

LONGER_WINDOW: Json = {
    "name": "longer_window",
    "in": "query",
    "description": "Score the longer window also if the policy does not need it. The verdict does not change. `scored` "
    "then has all windows that other thresholds could need.",
    "schema": {"type": "boolean", "default": False},
}


async def predict_stream(request: Request) -> Response:
    """POST /predict-stream: provisional verdicts after 1, 2 and 5 s of speech, then the final verdict.

    The body is WAV, MP3 or raw audio. The content type of raw audio contains the sample rate, for example
    `audio/x-mulaw;rate=8000`. The final verdict is sent at the end of the body, or earlier if more audio cannot change
    the verdict. The rest of the body is then read and discarded, up to the upload limit and for at most
    `predict_stream_drain_s` seconds. If a client disconnects during a provisional verdict, the next read notices the
    disconnect. At most one window is judged unnecessarily.
    """
    require_audio(request)
    channel = parse_channel(request.query_params.getlist("channel"))
    audio = AudioInput(data=b"", content_type=request.headers["content-type"], channel=channel, one_sided=True)
    longer_window = parse_longer_window(request.query_params.getlist("longer_window"))
    upload = StreamedUpload(state_of(request).runtime.detector, audio)
    return NdjsonResponse(_lines(request, upload, channel, longer_window=longer_window))


async def _lines(
    request: Request, upload: StreamedUpload, channel: int | None, *, longer_window: bool
) -> AsyncGenerator[StreamLine, None]:
    started = perf_counter()

    def line(verdict: Verdict, speech_ms: int | None) -> StreamLine:
        require_channel(verdict, channel)
        return StreamLine.of(
            verdict,
            processing_ms=(perf_counter() - started) * 1000,
            provisional=speech_ms is not None,
            speech_ms=speech_ms,
            scored=[ScoredWindow.of(run) for run in verdict.runs],
        )

    async def final_line() -> StreamLine:
        verdict = await upload.finish()
        final = line(verdict, None)
        if longer_window and (run := await upload.score_remaining_window(verdict)) is not None:
            final.scored.append(ScoredWindow.of(run))
        return final

    limits = state_of(request).time_limits
    body = stream_body(
        request,
        state_of(request).runtime.settings.max_upload_bytes,
        setting=UPLOAD_LIMIT,
        idle_s=limits.predict_stream_idle_s,
        total_s=limits.predict_stream_total_s,
    )
    with translate_detection_errors():
        async with aclosing(body) as chunks:
            while not upload.is_complete and (chunk := await anext(chunks, None)) is not None:
                for provisional in await upload.feed(chunk):
                    yield line(provisional.verdict, provisional.speech_ms)
            if upload.is_complete:
                yield await final_line()
                await _drain(chunks, limits.predict_stream_drain_s)
            else:
                yield await while_connected(request, final_line())


async def _drain(chunks: AsyncGenerator[bytes, None], timeout_s: float) -> None:
    """Read the rest of the body. Some clients read the response only after they have sent the whole body."""
    # The verdict has been sent, so a body that is too long or a disconnect is no longer an error.
    with suppress(Problem, TimeoutError):
        async with asyncio.timeout(timeout_s):
            async for _ in chunks:
                continue


class NdjsonResponse(Response):
    """Sends each line as soon as the line is available.

    Starlette's StreamingResponse is not suitable. While it sends, StreamingResponse receives messages to notice a
    disconnect. It would therefore take chunks of the request body away from the generator of the lines.

    The status is sent with the first line. An error before the first line is an ordinary problem response. An error
    after the first line becomes the last line, with the members of a problem.
    """

    media_type = NDJSON

    def __init__(self, lines: AsyncGenerator[StreamLine, None]) -> None:
        super().__init__()
        self._lines = lines
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        is_started = False
        try:
            async with aclosing(self._lines) as lines:
                async for line in lines:
                    if not is_started:
                        is_started = True
                        await send(head)
                    await _send_line(send, line.model_dump_json())
        except Problem as problem:
            if not is_started:
                raise
            await _send_line(send, json.dumps(problem_body(problem)))
        await send({"type": "http.response.body", "body": b""})


async def _send_line(send: Send, line: str) -> None:
    await send({"type": "http.response.body", "body": line.encode() + b"\n", "more_body": True})


ROUTE = DescribedRoute(
    "/predict-stream",
    predict_stream,
    needs=AccessScope.PREDICT,
    post={
        "summary": "Judge audio while the audio arrives",
        "description": f"The body is audio and may be chunked. The response is sent while the body arrives. {FORMATS}",
        "parameters": [CHANNEL, LONGER_WINDOW],
        "requestBody": {"required": True, "content": AUDIO_BODIES},
        "responses": {
            "200": response(
                "One JSON object per line: provisional verdicts after 1, 2 and 5 s of speech, then the final verdict. "
                "If an error occurs after the first line, the last line is a problem.",
                StreamLine,
                NDJSON,
            ),
            **UPLOAD_PROBLEMS,
        },
    },
)
