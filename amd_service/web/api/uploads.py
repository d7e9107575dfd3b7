"""Parameters, errors and cancellation: shared code of `/predict` and `/predict-stream`."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

from starlette.requests import Request

from amd_service.domain import Verdict
from amd_service.errors import ClassifierUnavailable, ModelFailed, QueueFull, Undecodable
from amd_service.web.api.openapi.responses import Json, problems
from amd_service.web.api.openapi.route import NO_ACCESS
from amd_service.web.body import media_type
from amd_service.web.media_types import BYTES, FORM, MULTIPART
from amd_service.web.media_types import JSON as JSON_TYPE
from amd_service.web.problems import Problem

T = TypeVar("T")

AUDIO: Json = {"schema": {"type": "string", "format": "binary"}}
AUDIO_BODIES: Json = dict.fromkeys(
    (
        *("audio/wav", "audio/mpeg", "audio/flac", "audio/ogg", "audio/aiff"),
        *("audio/x-mulaw", "audio/x-alaw", "audio/l16", "audio/basic", BYTES),
    ),
    AUDIO,
)
FORMATS = (
    "WAV, MP3, FLAC, Ogg (Vorbis or Opus), AU, AIFF and CAF are recognised by their first bytes. Raw audio needs its "
    "sample rate in the content type, for example `audio/x-mulaw;rate=8000`."
)
CHANNEL: Json = {
    "name": "channel",
    "in": "query",
    "description": "Channel of the called party in dual-channel audio. Without this parameter the channels are mixed. "
    "For mono audio, omit the parameter: 2 is refused.",
    "schema": {"type": "integer", "enum": [1, 2]},
}
# The setting that limits the size of an upload.
UPLOAD_LIMIT = "AMD_MAX_UPLOAD_BYTES"
UPLOAD_PROBLEMS = problems(
    *NO_ACCESS,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def parse_channel(sent: Sequence[str]) -> int | None:
    """Parse the channel of the called party. Returns None if no channel was sent.

    Raises Problem 422 for a value other than 1 or 2, and for more than one value.
    """
    if not sent:
        return None
    if list(sent) in (["1"], ["2"]):
        return int(sent[0])
    found = f"it has {len(sent)} values" if len(sent) > 1 else f"it is {sent[0][:20]!r}" if sent[0] else "it is empty"
    raise Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"`channel` must be 1 or 2, the channel of the called party, but {found}. Omit `channel` for mono audio.",
    )


def parse_longer_window(sent: Sequence[str]) -> bool:
    """Parse the flag of `/predict-stream`. Raises Problem 422 for a value other than `true` or `false`."""
    if list(sent) not in ([], ["true"], ["false"]):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"`longer_window` must be true or false, but it is {','.join(sent)[:20]!r}"
        )
    return list(sent) == ["true"]


def require_channel(verdict: Verdict, channel: int | None) -> None:
    """Raise Problem 422 if `channel` is 2 and the judged audio is mono: the client did not send what it intended."""
    if channel == 2 and verdict.channel == 1:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "`channel` is 2, but the audio has one channel: send the dual-channel audio, or omit `channel`",
        )


def require_audio(request: Request) -> None:
    """Raise Problem 415 unless the content type of a body can be audio.

    Browsers send audio also as `video/webm` and `video/mp4`. The detector recognises the format.
    """
    kind = media_type(request)
    if kind.startswith(("audio/", "video/")) or kind in (BYTES, "application/ogg"):
        return
    if kind == FORM:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the content type is {FORM}, curl's default for --data-binary: add `-H 'content-type: audio/wav'`, "
            f"or send {MULTIPART} to /predict with `-F audio=@call.wav`",
        )
    found = {
        "": "the request has no content type",
        JSON_TYPE: "the body is JSON, and JSON cannot contain audio",
    }.get(kind, f"the content type {kind[:60]!r} is not audio")
    raise Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"{found}: send the bytes of the audio as the body, with a content type such as audio/wav. {MULTIPART} with "
        "the audio in the part `audio` is possible at /predict.",
    )


@contextmanager
def translate_detection_errors() -> Iterator[None]:
    """Convert the detector's errors to problems."""
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


async def while_connected(request: Request, work: Coroutine[None, None, T]) -> T:
    """Return the result of `work`. When the client disconnects, cancel `work` and raise Problem 400.

    Call this function after the body has been read, because `while_connected` discards all other messages.
    """
    task = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(wait_for_disconnect(request))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Problem(HTTPStatus.BAD_REQUEST, "the client has disconnected")
        return task.result()
    finally:
        task.cancel()
        disconnect.cancel()
        # Wait until the cancelled window has left the request queue, so that the next request sees the true length
        # of the queue.
        await asyncio.gather(task, disconnect, return_exceptions=True)


async def wait_for_disconnect(request: Request) -> None:
    """Receive and discard messages until the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
