"""Verdicts on live streams that come too late for an action."""

import json
import time
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from amd_service.database.pool import Database
from amd_service.domain import CallSid
from amd_service.operations.judge_stream import StreamJudge, StreamOutcome
from amd_service.telemetry import Metrics
from amd_service.twilio.media_streams import StreamEvent, parse_message
from amd_service.web.time_limits import TimeLimits
from tests.support.app import make_settings
from tests.support.deliveries import call_row
from tests.support.detectors import ready
from tests.support.media_streams import STREAM
from tests.support.models import StubEngine, mostly_human
from tests.support.sids import ACCOUNT, CALL

pytestmark = pytest.mark.anyio

SETTINGS = make_settings(live=True, on_human="hang_up")


async def events(messages: Sequence[dict[str, object]]) -> AsyncIterator[StreamEvent]:
    for message in messages:
        event = parse_message(json.dumps(message))
        assert event is not None
        yield event


@pytest.mark.parametrize(("took_s", "action"), [(25.0, "hang_up"), (35.0, None)])
async def test_a_late_verdict_is_stored_without_an_action(
    database: Database, took_s: float, action: str | None
) -> None:
    late_s = 0.0

    def answer(clip: NDArray[np.float32]) -> tuple[float, float]:
        nonlocal late_s
        late_s += took_s
        return mostly_human(clip)

    engine = StubEngine()
    engine.answer = answer
    async with ready(engine) as detector:
        judge = StreamJudge(
            detector,
            database,
            SETTINGS.actions,
            Metrics(),
            TimeLimits().media_verdict_s,
            clock=lambda: time.monotonic() + late_s,
        )
        messages = [STREAM.start(), *map(STREAM.media, STREAM.chunks())]
        outcome = await judge.judge(events(messages), [SETTINGS.accounts[ACCOUNT]])
    assert outcome is StreamOutcome.VERDICT
    call = await call_row(database, CallSid(CALL))
    assert (call.label, call.action) == ("human", action)
