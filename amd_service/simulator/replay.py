"""Replay recorded calls against a running service: the whole real flow, over HTTP, with Twilio stood in for."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from time import perf_counter

import httpx2
from pydantic import JsonValue

from amd_service.domain import ActionState, AnalysisState, CallStatus, Source
from amd_service.errors import ConfigurationError
from amd_service.settings import RETRY_OVERRIDES, Account, is_loopback
from amd_service.simulator.live_calls import LiveStreamer, StreamedCall, with_current_times
from amd_service.simulator.recorded_calls import RecordedCall, RecordedCallback, load_calls
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.signed_callbacks import send_callback

CONCURRENT_CALLS = 8
POLL_S = 0.1
# A call with several recordings passes through final states; one that is not as expected gets this long to change.
SETTLE_S = 1.0
# A call that is to be hung up or redirected waits so long for it.
ACT_S = 10.0

_FINAL = {AnalysisState.JUDGED, AnalysisState.FAILED, AnalysisState.NOT_APPLICABLE}
_UNDER_WAY = {"queued", "running"}
_TO_BE_DONE = {ActionState.DUE, ActionState.SENT}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a replayed call ended.

    `got`: the `call_log` row as the service tells it, empty when there is none. `mismatches`: keys of `expected`
    that came out otherwise. `seconds`: from the last callback's answer to the verdict. `note`: what went wrong on
    the way, such as a callback that was not accepted. `stream`: what was streamed while the call was up, if anything;
    `since_stream_s`: from its start to the verdict.
    """

    name: str
    call_sid: str
    expected: Mapping[str, JsonValue]
    got: Mapping[str, JsonValue] = field(default_factory=dict)
    mismatches: tuple[str, ...] = ()
    seconds: float = 0.0
    note: str | None = None
    stream: StreamedCall | None = None
    since_stream_s: float | None = None

    @property
    def matched(self) -> bool:
        return not self.mismatches and self.note is None

    @property
    def confidence(self) -> float | None:
        confidence = self.got.get("confidence")
        return float(confidence) if isinstance(confidence, int | float) else None


def compare(expected: Mapping[str, JsonValue], got: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """The keys of `expected` that `got` lacks or has otherwise. A list in `expected` names acceptable values."""
    return tuple(key for key, value in expected.items() if not _fits(value, got, key))


def _fits(value: JsonValue, got: Mapping[str, JsonValue], key: str) -> bool:
    return key in got and got[key] in (value if isinstance(value, list) else [value])


async def replay(
    directory: Path,
    *,
    url: str,
    account: Account,
    simulated_twilio: SimulatedTwilio,
    public_url: str | None = None,
    api_key: str | None = None,
    live_pace: float | None = None,
    deadline_s: float = 120.0,
    on_progress: Callable[[Outcome], None] = lambda _outcome: None,
) -> list[Outcome]:
    """Send each recorded call's callbacks to the service at `url`, signed for `account`, and await the verdicts.

    Every run makes fresh SIDs, so it may be repeated. `simulated_twilio` serves the recordings. `public_url` is the
    service's AMD_PUBLIC_URL where it differs from `url`. `live_pace`: calls are streamed while they are up as well,
    so many times faster than real time; None: they are not. Several calls run at once; outcomes come in order of name,
    `on_progress` as they end. Raises ConfigurationError when the service cannot be reached, refuses the API key, or
    does not fetch its recordings from the stand-in, or does not listen to calls that are to be streamed.
    """
    calls = load_calls(directory)
    async with httpx2.AsyncClient(trust_env=not is_loopback(httpx2.URL(url).host)) as client:
        own_url, public_url = url.rstrip("/"), (public_url or url).rstrip("/")
        wire = (
            None
            if live_pace is None
            else LiveStreamer(client, own_url, public_url, account, live_pace, simulated_twilio.rest)
        )
        service = _Service(client, own_url, public_url, account, api_key, deadline_s, wire)
        await service.require_our_recordings(simulated_twilio)
        if wire is not None:
            await wire.require_live_enabled()
        places = asyncio.Semaphore(CONCURRENT_CALLS)

        async def run(call: RecordedCall) -> Outcome:
            async with places:
                outcome = await service.replay(call, simulated_twilio)
            on_progress(outcome)
            return outcome

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(call)) for call in calls]
    return [task.result() for task in tasks]


