"""Attempts that end without a verdict: the job is retried, released, given up or requeued."""

import re
from collections.abc import Sequence

import pytest

from amd_service.calls import queue, queue_length
from amd_service.calls.given_up import requeue_given_up
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Failure, RecordingSid
from tests.support.deliveries import call_row, claim, claim_or_give_up, deliver, recording, recording_row
from tests.support.queued import expire_leases, one_job

pytestmark = pytest.mark.anyio


async def test_a_retry_waits_for_its_delay(database: Database) -> None:
    job = await one_job(database)
    async with database.transaction() as session:
        assert await queue.retry_later(session, job, delay_s=30, error="TwilioUnavailable: 503")
    assert await claim(database) == []
    assert (await call_row(database)).analysis_state == "queued"
    async with database.transaction() as session:
        due_s = await queue_length.seconds_until_due(session)
    assert due_s is not None
    assert 15 < due_s <= 30
    await expire_leases(database)
    assert [job.attempts for job in await claim(database)] == [2]


async def test_a_released_job_has_not_used_an_attempt(database: Database) -> None:
    job = await one_job(database)
    async with database.transaction() as session:
        assert await queue.release(session, job)
    assert [again.attempts for again in await claim(database)] == [1]


async def test_a_job_without_attempts_left_is_given_up_with_the_reason_of_the_error(database: Database) -> None:
    await deliver(database, recording("completed"))
    for _ in range(3):
        (job,) = await claim(database)
        async with database.transaction() as session:
            failure = Failure.MEDIA_MISSING
            assert await queue.retry_later(session, job, delay_s=0, error="MediaNotYet: 404", failure=failure)
    assert await claim_or_give_up(database) == ([], {Failure.MEDIA_MISSING: 1})
    row = await recording_row(database)
    assert (row.failure, row.last_error) == ("media_missing", "MediaNotYet: 404")
    assert (await call_row(database)).reason == "media_missing"


async def test_a_recording_that_kills_its_worker_on_every_attempt_is_given_up(database: Database) -> None:
    await one_job(database)
    for attempt in (2, 3):
        await expire_leases(database)
        assert [job.attempts for job in await claim(database)] == [attempt]
    await expire_leases(database)
    assert await claim_or_give_up(database) == ([], {Failure.GAVE_UP: 1})
    row, call = await recording_row(database), await call_row(database)
    assert (row.state, row.attempts, row.failure) == ("dead", 3, "gave_up")
    assert re.fullmatch(r"worker worker-1#\w{8} died or stalled in attempt 3", row.last_error or "")
    assert (call.analysis_state, call.reason, call.label) == ("failed", "gave_up", None)


async def test_a_permanent_failure_writes_its_reason_and_no_label(database: Database) -> None:
    job = await one_job(database)
    async with database.transaction() as session:
        assert await queue.give_up(session, job, Failure.ENCRYPTED, "MediaRefused: \0 encrypted")
    call = await call_row(database)
    assert (call.analysis_state, call.reason, call.label) == ("failed", "encrypted", None)
    assert (await recording_row(database)).last_error == "MediaRefused: \ufffd encrypted"


async def test_recordings_given_up_for_one_reason_can_be_requeued(database: Database) -> None:
    job = await one_job(database)
    async with database.transaction() as session:
        assert await queue.give_up(session, job, Failure.UNAUTHORISED, "401")
    assert await requeue(database, failure=Failure.MEDIA_MISSING) == []
    assert await requeue(database, failure=Failure.UNAUTHORISED) == [job.recording_sid]
    assert (await call_row(database)).analysis_state == "queued"
    (again,) = await claim(database)
    assert again.attempts == 1


async def test_recordings_without_audio_are_not_requeued(database: Database) -> None:
    await deliver(database, recording("absent"))
    assert await requeue(database) == []
    assert (await call_row(database)).analysis_state == "failed"


async def test_a_requeue_scan_does_not_requeue_a_recording_twice(database: Database) -> None:
    sids = [RecordingSid(f"RE{number:032x}") for number in range(3)]
    for sid in reversed(sids):
        await deliver(database, recording("completed", sid, call_sid=CallSid(f"CA{sid[2:]}")))
    await give_up_all(database)
    assert await requeue(database, limit=2) == sids[:2]
    await give_up_all(database)
    assert await requeue(database, after=sids[1], limit=2) == sids[2:]
    assert await requeue(database, after=sids[2], limit=2) == []


async def give_up_all(database: Database) -> None:
    for job in await claim(database):
        async with database.transaction() as session:
            assert await queue.give_up(session, job, Failure.UNAUTHORISED, "401")


async def requeue(
    database: Database, *, failure: Failure | None = None, after: str = "", limit: int = 10
) -> Sequence[str]:
    async with database.transaction() as session:
        return await requeue_given_up(session, failure=failure, after=after, limit=limit)
