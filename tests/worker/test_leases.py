"""Leases, heartbeats, and results that come too late or cannot be stored."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import update

from amd_service.calls.tables import Recording
from amd_service.database.pool import Database
from amd_service.domain import Job, RecordingSid, Verdict
from amd_service.errors import DatabaseUnavailable
from amd_service.operations.recording_queue import RecordingQueue
from tests.support.verdicts import HUMAN
from tests.support.waiting import until
from tests.support.workers import enqueue_recording, is_in, make_worker, read

pytestmark = pytest.mark.anyio

LEASE_S = 3.0  # a heartbeat comes every second, so a slow machine keeps the lease


async def test_a_result_after_the_lease_was_lost_is_not_stored(database: Database) -> None:
    sid = await enqueue_recording(database)

    async def judge(job: Job) -> Verdict:
        async with database.transaction() as session:
            await session.execute(
                update(Recording)
                .where(Recording.recording_sid == job.recording_sid)
                .values(locked_by="another", attempts=2)
            )
        return HUMAN

    await make_worker(database, judge).drain()
    recording, call = await read(database, sid)
    assert (recording.state, recording.locked_by) == ("running", "another")
    assert call.label is None


async def test_a_heartbeat_keeps_a_long_job(database: Database, finish: asyncio.Event) -> None:
    sid = await enqueue_recording(database)

    async def judge(_job: Job) -> Verdict:
        await finish.wait()
        return HUMAN

    worker = make_worker(database, judge, job_lease_s=LEASE_S)
    task = asyncio.create_task(worker.run(finish_s=4, release_s=1))
    await until(lambda: is_in(database, sid, "running"))
    first_lease = (await read(database, sid))[0].available_at

    async def extended_twice() -> bool:
        return (await read(database, sid))[0].available_at.timestamp() > first_lease.timestamp() + LEASE_S / 2

    await until(extended_twice)
    assert await make_worker(database).drain() == 0
    finish.set()
    await until(lambda: is_in(database, sid, "done"))
    worker.stop()
    await task
    assert (await read(database, sid))[0].attempts == 1


async def test_a_recording_claimed_during_a_heartbeat_is_kept(database: Database, finish: asyncio.Event) -> None:
    first = await enqueue_recording(database)
    claimed_meanwhile: list[RecordingSid] = []

    class SlowQueue(RecordingQueue):
        async def heartbeat(self, jobs: Sequence[Job]) -> frozenset[Job]:
            ours = await super().heartbeat(jobs)
            if not claimed_meanwhile:
                claimed_meanwhile.append(await enqueue_recording(database))
                await until(lambda: is_in(database, claimed_meanwhile[0], "running"))
            return ours

    async def judge(_job: Job) -> Verdict:
        await finish.wait()
        return HUMAN

    worker = make_worker(database, judge, make_queue=SlowQueue, job_lease_s=LEASE_S)
    task = asyncio.create_task(worker.run(finish_s=4, release_s=1))
    await until(lambda: _has(claimed_meanwhile))
    await until(lambda: is_in(database, claimed_meanwhile[0], "running"))
    finish.set()
    await until(lambda: is_in(database, first, "done"))
    await until(lambda: is_in(database, claimed_meanwhile[0], "done"))
    worker.stop()
    await task
    assert (await read(database, claimed_meanwhile[0]))[0].attempts == 1


async def _has(found: list[RecordingSid]) -> bool:
    return bool(found)


async def test_a_job_that_another_worker_claimed_is_cancelled_at_the_next_heartbeat(database: Database) -> None:
    sid = await enqueue_recording(database)
    dropped = asyncio.Event()

    async def judge(_job: Job) -> Verdict:
        try:
            await asyncio.Event().wait()
        finally:
            dropped.set()
        raise AssertionError

    worker = make_worker(database, judge, job_lease_s=LEASE_S)
    task = asyncio.create_task(worker.run(finish_s=4, release_s=1))
    await until(lambda: is_in(database, sid, "running"))
    async with database.transaction() as session:
        await session.execute(
            update(Recording).where(Recording.recording_sid == sid).values(locked_by="another", attempts=2)
        )
    async with asyncio.timeout(60):
        await dropped.wait()
    worker.stop()
    await task
    recording, _ = await read(database, sid)
    assert (recording.state, recording.locked_by) == ("running", "another")


async def test_a_result_that_cannot_be_stored_is_a_bug_on_the_row(database: Database) -> None:
    sid = await enqueue_recording(database)

    class BrokenQueue(RecordingQueue):
        async def settle(self, job: Job, verdict: Verdict) -> bool:
            raise RuntimeError("no such column")

    await make_worker(database, make_queue=BrokenQueue, job_retry_base_s=60).drain()
    recording, _ = await read(database, sid)
    assert (recording.state, recording.attempts) == ("queued", 1)
    assert "no such column" in (recording.last_error or "")


async def test_an_unavailable_database_does_not_delay_the_shutdown(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue_recording(database)
    started = asyncio.Event()

    async def judge(_job: Job) -> Verdict:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    worker = make_worker(database, judge, job_lease_s=60)
    task = asyncio.create_task(worker.run(finish_s=0.4, release_s=0.1))
    await started.wait()

    def away() -> Any:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(database, "transaction", away)
    worker.stop()
    async with asyncio.timeout(20):
        await task
