"""Judges past calls with another model, for comparison. Their verdicts do not change."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from amd_service.calls.judged_again import Period, read_judged
from amd_service.calls.shadow_runs import add_shadow_runs, has_shadow_runs
from amd_service.calls.tables import Recording
from amd_service.database.pool import Database
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import AccountSid, Failure, RecordingSid
from amd_service.errors import MediaNotYet, Permanent, Retryable
from amd_service.operations.recording_audio import fetch_audio
from amd_service.settings import Account
from amd_service.telemetry import get_logger
from amd_service.twilio.recordings import Recordings

log = get_logger(__name__)

# Judged calls that are read in one transaction.
BATCH = 50

Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Rejudged:
    """Numbers of recordings.

    `judged`: runs were stored. `known`: this model had judged the recording before. `no_runs`: the model did not run,
    because the recording has no speech or is too short. `gone`: deleted at Twilio. `failed`: by reason.
    """

    judged: int = 0
    known: int = 0
    no_runs: int = 0
    gone: int = 0
    failed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A judged recording at Twilio."""

    recording_sid: RecordingSid
    account_sid: AccountSid
    source: str | None
    track: str | None
    duration_s: int | None
    attempt: int

    @classmethod
    def of(cls, row: Recording) -> Self:
        return cls(
            RecordingSid(row.recording_sid),
            AccountSid(row.account_sid),
            row.source,
            row.track,
            row.duration_s,
            attempt=row.attempts,
        )


class Rejudger:
    """Downloads the recordings of past calls and judges them with `detector`, one after the other.

    The runs are stored like those of a shadow model. `per_minute`: maximum number of recordings that are downloaded in
    one minute.
    """

    def __init__(
        self,
        database: Database,
        detector: Detector,
        accounts: Mapping[AccountSid, Account],
        recordings: Recordings,
        *,
        per_minute: int,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._database = database
        self._detector = detector
        self._accounts = accounts
        self._recordings = recordings
        self._step_s = 60 / per_minute
        self._sleep = sleep

    async def rejudge(
        self, period: Period, *, limit: int | None = None, progress: Callable[[], object] | None = None
    ) -> Rejudged:
        """Judge the recordings of the judged calls of a period, oldest first.

        `limit`: maximum number of recordings that are downloaded. `progress`: called after each of them. After an error
        or Ctrl-C, the next run goes on with the recordings that have no runs of this model. Raises DatabaseUnavailable.
        """
        counts = Rejudged()
        downloads, next_at = 0, 0.0
        clock = asyncio.get_running_loop().time
        async for recording in self._wanted(period, counts):
            if limit is not None and downloads == limit:
                break
            await self._sleep(max(0.0, next_at - clock()))
            downloads, next_at = downloads + 1, clock() + self._step_s
            await self._judge(recording, counts)
            if progress is not None:
                progress()
        return counts

    async def _wanted(self, period: Period, counts: Rejudged) -> AsyncIterator[_Stored]:
        """Yield the recordings that may still exist and that the model has not judged."""
        model = self._detector.identity
        assert model is not None
        after: tuple[datetime, str] | None = None
        while True:
            async with self._database.reading() as session:
                rows, after = await read_judged(session, period, after=after, limit=BATCH)
                known = await has_shadow_runs(session, [row.recording_sid for row in rows], model)
            if after is None:
                return
            for row in rows:
                if row.recording_sid in known:
                    counts.known += 1
                elif row.erased_at is not None:
                    counts.gone += 1
                else:
                    yield _Stored.of(row)

    async def _judge(self, recording: _Stored, counts: Rejudged) -> None:
        try:
            audio = await fetch_audio(
                recording,
                self._accounts,
                self._recordings,
                has_enough=self._detector.has_enough_audio,
                accept_incomplete=True,
            )
            verdict = await self._detector.judge(audio, priority=Priority.RECORDING)
        except (Retryable, Permanent) as error:
            self._count_error(recording, error, counts)
            return
        if not verdict.runs:
            counts.no_runs += 1
            return
        async with self._database.transaction() as session:
            is_new = await add_shadow_runs(session, recording.recording_sid, verdict, attempt=recording.attempt)
        if is_new:
            counts.judged += 1
        else:
            counts.known += 1

    def _count_error(self, recording: _Stored, error: Retryable | Permanent, counts: Rejudged) -> None:
        # Long after the call, a 404 means that the recording was deleted.
        if isinstance(error, MediaNotYet) or error.failure is Failure.MEDIA_MISSING:
            counts.gone += 1
            return
        counts.failed[error.failure] += 1
        log.warning("recording not judged again", recording_sid=recording.recording_sid, error=str(error))
