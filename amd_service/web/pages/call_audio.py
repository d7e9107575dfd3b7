"""GET /calls/{sid}/audio/{recording_sid}: a recording of a call, fetched from Twilio, as a WAV file."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.calls.tables import MEDIA_STREAM, Recording
from amd_service.detection.audio.pcm import PcmAudio, WavFile
from amd_service.domain import AccessScope, CallSid, Failure, is_sid
from amd_service.errors import (
    AmdError,
    CredentialsMissing,
    MediaIncomplete,
    MediaNotYet,
    MediaRefused,
    TwilioUnavailable,
    Undecodable,
)
from amd_service.operations.listening import FETCHES_AT_ONCE
from amd_service.telemetry import get_logger
from amd_service.web.authentication import principal_of, with_scope
from amd_service.web.pages.byte_ranges import ranged_response
from amd_service.web.problems import Problem
from amd_service.web.state import state_of

log = get_logger(__name__)

HEADERS = {"cache-control": "private, no-store", "x-content-type-options": "nosniff"}


async def get_audio(request: Request) -> Response:
    """GET /calls/{sid}/audio/{recording_sid}: 16-bit PCM. `channel`: 1 or 2; without it, all channels.

    Supports range requests, so that a player can seek.
    """
    recording = await _find(request)
    try:
        audio = await _open(request, recording)
    except AmdError as error:
        log.info("recording not fetched", recording_sid=recording.recording_sid, reason=str(error))
        raise _problem_for(error) from error
    channel = _channel(request, audio)
    body = WavFile(audio, channel)
    etag = f'"{recording.recording_sid}-{channel or "all"}-{body.size}"'
    return ranged_response(request.headers, body, media_type="audio/wav", etag=etag, headers=HEADERS)


async def _find(request: Request) -> Recording:
    """Return the recording that the path names. Raises Problem if its audio cannot be fetched at all."""
    call_sid, recording_sid = request.path_params["sid"], request.path_params["recording_sid"]
    unknown = Problem(HTTPStatus.NOT_FOUND, f"the call {call_sid} has no recording {recording_sid}")
    if not is_sid(call_sid, "CA") or not (is_sid(recording_sid, "RE") or is_sid(recording_sid, "MZ")):
        raise unknown
    recording = await state_of(request).listening.find(CallSid(call_sid), recording_sid)
    if recording is None:
        raise unknown
    if recording.source == MEDIA_STREAM:
        detail = "the audio of a live stream is not stored: let Twilio record the call to hear it later"
        raise Problem(HTTPStatus.NOT_FOUND, detail)
    if recording.erased_at is not None:
        raise Problem(
            HTTPStatus.GONE,
            f"Twilio's copy of the recording was deleted on {recording.erased_at:%Y-%m-%d}, and no other copy exists: "
            "set AMD_DELETE_RECORDINGS=false to keep future recordings",
        )
    return recording


async def _open(request: Request, recording: Recording) -> PcmAudio:
    state = state_of(request)
    kept = state.listening.kept(recording.recording_sid)
    if kept is not None:
        return kept
    with state.listening_limiter.try_acquire() as is_acquired:
        if not is_acquired:
            detail = f"{FETCHES_AT_ONCE} recordings are being fetched already: try again in a moment"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after_s=1)
        audio = await state.listening.fetch(recording)
    log.info("recording fetched to be heard", recording_sid=recording.recording_sid, by=principal_of(request).name)
    return audio


def _channel(request: Request, audio: PcmAudio) -> int | None:
    wanted = request.query_params.get("channel")
    if wanted is None:
        return None
    if wanted not in ("1", "2"):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"there is no channel {wanted[:20]!r}: use 1 or 2")
    if int(wanted) > audio.channels:
        raise Problem(HTTPStatus.NOT_FOUND, "the recording has one channel: leave `channel` out")
    return int(wanted)


def _problem_for(error: AmdError) -> Problem:
    """Convert an error to a problem. Raises every other error unchanged."""
    match error:
        case MediaIncomplete() | TwilioUnavailable():
            detail = f"Twilio did not send the recording: {error}; try again in a moment"
            return Problem(HTTPStatus.BAD_GATEWAY, detail, retry_after_s=error.retry_after_s or 5)
        case MediaNotYet():
            detail = "Twilio does not have this recording: it was deleted at Twilio, or it is not ready yet"
            return Problem(HTTPStatus.NOT_FOUND, detail)
        case MediaRefused(failure=Failure.MEDIA_MISSING):
            return Problem(HTTPStatus.GONE, f"the recording is gone: {error}")
        case MediaRefused() | CredentialsMissing():
            return Problem(HTTPStatus.BAD_GATEWAY, str(error))
        case Undecodable():
            return Problem(HTTPStatus.BAD_GATEWAY, f"Twilio sent a body that cannot be played: {error}")
        case _:
            raise error


ROUTES = (Route("/calls/{sid}/audio/{recording_sid}", with_scope(AccessScope.READ, get_audio), methods=["GET"]),)
