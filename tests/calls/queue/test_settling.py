"""A verdict and the end of its job are written in one transaction."""

import pytest

from amd_service.calls import queue
from amd_service.database.pool import Database
from amd_service.domain import Label
from tests.support.deliveries import call_row, recording_row, settle, verdict_rows
from tests.support.queued import one_job
from tests.support.verdicts import no_speech, verdict

pytestmark = pytest.mark.anyio


async def test_a_verdict_finishes_the_job_and_fills_the_call(database: Database) -> None:
    job = await one_job(database)
    assert await settle(database, job, verdict(Label.HUMAN, runs=2))
    call = await call_row(database)
    assert (call.analysis_state, call.label, call.confidence, call.reason) == ("judged", "human", 0.9, "confident")
    assert (call.model_id, call.model_revision, call.channels_mixed) == ("demo", None, False)
    assert call.verdict_at is not None
    assert call.verdict_ms is not None
    assert call.verdict_ms >= 0
    row = await recording_row(database)
    assert (row.state, row.locked_by, row.failure) == ("done", None, None)


async def test_every_run_is_kept_and_the_last_one_decides(database: Database) -> None:
    await settle(database, await one_job(database), verdict(Label.UNDECIDED, human=0.6, runs=2))
    first, last = await verdict_rows(database)
    assert (first.run_number, first.decided, first.label, first.confidence) == (1, False, None, None)
    assert (last.run_number, last.decided, last.label, last.confidence) == (2, True, "undecided", 0.6)
    assert (first.human_score, first.window_ms, first.engine, first.precision) == (0.6, 2000, "torch", "fp32")
    assert (last.policy, last.weights_sha256, last.audio_sha256) == ({"min_confidence": 0.7}, "0" * 64, "f" * 64)
    assert len(last.policy_version) == 12


async def test_a_verdict_without_a_model_run_has_a_row_without_scores(database: Database) -> None:
    await settle(database, await one_job(database), no_speech())
    (row,) = await verdict_rows(database)
    assert (row.decided, row.label, row.reason, row.confidence) == (True, "undecided", "no_speech", None)
    assert (row.human_score, row.model_id, row.run_number) == (None, None, 0)
    call = await call_row(database)
    assert (call.analysis_state, call.label, call.reason, call.confidence) == (
        "judged",
        "undecided",
        "no_speech",
        None,
    )


async def test_a_settlement_that_is_rolled_back_does_not_change_the_job(database: Database) -> None:
    job = await one_job(database)

    async def settle_and_fail() -> None:
        async with database.transaction() as session:
            await queue.settle(session, job, verdict(Label.HUMAN), {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await settle_and_fail()
    assert (await recording_row(database)).state == "running"
    assert await verdict_rows(database) == []
