"""Claims, and the depth of the queue."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, text, update

from amd_service.calls import queue_length
from amd_service.calls.tables import Recording
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Label, RecordingSid
from tests.support.deliveries import call_row, claim, deliver, recording, settle, snapshot, status
from tests.support.queued import one_job, queued
from tests.support.sids import CALL, RECORDING
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio


async def test_a_claimed_job_has_the_fields_that_the_pipeline_needs(database: Database) -> None:
    job = await one_job(database)
    assert (job.recording_sid, job.call_sid, job.source) == (RECORDING, CALL, "OutboundAPI")
    assert (job.track, job.attempts, job.locked_by.partition("#")[0]) == ("inbound", 1, "worker-1")
    assert (await call_row(database)).analysis_state == "running"


async def test_a_claimed_job_is_not_claimed_again(database: Database) -> None:
    await one_job(database)
    assert await claim(database, "worker-2") == []


async def test_a_noted_recording_is_not_claimed(database: Database) -> None:
    await deliver(database, recording("in-progress"))
    assert await claim(database) == []


async def test_a_claim_returns_the_oldest_jobs_up_to_its_limit(database: Database) -> None:
    sids = await queued(database, 3)
    assert [job.recording_sid for job in await claim(database, limit=1)] == sids[:1]
    assert len(await claim(database, limit=5)) == 2


async def test_concurrent_claims_return_different_jobs(database: Database) -> None:
    sids = await queued(database, 12)
    claims = await asyncio.gather(*(claim(database, f"worker-{number}", limit=4) for number in range(4)))
    taken = [job.recording_sid for jobs in claims for job in jobs]
    taken += [job.recording_sid for job in await claim(database, limit=12)]
    assert sorted(taken) == sids


async def test_a_job_contains_the_seconds_that_its_recording_has_waited(database: Database) -> None:
    await deliver(database, recording("completed"))
    async with database.transaction() as session:
        await session.execute(update(Recording).values(queued_at=func.now() - timedelta(hours=2)))
    (job,) = await claim(database)
    assert 7200 <= job.waited_s < 7230


async def test_concurrent_claims_settlements_and_callbacks_never_deadlock(database: Database) -> None:
    sids = await queued(database, 8)

    async def work(worker: str) -> None:
        while jobs := await claim(database, worker, limit=2):
            for job in jobs:
                assert await settle(database, job, verdict(Label.HUMAN))

    async def send_callbacks(sid: RecordingSid) -> None:
        call_sid = CallSid(f"CA{sid[2:]}")
        await deliver(database, status("ringing", call_sid=call_sid), recording("in-progress", sid, call_sid=call_sid))
        await deliver(database, status("completed", call_sid=call_sid), recording("absent", sid, call_sid=call_sid))

    await asyncio.gather(work("a"), work("b"), *(send_callbacks(sid) for sid in sids))
    await work("c")
    calls = (await snapshot(database))["call_log"]
    assert [(call["call_status"], call["label"]) for call in calls] == [("completed", "human")] * 8


async def test_depth_counts_states_and_the_age_of_the_oldest_due_job(database: Database) -> None:
    await queued(database, 2)
    await deliver(database, recording("in-progress", RecordingSid("RE" + "e" * 32)))
    async with database.transaction() as session:
        await session.execute(
            text("update recording set available_at = now() - interval '90 s' where state = 'queued'")
        )
    async with database.transaction() as session:
        depth = await queue_length.depth(session)
    assert depth.by_state == {"queued": 2, "running": 0, "again": 0}
    assert 90 <= depth.oldest_s < 150


async def test_an_empty_queue_has_no_due_time(database: Database) -> None:
    async with database.transaction() as session:
        assert await queue_length.seconds_until_due(session) is None
        assert (await queue_length.depth(session)).oldest_s == 0
