"""Leases: only the worker that holds the lease of a job can end the job."""

import pytest

from amd_service.calls import queue
from amd_service.database.pool import Database
from amd_service.domain import Failure, Label
from tests.support.deliveries import call_row, claim, settle, verdict_rows
from tests.support.queued import expire_leases, one_job, queued
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio


async def test_a_dead_workers_job_is_claimed_again_and_its_late_result_rejected(database: Database) -> None:
    lost = await one_job(database)
    await expire_leases(database)
    (taken,) = await claim(database, "worker-2")
    assert (taken.recording_sid, taken.attempts) == (lost.recording_sid, 2)
    assert not await settle(database, lost, verdict(Label.VOICEMAIL, human=0.1))
    assert await verdict_rows(database) == []
    assert await settle(database, taken, verdict(Label.HUMAN))
    assert (await call_row(database)).label == "human"
    assert not await settle(database, taken, verdict(Label.VOICEMAIL, human=0.1))
    assert len(await verdict_rows(database)) == 1


async def test_a_result_after_the_end_of_the_attempt_is_rejected_even_from_the_same_worker(database: Database) -> None:
    lost = await one_job(database)
    await expire_leases(database)
    await claim(database)
    async with database.transaction() as session:
        assert not await queue.give_up(session, lost, Failure.UNDECODABLE, "late")
        assert not await queue.retry_later(session, lost, delay_s=1, error="late")
        assert not await queue.release(session, lost)


async def test_a_released_job_gets_a_new_token_at_the_next_claim(database: Database) -> None:
    before = await one_job(database)
    async with database.transaction() as session:
        assert await queue.release(session, before)
    (again,) = await claim(database)
    assert again.attempts == before.attempts
    async with database.transaction() as session:
        assert await queue.heartbeat(session, jobs=[before, again], lease_s=60) == {again}
        assert not await queue.release(session, before)
    assert not await settle(database, before, verdict(Label.VOICEMAIL, human=0.1))
    assert await settle(database, again, verdict(Label.HUMAN))


async def test_a_heartbeat_extends_leases_and_returns_the_jobs_whose_lease_is_not_lost(database: Database) -> None:
    await queued(database, 2)
    jobs = await claim(database)
    await expire_leases(database)
    async with database.transaction() as session:
        assert await queue.heartbeat(session, jobs=jobs, lease_s=60) == set(jobs)
    assert await claim(database, "worker-2") == []
    await expire_leases(database)
    (stolen,) = await claim(database, "worker-2", limit=1)
    async with database.transaction() as session:
        held = await queue.heartbeat(session, jobs=[*jobs, stolen], lease_s=60)
    assert held == {stolen, *(job for job in jobs if job.recording_sid != stolen.recording_sid)}
