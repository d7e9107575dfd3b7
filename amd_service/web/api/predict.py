"""POST /predict: an upload in, a verdict out."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from time import perf_counter

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.inference import Priority
from amd_service.domain import Verdict
from amd_service.errors import ClassifierUnavailable, ModelFailed, QueueFull, Undecodable
from amd_service.runtime import Runtime
from amd_service.web.api.schemas import PredictAnswer
from amd_service.web.body import media_type, read_body, stream_body
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of

UPLOAD_TIMEOUT_S = 60.0
MULTIPART = "multipart/form-data"


async def predict(request: Request) -> JSONResponse:
    """The verdict on an uploaded recording: multipart field `audio`, or the audio itself as the body.

    Mono audio is taken as the called party alone; `channel` (1 or 2, query or form) names the called party of
    dual-channel audio.
    `processing_time_ms` runs from the complete upload to the answer.
    """
    runtime = runtime_of(request)
    channel = read_channel(request.query_params.get("channel"))
    audio = await _read_upload(request, runtime.settings.max_upload_bytes)
    started = perf_counter()
    verdict = await while_connected(request, _judge(runtime, replace(audio, channel=audio.channel or channel)))
    answer = PredictAnswer.of(verdict, processing_ms=(perf_counter() - started) * 1000)
    return JSONResponse(answer.model_dump(mode="json"))


def read_channel(sent: object) -> int | None:
    """The called party's channel as it was sent, None where it was not. Raises Problem 422 for anything but 1 or 2."""
    if sent not in (None, "1", "2"):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "channel is 1 or 2, the channel of the called party")
    return None if sent is None else int(str(sent))


async def _judge(runtime: Runtime, audio: AudioInput) -> Verdict:
    with as_problems():
        return await runtime.detector.judge(audio, priority=Priority.INTERACTIVE)


@contextmanager
def as_problems() -> Iterator[None]:
    """What can go wrong with a verdict, as the API says it."""
    try:
        yield
    except Undecodable as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    except QueueFull as error:
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), retry_after_s=error.retry_after_s or 1) from error
    except ClassifierUnavailable as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), retry_after_s=5) from error
    except ModelFailed as error:
        raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error


async def while_connected(request: Request, work: Coroutine[None, None, Verdict]) -> Verdict:
    """The result of `work`, which is cancelled when the client leaves: nobody waits for the answer.

    For use once the body has been read: what still comes of it is thrown away.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Problem(HTTPStatus.BAD_REQUEST, "the client has left")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        # Not before its window has left the line: what the next caller finds there is then what is there.
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def _read_upload(request: Request, limit: int) -> AudioInput:
    kind = media_type(request)
    if kind == MULTIPART:
        return await _read_multipart(request, limit)
    if kind.startswith("audio/") or kind == "application/octet-stream":
        data = await read_body(request, limit, timeout_s=UPLOAD_TIMEOUT_S)
        return AudioInput(data=data, content_type=request.headers["content-type"])
    raise Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"send {MULTIPART} with the audio in the field `audio`, or the audio itself with its own content type",
    )


async def _read_multipart(request: Request, limit: int) -> AudioInput:
    parser = MultiPartParser(request.headers, stream_body(request, limit), max_files=1, max_fields=8)
    try:
        async with asyncio.timeout(UPLOAD_TIMEOUT_S):
            form = await parser.parse()
    except MultiPartException as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the multipart body is malformed: {error.message}") from error
    except TimeoutError as error:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "the upload did not arrive in time") from error
    try:
        audio = form.get("audio")
        if not isinstance(audio, UploadFile):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the multipart field `audio` with a file is missing")
        channel = read_channel(form.get("channel"))
        return AudioInput(data=await audio.read(), content_type=audio.content_type, channel=channel)
    finally:
        await form.close()
