"""Past calls are judged with another model, for comparison. Their verdicts do not change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx2
import pytest
from sqlalchemy import text

from amd_service.calls.judged_again import Period
from amd_service.database.pool import Database
from amd_service.domain import Label
from amd_service.operations.rejudge import Rejudged, Rejudger
from amd_service.settings import Account
from amd_service.twilio.recordings import Recordings
from tests.support.call_verdicts import judged, store_verdicts
from tests.support.deliveries import snapshot, verdict_rows
from tests.support.detectors import ready, speech
from tests.support.models import StubEngine
from tests.support.recordings import ok, settings
from tests.support.sids import ACCOUNT
from tests.support.signals import file_of, silence

pytestmark = pytest.mark.anyio

ALWAYS = Period(datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
SPEECH, SILENCE = file_of(speech(3.0)), file_of(silence(3.0))
KNOWN = Account.model_validate({"account_sid": ACCOUNT, "auth_tokens": ["token"]})


@dataclass
class Twilio:
    """Answers with the body of each recording, by its number; 404 without one."""

    bodies: dict[int, bytes]
    asked: list[int] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        number = int(request.url.path.split("/RE")[1][:32], 16)
        self.asked.append(number)
        body = self.bodies.get(number)
        return httpx2.Response(404) if body is None else ok(body, "audio/wav")


@dataclass
class Sleeps:
    """Notes the seconds of each sleep, and does not wait."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@asynccontextmanager
async def rejudger(
    database: Database, twilio: Twilio, *, per_minute: int = 60, sleep: Sleeps | None = None
) -> AsyncIterator[Rejudger]:
    """A rejudger whose model says voicemail."""
    async with (
        httpx2.AsyncClient(transport=httpx2.MockTransport(twilio)) as client,
        ready(StubEngine(lambda _clip: (0.0, 4.0))) as detector,
    ):
        yield Rejudger(
            database,
            detector,
            {ACCOUNT: KNOWN},
            Recordings(client, settings()),
            per_minute=per_minute,
            sleep=sleep or Sleeps(),
        )


async def test_runs_are_stored_beside_the_verdicts_and_no_call_changes(database: Database) -> None:
    await store_verdicts(database, [judged(Label.HUMAN, 0.9)] * 2)
    before = await snapshot(database)
    async with rejudger(database, Twilio({0: SPEECH, 1: SPEECH})) as rejudging:
        assert await rejudging.rejudge(ALWAYS) == Rejudged(judged=2)
        after = await snapshot(database)
        assert (after["call_log"], after["recording"]) == (before["call_log"], before["recording"])
        runs = [row for row in await verdict_rows(database) if row.source == "shadow"]
        assert [(row.label, row.decided, row.attempt) for row in runs] == [("voicemail", False, 1)] * 2
        # The next run of the command goes on where this one ended.
        assert await rejudging.rejudge(ALWAYS) == Rejudged(known=2)


async def test_recordings_that_are_gone_or_without_speech_are_counted(database: Database) -> None:
    await store_verdicts(database, [judged(Label.HUMAN, 0.9)] * 5)
    async with database.transaction() as session:
        await session.execute(text(f"update recording set erased_at = now() where recording_sid = 'RE{0:032x}'"))
        await session.execute(text(f"update recording set track = 'outbound' where recording_sid = 'RE{4:032x}'"))
    twilio = Twilio({0: SPEECH, 2: SILENCE, 3: SPEECH})
    async with rejudger(database, twilio) as rejudging:
        counts = await rejudging.rejudge(ALWAYS)
    assert (counts.judged, counts.gone, counts.no_runs) == (1, 2, 1)
    assert counts.failed == {"no_recording": 1}
    # A recording that the service deleted is not asked for.
    assert set(twilio.asked) == {1, 2, 3}


async def test_downloads_keep_the_pace_and_the_limit(database: Database) -> None:
    await store_verdicts(database, [judged(Label.HUMAN, 0.9)] * 3)
    twilio, sleeps = Twilio(dict.fromkeys(range(3), SPEECH)), Sleeps()
    async with rejudger(database, twilio, per_minute=1, sleep=sleeps) as rejudging:
        downloads: list[None] = []
        counts = await rejudging.rejudge(ALWAYS, limit=2, progress=lambda: downloads.append(None))
    assert (counts.judged, len(downloads), sleeps.seconds[0]) == (2, 2, 0)
    assert 50 < sleeps.seconds[1] <= 60
