"""Replays recorded calls against a running service over HTTP. The simulated Twilio replaces Twilio."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from time import perf_counter

import httpx2
from pydantic import JsonValue

from amd_service.domain import ActionState, AnalysisState, CallStatus
from amd_service.settings import RETRY_OVERRIDES, Account, is_loopback
from amd_service.simulator.live_calls import LiveStreamer, StreamedCall, with_current_times
from amd_service.simulator.outcomes import Outcome, compare, is_acceptable
from amd_service.simulator.recorded_calls import RecordedCall, RecordedCallback, load_calls
from amd_service.simulator.service_client import ServiceClient
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.signed_callbacks import send_callback

POLL_S = 0.1
# Maximum seconds that a streamed call stays in progress while its action (hang up or redirect) is pending.
ACTION_TIMEOUT_S = 10.0

_FINAL_STATES = {AnalysisState.JUDGED, AnalysisState.FAILED, AnalysisState.NOT_APPLICABLE}
_UNFINISHED_RECORDING_STATES = {"queued", "running"}
_FINISHED_RECORDING_STATES = {"done", "dead"}
_PENDING_ACTION_STATES = {ActionState.DUE, ActionState.SENT}


async def replay(
    directory: Path,
    *,
    url: str,
    account: Account,
    simulated_twilio: SimulatedTwilio,
    public_url: str | None = None,
    api_key: str | None = None,
    live_pace: float | None = None,
    deadline_s: float = 240.0,
    settle_s: float = 1.0,
    concurrent_calls: int = 8,
    on_progress: Callable[[Outcome], None] = lambda _outcome: None,
) -> list[Outcome]:
    """Send the callbacks of each recorded call to the service at `url`, signed for `account`, and await the verdicts.

    Every run uses new SIDs, so the same calls can be replayed again. `simulated_twilio` serves the recordings.
    `public_url`: the service's AMD_PUBLIC_URL if it differs from `url`. `live_pace`: also stream each call while it is
    in progress, this many times faster than real time; None disables streaming. `deadline_s`: maximum seconds per call
    from its last callback to its verdict. `settle_s`: seconds that a call in an unexpected final state may still
    change, because a call with several recordings passes through several final states. `on_progress` is called after
    each call.

    Returns the outcomes, ordered by call name. Raises ConfigurationError if the service cannot be reached, rejects the
    API key, does not fetch its recordings from `simulated_twilio`, or does not accept live streams.
    """
    calls = load_calls(directory)
    url, public_url = url.rstrip("/"), (public_url or url).rstrip("/")
    async with httpx2.AsyncClient(trust_env=not is_loopback(httpx2.URL(url).host)) as client:
        service = ServiceClient(client, url, api_key)
        await service.require_recordings_from(simulated_twilio.url)
        streamer = None
        if live_pace is not None:
            streamer = LiveStreamer(client, url, public_url, account, live_pace, simulated_twilio.rest)
            await streamer.require_live_enabled()
        replayer = _Replayer(service, public_url, account, simulated_twilio, streamer, deadline_s, settle_s)
        return await _replay_all(replayer, calls, concurrent_calls, on_progress)


async def _replay_all(
    replayer: "_Replayer", calls: Sequence[RecordedCall], concurrent_calls: int, on_progress: Callable[[Outcome], None]
) -> list[Outcome]:
    limit = asyncio.Semaphore(concurrent_calls)

    async def run(call: RecordedCall) -> Outcome:
        async with limit:
            outcome = await replayer.replay(call)
        on_progress(outcome)
        return outcome

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(call)) for call in calls]
    return [task.result() for task in tasks]


@dataclass(frozen=True, slots=True)
class _Replayer:
    """Replays one call at a time. `streamer`: None if calls are not streamed."""

    service: ServiceClient
    public_url: str
    account: Account
    simulated_twilio: SimulatedTwilio
    streamer: LiveStreamer | None
    deadline_s: float
    settle_s: float

    async def replay(self, call: RecordedCall) -> Outcome:
        call_sid, recording_sid = f"CA{token_hex(16)}", f"RE{token_hex(16)}"
        media_file = call.media_file()
        if media_file is not None:
            self.simulated_twilio.media.files[recording_sid] = media_file
        account_sid = self.account.account_sid
        recordings_url = f"{self.simulated_twilio.url}/2010-04-01/Accounts/{account_sid}/Recordings"
        placeholders = {
            "{account_sid}": account_sid,
            "{call_sid}": call_sid,
            "{recording_sid}": recording_sid,
            "{recording_url}": f"{recordings_url}/{recording_sid}",
        }
        note, stream = await self._send_callbacks(call, placeholders)
        started = perf_counter()
        awaited = None if media_file is None else recording_sid
        got = await self._await_row(call_sid, call.expected, awaited) if note is None else {}
        ended = perf_counter()
        return Outcome(
            call.name,
            call_sid,
            call.expected,
            got,
            compare(call.expected, got),
            ended - started,
            note,
            stream,
            None if stream is None else stream.seconds_to_verdict(got, ended),
        )

    async def _send_callbacks(
        self, call: RecordedCall, placeholders: Mapping[str, str]
    ) -> tuple[str | None, StreamedCall | None]:
        """Send the callbacks in order. Stream the call after the callback that reports the answer.

        Returns two values: a note about the first failure (None without a failure), and the streamed call.
        """
        stream = None
        replaced: dict[str, str] = {}
        for recorded in call.callbacks:
            callback = recorded if self.streamer is None else with_current_times(recorded, replaced)
            note = await self._send_callback(callback, placeholders)
            is_answered = ("CallStatus", CallStatus.IN_PROGRESS) in callback.form
            if note is None and self.streamer is not None and stream is None and is_answered:
                stream = await self._stream(self.streamer, call, placeholders["{call_sid}"])
                note = None if stream is None else stream.note
            if note is not None:
                return note, stream
        return None, stream

    async def _stream(self, streamer: LiveStreamer, call: RecordedCall, call_sid: str) -> StreamedCall | None:
        """Stream the call. The call stays in progress until its action has ended, at most ACTION_TIMEOUT_S."""
        with streamer.call_in_progress(call_sid):
            stream = await streamer.stream(call, call_sid)
            deadline = perf_counter() + ACTION_TIMEOUT_S
            while (await self.service.read_call(call_sid)).get("action_state") in _PENDING_ACTION_STATES:
                if perf_counter() >= deadline:
                    break
                await asyncio.sleep(POLL_S)
        return stream

    async def _send_callback(self, callback: RecordedCallback, placeholders: Mapping[str, str]) -> str | None:
        """Send one callback. Returns a note if the service did not accept the callback."""
        outcome = await send_callback(
            self.service.client,
            self.service.url,
            callback.target,
            callback.fill(placeholders),
            token=self.account.auth_tokens[0].get_secret_value(),
            signed_base=self.public_url,
            overrides=RETRY_OVERRIDES,
        )
        if outcome.outcome == "2xx":
            return None
        hint = (
            "; check that TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and --public-url match the service"
            if outcome.status == 403
            else ""
        )
        return f"POST {callback.target} failed with {outcome.status or outcome.outcome}{hint}"

    async def _await_row(
        self, call_sid: str, expected: Mapping[str, JsonValue], recording_sid: str | None
    ) -> dict[str, JsonValue]:
        """Return the call's row once the row is final and as expected. At the deadline, return the current row.

        `recording_sid`: the call's recording. The service stores its callback first and updates the rows later, so a
        row can look final before the recording is in it.
        """
        deadline = perf_counter() + self.deadline_s
        settling = False
        while True:
            row = await self.service.read_call(call_sid)
            state, complete = row.get("analysis_state"), _has_finished_recordings(row, recording_sid)
            if complete and state in _FINAL_STATES and not compare(expected, row):
                return row
            may_settle = state in _FINAL_STATES or is_acceptable(expected.get("analysis_state"), row, "analysis_state")
            if not settling and complete and may_settle:
                settling = True
                deadline = min(deadline, perf_counter() + self.settle_s)
            if perf_counter() >= deadline:
                return row
            await asyncio.sleep(POLL_S)


def _has_finished_recordings(row: Mapping[str, JsonValue], awaited: str | None) -> bool:
    """Return whether the service has fetched every recording. The service does so even after a live verdict."""
    recordings = row.get("recordings")
    if not isinstance(recordings, list):
        return True
    states = {each.get("recording_sid"): each.get("state") for each in recordings if isinstance(each, dict)}
    is_finished = awaited is None or states.get(awaited) in _FINISHED_RECORDING_STATES
    return is_finished and _UNFINISHED_RECORDING_STATES.isdisjoint(states.values())
