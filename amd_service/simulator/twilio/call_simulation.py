"""Simulates a placed call: its statuses, its recording and the callbacks that Twilio sends about it."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import format_datetime
from urllib.parse import urlsplit

import httpx2

from amd_service.domain import CallStatus, RecordingSource, RecordingStatus
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.resources import SimulatedCall, SimulatedRecording, now
from amd_service.simulator.twilio.rest_api import RestApi
from amd_service.simulator.twilio.signed_callbacks import CallbackOutcome, Pairs, send_callback

TWILIO_API_URL = "https://api.twilio.com"

# The StatusCallbackEvent of each CallStatus. All final statuses belong to the event `completed`.
_EVENT_OF: dict[str, str] = {
    CallStatus.INITIATED: "initiated",
    CallStatus.RINGING: "ringing",
    CallStatus.IN_PROGRESS: "answered",
}


@dataclass(frozen=True, slots=True)
class OutgoingCallback:
    """A callback to send. `url`: the callback URL from the creation of the call, with its fragment."""

    url: str
    pairs: Pairs


@dataclass(frozen=True, slots=True)
class CallScenario:
    """The course of a simulated call. `ending`: the last CallStatus.

    `media_file`: the recorded audio; None without a recording. `recording_status`: final status of the recording; None
    for a call that is not recorded. The status `absent` needs no media file. `recording_s`: seconds of audio.
    `recording_source`: the RecordingSource. `track`, `channels`: of the recording; None means as the call requested.
    `answered_by`: the result of Twilio's own detection, sent if the call requested detection. `amd_ms`: milliseconds
    that Twilio's detection took. `while_in_progress`: awaited while the call is in progress.
    """

    ending: str = CallStatus.COMPLETED
    media_file: MediaFile | None = None
    recording_status: str | None = RecordingStatus.COMPLETED
    recording_s: int = 5
    recording_source: str = RecordingSource.OUTBOUND_API
    track: str | None = None
    channels: int | None = None
    answered_by: str = "human"
    amd_ms: int = 3200
    while_in_progress: Callable[[SimulatedCall], Awaitable[object]] | None = None


async def simulate_call(
    rest: RestApi,
    call: SimulatedCall,
    scenario: CallScenario,
    *,
    token: str,
    client: httpx2.AsyncClient,
    connect_to: str | None = None,
    api_url: str = TWILIO_API_URL,
    on_sent: Callable[[OutgoingCallback, CallbackOutcome], None] = lambda _callback, _outcome: None,
) -> list[CallbackOutcome]:
    """Run a placed call through its statuses, and send the callbacks that the call requested.

    The callbacks are signed and retried as Twilio does. `connect_to`: base URL to connect to, if it differs from the
    URLs in the call's parameters. `api_url`: base URL of the RecordingUrl. `on_sent` is called after each callback.
    Raises ValueError if a callback URL is not absolute.
    """
    outcomes = []

    async def send(callbacks: Iterable[OutgoingCallback]) -> None:
        for callback in callbacks:
            outcome = await _send(client, callback, token, connect_to)
            on_sent(callback, outcome)
            outcomes.append(outcome)

    answered = scenario.ending == CallStatus.COMPLETED
    recording = None
    await send(advance(call, CallStatus.INITIATED, 0))
    await send(advance(call, CallStatus.RINGING, 1))
    if answered:
        await send(advance(call, CallStatus.IN_PROGRESS, 2))
        await send(_amd_callbacks(call, scenario))
        recording = start_recording(call, scenario)
        if recording is not None:
            await send(recording_callbacks(call, recording, api_url))
        if scenario.while_in_progress is not None:
            await scenario.while_in_progress(call)
    await send(advance(call, scenario.ending, 3 if answered else 2))
    if recording is not None:
        end_recording(rest, recording, scenario)
        await send(recording_callbacks(call, recording, api_url))
    return outcomes


def advance(call: SimulatedCall, status: str, sequence_number: int) -> Iterator[OutgoingCallback]:
    """Set the status of a call, unless it has ended. Yields the callback if the call subscribed to the status."""
    if status in _EVENT_OF:
        call.started_at = call.started_at or now()
        # Twilio's REST API has no status `initiated`.
        call.status = CallStatus.QUEUED if status == CallStatus.INITIATED else status
    elif not call.is_over:  # the service may have hung up through the REST API
        call.end(status)
    event = _EVENT_OF.get(status, "completed")
    url = call.form_value("StatusCallback")
    if url is None or event not in (call.form_values("StatusCallbackEvent") or ["completed"]):
        return
    about = [("CallStatus", status if status in _EVENT_OF else call.status), ("SequenceNumber", str(sequence_number))]
    time = [("Timestamp", format_datetime(now())), ("CallbackSource", "call-progress-events")]
    ended = [("Duration", "1"), ("CallDuration", str(call.duration_s or 0))] if event == "completed" else []
    yield OutgoingCallback(url, [*_common_parameters(call), *about, *time, *ended])


def start_recording(call: SimulatedCall, scenario: CallScenario) -> SimulatedRecording | None:
    """Start the call's recording and add it to the REST API's list. None for a call that is not recorded."""
    if scenario.recording_status is None or call.form_value("Record") != "true":
        return None
    recording = SimulatedRecording(
        call_sid=call.sid,
        status=RecordingStatus.IN_PROGRESS,
        track=scenario.track or call.form_value("RecordingTrack") or "both",
        channels=scenario.channels or (2 if call.form_value("RecordingChannels") == "dual" else 1),
        source=scenario.recording_source,
        duration_s=None,
    )
    call.recordings.append(recording)
    return recording


def end_recording(rest: RestApi, recording: SimulatedRecording, scenario: CallScenario) -> None:
    """End the recording with the scenario's status. The media host serves the file of a completed recording."""
    recording.status = scenario.recording_status or RecordingStatus.COMPLETED
    recording.duration_s = scenario.recording_s if recording.status == RecordingStatus.COMPLETED else None
    if scenario.media_file is not None and recording.status == RecordingStatus.COMPLETED:
        rest.media.files[recording.sid] = scenario.media_file


