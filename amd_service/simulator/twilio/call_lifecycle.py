"""The life of a call that was placed: what happens to it, and which callbacks Twilio sends about it."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import format_datetime
from urllib.parse import urlsplit

import httpx2

from amd_service.domain import CallStatus, RecordingStatus
from amd_service.simulator.twilio.call_store import SimulatedCall, SimulatedRecording, now
from amd_service.simulator.twilio.media_host import Reel
from amd_service.simulator.twilio.rest_api import RestApi
from amd_service.simulator.twilio.signed_callbacks import Delivery, Pairs, deliver

# By CallStatus, the event that a subscription must name. Every way of ending is `completed`.
_EVENT_OF = {CallStatus.INITIATED: "initiated", CallStatus.RINGING: "ringing", CallStatus.IN_PROGRESS: "answered"}


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback that is due: where to, the URL as it was given with its fragment, and its parameters."""

    url: str
    pairs: Pairs


@dataclass(frozen=True, slots=True)
class Life:
    """How a call goes. `ending`: its last CallStatus.

    `reel`: what was recorded, None where nothing was; `recording_status`: how the recording ends (`absent` needs no
    reel), None for a call that is not recorded at all. `answered_by`: what Twilio's own detection says, where the call
    asked for it. `while_up`: run while the call is in progress.
    """

    ending: str = CallStatus.COMPLETED
    reel: Reel | None = None
    recording_status: str | None = RecordingStatus.COMPLETED
    answered_by: str = "human"
    amd_ms: int = 3200
    while_up: Callable[[SimulatedCall], Awaitable[object]] | None = None


async def live_out(
    rest: RestApi,
    call: SimulatedCall,
    life: Life,
    *,
    token: str,
    client: httpx2.AsyncClient,
    connect_to: str | None = None,
) -> list[Delivery]:
    """Let a placed call live, and deliver the callbacks it asked for, signed with `token` and retried as Twilio would.

    `connect_to`: base URL to connect to, where the URLs that were given are not its own. Raises ValueError for a call
    that gave no absolute URL.
    """
    delivered = []

    async def send(callbacks: Iterable[Callback]) -> None:
        for callback in callbacks:
            delivered.append(await _send(client, callback, token, connect_to))  # noqa: PERF401 - one after the other

    answered = life.ending == CallStatus.COMPLETED
    recording = None
    await send(advance(call, CallStatus.INITIATED, 0))
    await send(advance(call, CallStatus.RINGING, 1))
    if answered:
        await send(advance(call, CallStatus.IN_PROGRESS, 2))
        await send(_amd(call, life))
        recording = start_recording(call, life)
        if recording is not None:
            await send(recording_callbacks(call, recording))
        if life.while_up is not None:
            await life.while_up(call)
    await send(advance(call, life.ending, 3 if answered else 2))
    if recording is not None:
        end_recording(rest, recording, life)
        await send(recording_callbacks(call, recording))
    return delivered


def advance(call: SimulatedCall, status: str, sequence_number: int) -> Iterator[Callback]:
    """Bring a call that is not over into this state; the callback about it, where the call subscribed to it."""
    if status in _EVENT_OF:
        call.started_at = call.started_at or now()
        # Twilio's REST API has no `initiated`.
        call.status = CallStatus.QUEUED if status == CallStatus.INITIATED else status
    elif not call.is_over:  # it may have been hung up meanwhile
        call.end(status)
    event = _EVENT_OF.get(status, "completed")
    url = call.given("StatusCallback")
    if url is None or event not in (call.all_given("StatusCallbackEvent") or ["completed"]):
        return
    about = [("CallStatus", status if status in _EVENT_OF else call.status), ("SequenceNumber", str(sequence_number))]
    moment = [("Timestamp", format_datetime(now())), ("CallbackSource", "call-progress-events")]
    ended = [("Duration", "1"), ("CallDuration", str(call.duration_s or 0))] if event == "completed" else []
    yield Callback(url, [*_common(call), *about, *moment, *ended])


def start_recording(call: SimulatedCall, life: Life) -> SimulatedRecording | None:
    """The recording that begins now, where the call is recorded; the REST API lists it from here on."""
    if life.recording_status is None or call.given("Record") != "true":
        return None
    recording = SimulatedRecording(
        call_sid=call.sid,
        status=RecordingStatus.IN_PROGRESS,
        track=call.given("RecordingTrack") or "both",
        channels=2 if call.given("RecordingChannels") == "dual" else 1,
        duration_s=None,
    )
    call.recordings.append(recording)
    return recording


def end_recording(rest: RestApi, recording: SimulatedRecording, life: Life) -> None:
    """The recording is there, or it turned out that there is none."""
    recording.status = life.recording_status or RecordingStatus.COMPLETED
    recording.duration_s = 5 if recording.status == RecordingStatus.COMPLETED else None
    if life.reel is not None and recording.status == RecordingStatus.COMPLETED:
        rest.media.reels[recording.sid] = life.reel


def recording_callbacks(call: SimulatedCall, recording: SimulatedRecording) -> Iterator[Callback]:
    """The callback about a recording as it stands, where the call subscribed to it."""
    url = call.given("RecordingStatusCallback")
    # One parameter, its words separated by spaces (Twilio's OpenAPI description).
    subscribed = " ".join(call.all_given("RecordingStatusCallbackEvent")).split() or ["completed"]
    if url is None or recording.status not in subscribed:
        return
    yield Callback(
        url,
        [
            ("AccountSid", call.account_sid),
            ("CallSid", call.sid),
            ("RecordingSid", recording.sid),
            (
                "RecordingUrl",
                f"https://api.twilio.com/2010-04-01/Accounts/{call.account_sid}/Recordings/{recording.sid}",
            ),
            ("RecordingStatus", recording.status),
            ("RecordingDuration", "" if recording.duration_s is None else str(recording.duration_s)),
            ("RecordingChannels", str(recording.channels)),
            ("RecordingSource", recording.source),
            ("RecordingTrack", recording.track or ""),
            ("RecordingStartTime", format_datetime(recording.created_at)),
            ("ErrorCode", str(recording.error_code or 0)),
        ],
    )


def _amd(call: SimulatedCall, life: Life) -> Iterator[Callback]:
    url = call.given("AsyncAmdStatusCallback")
    if url is None or call.given("AsyncAmd") != "true":
        return
    call.answered_by = life.answered_by
    verdict = [("AnsweredBy", life.answered_by), ("MachineDetectionDuration", str(life.amd_ms))]
    yield Callback(url, [("AccountSid", call.account_sid), ("CallSid", call.sid), *verdict])


def _common(call: SimulatedCall) -> list[tuple[str, str]]:
    return [
        ("AccountSid", call.account_sid),
        ("CallSid", call.sid),
        ("From", call.from_number),
        ("To", call.to_number),
        ("Direction", call.direction),
        ("ApiVersion", "2010-04-01"),
    ]


async def _send(client: httpx2.AsyncClient, callback: Callback, token: str, connect_to: str | None) -> Delivery:
    parts = urlsplit(callback.url)
    if not parts.hostname:
        raise ValueError(f"{callback.url} is no absolute URL")
    base = f"{parts.scheme}://{parts.netloc}"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return await deliver(
        client,
        connect_to or base,
        path,
        callback.pairs,
        token=token,
        signed_base=base,
        overrides=parts.fragment,
    )
