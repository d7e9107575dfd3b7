"""POST /predict: judge an uploaded recording."""

from collections.abc import Sequence
from http import HTTPStatus
from time import perf_counter

from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.domain import AccessScope
from amd_service.web.api.openapi.responses import response
from amd_service.web.api.openapi.route import DescribedRoute
from amd_service.web.api.schemas import PredictAnswer
from amd_service.web.api.uploads import (
    AUDIO,
    AUDIO_BODIES,
    CHANNEL,
    FORMATS,
    UPLOAD_LIMIT,
    UPLOAD_PROBLEMS,
    parse_channel,
    require_audio,
    require_channel,
    translate_detection_errors,
    while_connected,
)
from amd_service.web.body import media_type, read_body
from amd_service.web.media_types import MULTIPART
from amd_service.web.multipart import Part, read_form
from amd_service.web.problems import Problem
from amd_service.web.state import state_of

# A longer text in the part `audio` is no path of a file.
MAX_PATH_BYTES = 1024


async def predict(request: Request) -> JSONResponse:
    """POST /predict: judge a recording. The recording is the multipart field `audio` or the whole body.

    Mono audio must contain only the called party. For dual-channel audio, `channel` (1 or 2) selects the channel of the
    called party. `channel` can be in the query or in the form; the form takes precedence. Channel 2 of mono audio is
    refused. `processing_time_ms` is the time from the complete upload to the response.
    """
    audio = await _read_upload(request)
    started = perf_counter()
    with translate_detection_errors():
        work = state_of(request).runtime.detector.judge(audio, priority=Priority.INTERACTIVE)
        verdict = await while_connected(request, work)
    require_channel(verdict, audio.channel)
    body = PredictAnswer.of(verdict, processing_ms=(perf_counter() - started) * 1000)
    return JSONResponse(body.model_dump(mode="json"))


async def _read_upload(request: Request) -> AudioInput:
    state = state_of(request)
    limit_bytes, timeout_s = state.runtime.settings.max_upload_bytes, state.time_limits.upload_s
    channel = parse_channel(request.query_params.getlist("channel"))
    kind = media_type(request)
    if kind == MULTIPART:
        parts = await read_form(request, limit_bytes, setting=UPLOAD_LIMIT, timeout_s=timeout_s)
        return _audio_of_form(parts, channel)
    require_audio(request)
    data = await read_body(request, limit_bytes, setting=UPLOAD_LIMIT, timeout_s=timeout_s)
    return AudioInput(data=data, content_type=request.headers["content-type"], channel=channel, one_sided=True)


def _audio_of_form(parts: Sequence[Part], channel: int | None) -> AudioInput:
    """Return the audio and the channel of a form. `channel`: the default for a form without the part `channel`.

    The part `audio` may have any content type, and needs no file name.
    """
    audio = [part for part in parts if part.name == "audio"]
    problem = _problem_of_parts(parts, audio) if len(audio) != 1 else _problem_of_audio(audio[0])
    if problem is not None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, problem)
    [sent] = audio
    of_form = parse_channel([part.data.decode("utf-8", "replace") for part in parts if part.name == "channel"])
    return AudioInput(
        data=bytes(sent.data), content_type=sent.headers.get("content-type"), channel=of_form or channel, one_sided=True
    )


def _problem_of_parts(parts: Sequence[Part], audio: Sequence[Part]) -> str:
    """Describe a form without exactly one part `audio`."""
    others = [part.name[:40] for part in parts if part.name not in ("audio", "channel")]
    if not audio and len(others) == 1:
        return f"the form has the part {others[0]!r}: rename it to 'audio'"
    names = ", ".join(f"`{part.name[:40]}`" for part in parts)
    return f"send exactly one part `audio`: the form has {len(audio)}, among {names}"


def _problem_of_audio(sent: Part) -> str | None:
    """Describe a part `audio` that is empty or contains the path of a file; None for other parts.

    `curl -F audio=call.wav` sends the text `call.wav`, without a content type.
    """
    if not sent.data:
        return "the part `audio` is empty: check the path of the file"
    if len(sent.data) > MAX_PATH_BYTES or "content-type" in sent.headers:
        return None
    text = sent.data.decode("utf-8", "replace")
    if not text.isprintable() or "\ufffd" in text:
        return None
    return f"the part `audio` is the text {text[:60]!r}, not audio: write @ before the path, as in `-F audio=@call.wav`"


ROUTE = DescribedRoute(
    "/predict",
    predict,
    needs=AccessScope.PREDICT,
    post={
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