@dataclass(frozen=True, slots=True)
class _Service:
    """The service under replay."""

    client: httpx2.AsyncClient
    url: str
    public_url: str
    account: Account
    api_key: str | None
    deadline_s: float
    wire: LiveStreamer | None

    async def require_our_recordings(self, simulated_twilio: SimulatedTwilio) -> None:
        """Raise ConfigurationError unless the service fetches its recordings from `simulated_twilio`."""
        try:
            response = await self._get("/model-info")
        except httpx2.TransportError as error:
            raise ConfigurationError(
                f"no service answers at {self.url}: start it with `amd-service serve`, or name it with --url"
            ) from error
        if response.status_code in (401, 403):
            detail = _json_object(response).get("detail")
            raise ConfigurationError(f"{self.url} wants an API key: set AMD_API_KEYS as the service has it ({detail})")
        configured = _json_object(response).get("twilio_api_url")
        if configured != simulated_twilio.url:
            raise ConfigurationError(
                f"the service at {self.url} fetches recordings from {configured}, not from this stand-in: "
                f"start it with AMD_TWILIO_API_URL={simulated_twilio.url}"
            )

    async def replay(self, call: RecordedCall, simulated_twilio: SimulatedTwilio) -> Outcome:
        call_sid, recording_sid = f"CA{token_hex(16)}", f"RE{token_hex(16)}"
        media_file = call.media_file()
        if media_file is not None:
            simulated_twilio.media.files[recording_sid] = media_file
        account_sid = self.account.account_sid
        recordings_url = f"{simulated_twilio.url}/2010-04-01/Accounts/{account_sid}/Recordings"
        note, stream = await self._send(
            call,
            {
                "{account_sid}": account_sid,
                "{call_sid}": call_sid,
                "{recording_sid}": recording_sid,
                "{recording_url}": f"{recordings_url}/{recording_sid}",
            },
        )
        started = perf_counter()
        got = await self._await_row(call_sid, call.expected) if note is None else {}
        ended = perf_counter()
        mismatches = compare(call.expected, got)
        return Outcome(
            call.name,
            call_sid,
            call.expected,
            got,
            mismatches,
            ended - started,
            note,
            stream,
            _since(stream, got, ended),
        )

    async def _send(self, call: RecordedCall, sids: Mapping[str, str]) -> tuple[str | None, StreamedCall | None]:
        """Deliver the callbacks in order, and stream the call once it was answered.

        What to say when one was not accepted; how the stream fared.
        """
        stream = None
        moments: dict[str, str] = {}
        for recorded in call.callbacks:
            callback = recorded if self.wire is None else with_current_times(recorded, moments)
            note = await self._deliver(callback, sids)
            if note is None and self.wire is not None and stream is None and _says_answered(callback):
                stream = await self._listen(self.wire, call, sids["{call_sid}"])
                note = None if stream is None else stream.note
            if note is not None:
                return note, stream
        return None, stream

    async def _listen(self, wire: LiveStreamer, call: RecordedCall, call_sid: str) -> StreamedCall | None:
        """Stream the call while it is up, and let it be up until what is to be done to it was done."""
        with wire.up(call_sid):
            stream = await wire.stream(call, call_sid)
            deadline = perf_counter() + ACT_S
            while await self._is_due(call_sid) and perf_counter() < deadline:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(POLL_S)
        return stream

    async def _is_due(self, call_sid: str) -> bool:
        return (await self._row(call_sid)).get("action_state") in _TO_BE_DONE

    async def _deliver(self, callback: RecordedCallback, sids: Mapping[str, str]) -> str | None:
        token = self.account.auth_tokens[0].get_secret_value()
        delivery = await send_callback(
            self.client,
            self.url,
            callback.path,
            [(name, _fill(value, sids)) for name, value in callback.form],
            token=token,
            signed_base=self.public_url,
            overrides=RETRY_OVERRIDES,
        )
        if delivery.outcome == "2xx":
            return None
        refused = "; are TWILIO_AUTH_TOKEN and --public-url the service's?" if delivery.status == 403 else ""
        return f"POST {callback.path} was answered {delivery.status or delivery.outcome}{refused}"

    async def _await_row(self, call_sid: str, expected: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The call's row once it is final and as expected, or as it is when time is up."""
        deadline = perf_counter() + self.deadline_s
        settling = False
        while True:
            row = await self._row(call_sid)
            state, complete = row.get("analysis_state"), not _awaits_a_recording(row)
            if complete and state in _FINAL and not compare(expected, row):
                return row
            may_be_all = state in _FINAL or _fits(expected.get("analysis_state"), row, "analysis_state")
            if not settling and complete and may_be_all:
                settling = True
                deadline = min(deadline, perf_counter() + SETTLE_S)
            if perf_counter() >= deadline:
                return row
            await asyncio.sleep(POLL_S)

    async def _get(self, path: str) -> httpx2.Response:
        # The key goes with questions only: the webhooks must do without, as they must for Twilio.
        headers = {} if self.api_key is None else {"authorization": f"Bearer {self.api_key}"}
        return await self.client.get(f"{self.url}{path}", headers=headers)

    async def _row(self, call_sid: str) -> dict[str, JsonValue]:
        try:
            response = await self._get(f"/api/calls/{call_sid}")
        except httpx2.TransportError:
            return {}  # it may be restarting, which is worth replaying; the deadline bounds it
        return _json_object(response) if response.status_code == 200 else {}


def _says_answered(callback: RecordedCallback) -> bool:
    return ("CallStatus", CallStatus.IN_PROGRESS) in callback.form


def _awaits_a_recording(row: Mapping[str, JsonValue]) -> bool:
    """A call that was judged live is final, but its recording is yet to be fetched: from us, while we are there."""
    recordings = row.get("recordings")
    states = (
        [each.get("state") for each in recordings if isinstance(each, dict)] if isinstance(recordings, list) else []
    )
    return not _UNDER_WAY.isdisjoint(states)


def _since(stream: StreamedCall | None, got: Mapping[str, JsonValue], ended: float) -> float | None:
    """Seconds from the start of the stream to the verdict: the stream's own, or the recording's after it."""
    if stream is None or got.get("label") is None:
        return None
    return stream.seconds if got.get("verdict_source") == Source.STREAM else ended - stream.began


def _fill(value: str, sids: Mapping[str, str]) -> str:
    for placeholder, sid in sids.items():
        value = value.replace(placeholder, sid)
    return value


def _json_object(response: httpx2.Response) -> dict[str, JsonValue]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
