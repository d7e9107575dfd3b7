"""A live Media Stream → a verdict, as soon as more audio cannot change it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import TypeVar

from structlog.contextvars import bind_contextvars

from amd_service.calls.streams import Stream, settle_stream
from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.detection.live_stream import LiveStream
from amd_service.domain import Action, Label, StreamSid, Verdict
from amd_service.errors import ClassifierUnavailable, DatabaseUnavailable, InvalidSignature, MalformedCallback
from amd_service.settings import Account
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.media_streams import StreamEvent, StreamMedia, StreamStarted, StreamStopped, Timeline
from amd_service.twilio.stream_keys import verify_stream_key

log = get_logger(__name__)

Answer = TypeVar("Answer")


class StreamOutcome(StrEnum):
    """How a stream ended. The values are labels of the metric `amd_streams_total`."""

    VERDICT = "verdict"
    BROKEN_OFF = "broken_off"
    UNJUDGED = "unjudged"
    NOT_STORED = "not_stored"
    UNUSED = "unused"
    MALFORMED = "malformed"
    REFUSED = "refused"
    AT_LIMIT = "turned_away"


@dataclass(frozen=True, slots=True)
class StreamJudge:
    """Judges live streams, any number at once.

    `actions`: the action after a verdict, by label. `verdict_s`: time limit for one answer of the model, which may be
    busy with other windows; a verdict that is later than this is stored, but no action follows.
    """

    detector: Detector
    database: Database
    actions: Mapping[Label, Action]
    metrics: Metrics
    verdict_s: float
    clock: Callable[[], float] = monotonic

    async def judge(self, events: AsyncIterator[StreamEvent], accounts: Sequence[Account]) -> StreamOutcome:
        """Judge one stream and store its verdict. `accounts`: those whose token signed the handshake.

        Raises InvalidSignature, MalformedCallback, Retryable, Permanent, and any error of the engine.
        """
        with self.metrics.live_streams.track_inprogress():
            started = await _read_start(events, accounts)
            if started is None:
                log.warning("stream closed before its start message")
                return StreamOutcome.BROKEN_OFF
            # Not unbound: each connection has its own task and context, and later errors are logged with these SIDs.
            bind_contextvars(call_sid=started.call_sid, stream_sid=started.stream_sid)
            log.info("stream started")
            stream, verdict = await self._listen(events, started)
            return await self._settle(stream, verdict)

    async def _listen(self, events: AsyncIterator[StreamEvent], started: StreamStarted) -> tuple[Stream, Verdict]:
        began, timeline = self.clock(), Timeline()
        verdict, is_whole = await self._judge_audio(events, started.stream_sid, timeline)
        log.info("stream judged", whole=is_whole, filled_ms=timeline.filled_ms)
        lasted_s = self.clock() - began
        return Stream(started.account_sid, started.call_sid, started.stream_sid, lasted_s, whole=is_whole), verdict

    async def _judge_audio(
        self, events: AsyncIterator[StreamEvent], stream_sid: StreamSid, timeline: Timeline
    ) -> tuple[Verdict, bool]:
        """The verdict, and whether its audio is whole: False where the connection ended early.

        Raises MalformedCallback, ClassifierUnavailable, ModelFailed, Undecodable.
        """
        live = LiveStream(self.detector)
        async for event in events:
            match event:
                case StreamMedia():
                    if event.stream_sid != stream_sid:
                        raise MalformedCallback("media of another stream")
                    verdict = await self._in_time(live.feed(timeline.insert(event)))
                    if verdict is not None:
                        return verdict, True
                case StreamStopped():
                    return await self._in_time(live.finish()), True
                case StreamStarted():
                    raise MalformedCallback("a second start message")
        return await self._in_time(live.finish()), False

    async def _in_time(self, answer: Awaitable[Answer]) -> Answer:
        """Raises ClassifierUnavailable when the model takes longer than `verdict_s`."""
        try:
            async with asyncio.timeout(self.verdict_s):
                return await answer
        except TimeoutError as error:
            raise ClassifierUnavailable(f"the model did not answer within {self.verdict_s:g} s") from error

    async def _settle(self, stream: Stream, verdict: Verdict) -> StreamOutcome:
        judged_s = max((run.window_start_ms + run.window_ms for run in verdict.runs), default=0) / 1000
        # With a model that was still loading, or busy, the call has moved on since the judged audio.
        is_late = stream.lasted_s - judged_s > self.verdict_s
        actions = {} if is_late else self.actions
        try:
            async with self.database.transaction() as session:
                is_new = await settle_stream(session, stream, verdict, actions)
        except DatabaseUnavailable as error:
            log.error("live verdict not stored", error=str(error))
            return StreamOutcome.NOT_STORED
        log.info(
            "live verdict", label=verdict.label, reason=verdict.reason, seconds=round(stream.lasted_s, 2), new=is_new
        )
        if not is_new:
            return StreamOutcome.UNUSED
        self.metrics.verdicts.labels(verdict.label, verdict.reason).inc()
        return StreamOutcome.VERDICT if stream.whole else StreamOutcome.BROKEN_OFF


async def _read_start(events: AsyncIterator[StreamEvent], accounts: Sequence[Account]) -> StreamStarted | None:
    """The verified start message; None where the stream ends before it."""
    async for event in events:
        match event:
            case StreamStarted():
                account = next((each for each in accounts if each.account_sid == event.account_sid), None)
                if account is None:
                    raise InvalidSignature(f"the handshake is not signed by {event.account_sid}, the stream's account")
                verify_stream_key(account, event.call_sid, event.key)
                return event
            case StreamMedia() | StreamStopped():
                raise MalformedCallback("no start message at the beginning of the stream")
    return None
