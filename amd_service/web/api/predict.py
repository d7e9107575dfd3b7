"""POST /predict: judge an uploaded recording."""

import asyncio
from http import HTTPStatus
from time import perf_counter

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.web.api.openapi.responses import response
from amd_service.web.api.openapi.route import KEY_REQUIRED, DescribedRoute
from amd_service.web.api.schemas import PredictAnswer
from amd_service.web.api.uploads import (
    AUDIO,
    AUDIO_BODIES,
    CHANNEL,
    FORMATS,
    UPLOAD_PROBLEMS,
    parse_channel,
    translate_detection_errors,
    while_connected,
)
from amd_service.web.body import media_type, read_body, stream_body
from amd_service.web.media_types import BYTES, MULTIPART
from amd_service.web.problems import Problem
from amd_service.web.state import state_of


async def predict(request: Request) -> JSONResponse:
    """POST /predict: judge a recording. The recording is the multipart field `audio` or the whole body.

    Mono audio must contain only the called party. For dual-channel audio, `channel` (1 or 2) selects the channel of the
    called party. `channel` can be in the query or in the form; the form takes precedence. `processing_time_ms` is the
    time from the complete upload to the response.
    """
    audio = await _read_upload(request)
    started = perf_counter()
    with translate_detection_errors():
        work = state_of(request).runtime.detector.judge(audio, priority=Priority.INTERACTIVE)
        verdict = await while_connected(request, work)
    body = PredictAnswer.of(verdict, processing_ms=(perf_counter() - started) * 1000)
    return JSONResponse(body.model_dump(mode="json"))


async def _read_upload(request: Request) -> AudioInput:
    state = state_of(request)
    limit_bytes, timeout_s = state.runtime.settings.max_upload_bytes, state.time_limits.upload_s
    channel = parse_channel(request.query_params.get("channel"))
    kind = media_type(request)
    if kind == MULTIPART:
        return await _read_multipart(request, channel, limit_bytes, timeout_s)
    if kind.startswith("audio/") or kind == BYTES:
        data = await read_body(request, limit_bytes, timeout_s=timeout_s)
        return AudioInput(data=data, content_type=request.headers["content-type"], channel=channel, one_sided=True)
    raise Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"send {MULTIPART} with the audio in the field `audio`, or the audio as the body with an audio content type",
    )


async def _read_multipart(request: Request, channel: int | None, limit_bytes: int, timeout_s: float) -> AudioInput:
    """Read the audio and the channel from a form. `channel`: the default for a form without the field `channel`."""
    parser = MultiPartParser(request.headers, stream_body(request, limit_bytes), max_files=1, max_fields=8)
    try:
        async with asyncio.timeout(timeout_s):
            form = await parser.parse()
    except MultiPartException as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the multipart body is malformed: {error.message}") from error
    except TimeoutError as error:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {timeout_s:g} s") from error
    try:
        audio = form.get("audio")
        if not isinstance(audio, UploadFile):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the multipart field `audio` is missing or is not a file")
        channel = parse_channel(form.get("channel")) or channel
        return AudioInput(data=await audio.read(), content_type=audio.content_type, channel=channel, one_sided=True)
    finally:
        await form.close()


ROUTE = DescribedRoute(
    "/predict",
    predict,
    post={
        **KEY_REQUIRED,
        "summary": "Judge a recording",
        "description": f"Send the audio as the multipart field `audio` or as the body. {FORMATS}",
        "parameters": [CHANNEL],
        "requestBody": {
            "required": True,
            "content": {
                MULTIPART: {
                    "schema": {"type": "object", "required": ["audio"], "properties": {"audio": AUDIO["schema"]}},
                },
                **AUDIO_BODIES,
            },
        },
        "responses": {"200": response("The verdict.", PredictAnswer), **UPLOAD_PROBLEMS},
    },
)