def recording_callbacks(
    call: SimulatedCall, recording: SimulatedRecording, api_url: str = TWILIO_API_URL
) -> Iterator[OutgoingCallback]:
    """Yield the callback for the recording's current status, if the call subscribed to this status."""
    url = call.form_value("RecordingStatusCallback")
    # The parameter contains all events, separated by spaces (source: Twilio's OpenAPI description).
    subscribed = " ".join(call.form_values("RecordingStatusCallbackEvent")).split() or ["completed"]
    if url is None or recording.status not in subscribed:
        return
    yield OutgoingCallback(
        url,
        [
            ("AccountSid", call.account_sid),
            ("CallSid", call.sid),
            ("RecordingSid", recording.sid),
            ("RecordingUrl", f"{api_url}/2010-04-01/Accounts/{call.account_sid}/Recordings/{recording.sid}"),
            ("RecordingStatus", recording.status),
            ("RecordingDuration", "" if recording.duration_s is None else str(recording.duration_s)),
            ("RecordingChannels", str(recording.channels)),
            ("RecordingSource", recording.source),
            ("RecordingTrack", recording.track or ""),
            ("RecordingStartTime", format_datetime(recording.created_at)),
            ("ErrorCode", str(recording.error_code or 0)),
        ],
    )


def _amd_callbacks(call: SimulatedCall, scenario: CallScenario) -> Iterator[OutgoingCallback]:
    url = call.form_value("AsyncAmdStatusCallback")
    if url is None or call.form_value("AsyncAmd") != "true":
        return
    call.answered_by = scenario.answered_by
    verdict = [("AnsweredBy", scenario.answered_by), ("MachineDetectionDuration", str(scenario.amd_ms))]
    yield OutgoingCallback(url, [("AccountSid", call.account_sid), ("CallSid", call.sid), *verdict])


def _common_parameters(call: SimulatedCall) -> list[tuple[str, str]]:
    return [
        ("AccountSid", call.account_sid),
        ("CallSid", call.sid),
        ("From", call.from_number),
        ("To", call.to_number),
        ("Direction", call.direction),
        ("ApiVersion", "2010-04-01"),
    ]


async def _send(
    client: httpx2.AsyncClient, callback: OutgoingCallback, token: str, connect_to: str | None
) -> CallbackOutcome:
    parts = urlsplit(callback.url)
    if not parts.hostname:
        raise ValueError(f"{callback.url} is not an absolute URL")
    base = f"{parts.scheme}://{parts.netloc}"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return await send_callback(
        client,
        connect_to or base,
        path,
        callback.pairs,
        token=token,
        signed_base=base,
        overrides=parts.fragment,
    )
