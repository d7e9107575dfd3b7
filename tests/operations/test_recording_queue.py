"""Claims in spite of a faulty row, and the seconds from the answer of a call to its verdict."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from amd_service.calls.judged_again import Period
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Job, Label, Tagging
from amd_service.operations.recording_queue import RecordingQueue
from amd_service.operations.requeue import requeue_judged
from amd_service.telemetry import Metrics
from tests.support.deliveries import Tagged, deliver, recording, status
from tests.support.queued import expire_leases, queued
from tests.support.sids import SECOND_RECORDING
from tests.support.verdicts import HUMAN, verdict

pytestmark = pytest.mark.anyio


def make_queue(database: Database, metrics: Metrics) -> RecordingQueue:
    return RecordingQueue(database, worker="w", lease_s=60, max_attempts=3, actions={}, metrics=metrics)


def measured(metrics: Metrics, part: str = "count") -> float:
    return (
        metrics.registry.get_sample_value(
            f"amd_answer_to_verdict_seconds_{part}", {"source": "recording", "campaign": ""}
        )
        or 0.0
    )


async def claim_one(queue: RecordingQueue) -> Job:
    (job,) = await queue.claim(1)
    return job


async def test_the_delay_of_a_verdict_is_measured_and_a_second_verdict_is_not(database: Database) -> None:
    metrics = Metrics()
    queue = make_queue(database, metrics)
    answered_at = datetime.now(UTC) - timedelta(seconds=100)
    await deliver(database, status("in-progress", timestamp=answered_at), recording("completed"))
    assert await queue.settle(await claim_one(queue), HUMAN)
    assert measured(metrics) == 1
    assert 90 < measured(metrics, "sum") < 200
    now = datetime.now(UTC)
    await requeue_judged(database, Period(now - timedelta(days=1), now), dry_run=False)
    assert await queue.settle(await claim_one(queue), verdict(Label.VOICEMAIL, human=0.1))
    assert measured(metrics) == 1


async def test_a_recording_that_does_not_give_the_calls_verdict_is_not_measured(database: Database) -> None:
    metrics = Metrics()
    queue = make_queue(database, metrics)
    await deliver(database, status("in-progress"), recording("completed"))
    assert await queue.settle(await claim_one(queue), HUMAN)
    await deliver(database, recording("completed", SECOND_RECORDING))
    assert await queue.settle(await claim_one(queue), verdict(Label.VOICEMAIL, human=0.1))
    assert measured(metrics) == 1


async def test_a_verdict_is_counted_for_the_campaign_of_its_call(database: Database) -> None:
    metrics = Metrics(["spring"])
    queue = make_queue(database, metrics)
    await deliver(database, Tagged(recording("completed"), Tagging("spring")))
    assert await queue.settle(await claim_one(queue), HUMAN)
    labels = {"label": "human", "reason": "confident", "campaign": "spring"}
    assert metrics.registry.get_sample_value("amd_verdicts_total", labels) == 1


async def test_a_call_without_a_time_of_answer_is_not_measured(database: Database) -> None:
    metrics = Metrics()
    queue = make_queue(database, metrics)
    await deliver(database, recording("completed"))
    assert await queue.settle(await claim_one(queue), HUMAN)
    assert measured(metrics) == 0


async def test_a_row_that_cannot_be_given_up_ends_no_claim_of_other_recordings(database: Database) -> None:
    queue = make_queue(database, Metrics())
    await queued(database, 1)
    for _ in range(3):
        await queue.claim(1)
        await expire_leases(database)
    async with database.transaction() as session:
        await session.execute(text("alter table call_log add constraint faulty check (analysis_state <> 'failed')"))
    try:
        await deliver(database, recording("completed", SECOND_RECORDING, call_sid=CallSid(f"CA{'e' * 32}")))
        jobs = await queue.claim(2)
        assert [job.recording_sid for job in jobs] == [SECOND_RECORDING]
        assert await queue.after_claim(jobs, 2) == {}
        with pytest.raises(IntegrityError, match="faulty"):
            await queue.after_claim([], 2)
    finally:
        async with database.transaction() as session:
            await session.execute(text("alter table call_log drop constraint faulty"))
