"""Judge a live Media Stream as soon as more audio cannot change the verdict, and store the verdict."""

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
from amd_service.domain import Action, Label, Source, StreamSid, Verdict
from amd_service.errors import ClassifierUnavailable, DatabaseUnavailable, InvalidSignature, MalformedCallback
from amd_service.settings import Account
from amd_service.telemetry import Metrics, get_logger
from amd_service.twilio.media_streams import StreamEvent, StreamMedia, StreamStarted, StreamStopped, Timeline
from amd_service.twilio.stream_keys import verify_stream_key

log = get_logger(__name__)

Result = TypeVar("Result")


class StreamOutcome(StrEnum):
    """Outcome of a stream: a value of the label `outcome` of the metric `amd_streams_total`."""

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
    """Judges any number of concurrent live streams.

    `actions`: the action that follows a verdict, by label. `verdict_s`: maximum seconds to wait for one result of the
    model. The model may be busy with other windows. A verdict that comes more than `verdict_s` seconds after the end of
    the judged audio is stored, but no action follows.
    """

    detector: Detector
    database: Database
    actions: Mapping[Label, Action]
    metrics: Metrics
    verdict_s: float
    clock: Callable[[], float] = monotonic

    async def judge(self, events: AsyncIterator[StreamEvent], accounts: Sequence[Account]) -> StreamOutcome:
        """Judge one stream and store its verdict.

        `accounts`: the accounts whose token signed the handshake.

        Raises InvalidSignature, MalformedCallback, Retryable, Permanent, and any error of the engine.
        """
        with self.metrics.live_streams.track_inprogress():
            started = await _read_start(events, accounts)
            if started is None:
                log.warning("stream closed before its start message")
                return StreamOutcome.BROKEN_OFF
            # The SIDs stay bound, because later log lines of this connection need them. They do not appear in the log
            # lines of other connections, because each connection has a separate task and context.
            bind_contextvars(call_sid=started.call_sid, stream_sid=started.stream_sid)
            log.info("stream started")
            began, timeline = self.clock(), Timeline()
            verdict, is_whole = await self._judge_audio(events, started.stream_sid, timeline)
            log.info("stream judged", whole=is_whole, filled_ms=timeline.filled_ms)
            lasted_s = self.clock() - began
            stream = Stream(
                started.account_sid,
                started.call_sid,
                started.stream_sid,
                lasted_s,
                whole=is_whole,
                tagging=started.tagging,
            )
            return await self._settle(stream, verdict)

    async def _judge_audio(
        self, events: AsyncIterator[StreamEvent], stream_sid: StreamSid, timeline: Timeline
    ) -> tuple[Verdict, bool]:
        """Return the verdict, and whether the audio is complete: False if the connection ended early.

        Raises MalformedCallback, ClassifierUnavailable, ModelFailed, Undecodable.
        """
        live = LiveStream(self.detector)
        async for event in events:
            match event:
                case StreamMedia():
                    if event.stream_sid != stream_sid:
                        raise MalformedCallback("a media message of another stream")
                    verdict = await self._in_time(live.feed(timeline.insert(event)))
                    if verdict is not None:
                        return verdict, True
                case StreamStopped():
                    return await self._in_time(live.finish()), True
                case StreamStarted():
                    raise MalformedCallback("a second start message")
        return await self._in_time(live.finish()), False

    async def _in_time(self, result: Awaitable[Result]) -> Result:
        """Await a result of the model. Raises ClassifierUnavailable after `verdict_s` seconds."""
        try:
            async with asyncio.timeout(self.verdict_s):
                return await result
        except TimeoutError as error:
            raise ClassifierUnavailable(f"the model returned no result within {self.verdict_s:g} s") from error

    async def _settle(self, stream: Stream, verdict: Verdict) -> StreamOutcome:
        judged_s = max((run.window_start_ms + run.window_ms for run in verdict.runs), default=0) / 1000
        # If the model was still loading or busy, the call has continued after the judged audio, so an action would be
        # too late.
        is_late = stream.lasted_s - judged_s > self.verdict_s
        actions = {} if is_late else self.actions
        try:
            async with self.database.transaction() as session:
                settled = await settle_stream(session, stream, verdict, actions)
        except DatabaseUnavailable as error:
            log.error("live verdict not stored", error=str(error))
            return StreamOutcome.NOT_STORED
        log.info(
            "live verdict",
            label=verdict.label,
            reason=verdict.reason,
            seconds=round(stream.lasted_s, 2),
            new=settled is not None,
        )
        if settled is None:
            return StreamOutcome.UNUSED
        self.metrics.observe_verdict(
            verdict, Source.STREAM, campaign=settled.campaign, answer_to_verdict_s=settled.answer_to_verdict_s
        )
        return StreamOutcome.VERDICT if stream.whole else StreamOutcome.BROKEN_OFF


async def _read_start(events: AsyncIterator[StreamEvent], accounts: Sequence[Account]) -> StreamStarted | None:
    """Return the verified start message; None when the stream ends before its start message."""
    async for event in events:
        match event:
            case StreamStarted():
                account = next((each for each in accounts if each.account_sid == event.account_sid), None)
                if account is None:
                    raise InvalidSignature(f"the handshake is not signed with a token of {event.account_sid}")
                verify_stream_key(account, event.call_sid, event.key)
                return event
            case StreamMedia() | StreamStopped():
                raise MalformedCallback("no start message at the beginning of the stream")
    return None
