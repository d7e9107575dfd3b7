"""A lock of another database session delays only the rows that it concerns."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from amd_service.calls import queue
from amd_service.database.pool import Database, Timeouts
from amd_service.domain import CallSid, Job, RecordingSid, Verdict
from amd_service.telemetry import Metrics
from amd_service.worker.queue_loop import Worker
from tests.support.deliveries import call_row, claim, claim_or_give_up, recording_row
from tests.support.locks import holding, stopped_in_a_transaction
from tests.support.queued import expire_leases, queued
from tests.support.verdicts import HUMAN
from tests.support.waiting import until
from tests.support.workers import is_in, judge_human, make_worker

pytestmark = pytest.mark.anyio


@pytest.fixture
async def impatient(database: Database) -> AsyncIterator[Database]:
    """The same database as `database`, with a short wait for locks."""
    impatient = Database(database.url, timeouts=Timeouts(lock_s=0.2), metrics=Metrics())
    yield impatient
    await impatient.dispose()


@asynccontextmanager
async def working(
    database: Database, judge: Callable[[Job], Awaitable[Verdict]] = judge_human
) -> AsyncIterator[Worker[Job]]:
    worker = make_worker(database, judge, worker_concurrency=2)
    running = asyncio.create_task(worker.run(finish_s=10, release_s=5))
    try:
        yield worker
    finally:
        worker.stop()
        await running


def lock_of(*sids: RecordingSid) -> str:
    """Lock the calls of these recordings, as a forgotten `select … for update` does."""
    calls = ", ".join(f"'CA{sid[2:]}'" for sid in sids)
    return f"select 1 from call_log where call_sid in ({calls}) for update"


async def test_locked_calls_delay_no_other_recording_and_no_verdict_is_lost(impatient: Database) -> None:
    *locked, free = await queued(impatient, 4)
    judged: list[str] = []

    async def judge(job: Job) -> Verdict:
        judged.append(job.recording_sid)
        return HUMAN

    # More locked calls than slots: results that wait for a lock use no slot.
    async with working(impatient, judge):
        async with holding(impatient.url, lock_of(*locked)):
            await until(lambda: is_in(impatient, free, "done"))
            await until(lambda: sorted(judged) == sorted([*locked, free]))
        for sid in locked:
            await until(lambda sid=sid: is_in(impatient, sid, "done"))  # type: ignore[misc]
    assert len(judged) == 4
    assert [(await recording_row(impatient, sid)).attempts for sid in locked] == [1, 1, 1]
    assert {(await call_row(impatient, CallSid(f"CA{sid[2:]}"))).label for sid in locked} == {"human"}


@pytest.mark.parametrize("mode", ["share", "share row exclusive", "exclusive"])
async def test_a_lock_on_the_table_of_calls_delays_verdicts_and_loses_none(
    impatient: Database, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sids = await queued(impatient, 2)
    judged = asyncio.Event()

    async def judge(_job: Job) -> Verdict:
        judged.set()
        return HUMAN

    async with working(impatient, judge):
        async with holding(impatient.url, f"lock table call_log in {mode} mode"):
            await asyncio.wait_for(judged.wait(), 60)
            await until(lambda: "result not stored, retrying" in capfd.readouterr().out)
        for sid in sids:
            await until(lambda sid=sid: is_in(impatient, sid, "done"))  # type: ignore[misc]


async def test_a_claim_shows_the_call_as_running_unless_its_row_is_locked(impatient: Database) -> None:
    locked, free = await queued(impatient, 2)
    async with holding(impatient.url, lock_of(locked)):
        assert {job.recording_sid for job in await claim(impatient)} == {locked, free}
        assert (await call_row(impatient, CallSid(f"CA{free[2:]}"))).analysis_state == "running"
        assert (await call_row(impatient, CallSid(f"CA{locked[2:]}"))).analysis_state == "queued"


async def test_a_recording_without_attempts_is_given_up_once_its_call_is_not_locked(impatient: Database) -> None:
    locked, free = await queued(impatient, 2)
    for _ in range(3):
        await claim(impatient)
        await expire_leases(impatient)
    async with holding(impatient.url, lock_of(locked)):
        assert await claim_or_give_up(impatient) == ([], {"gave_up": 1})
        assert (await recording_row(impatient, free)).state == "dead"
        assert (await recording_row(impatient, locked)).state == "running"
    assert await claim_or_give_up(impatient) == ([], {"gave_up": 1})
    assert (await call_row(impatient, CallSid(f"CA{locked[2:]}"))).reason == "gave_up"


async def test_a_locked_recording_keeps_its_worker_and_does_not_stop_the_heartbeats_of_others(
    impatient: Database,
) -> None:
    locked, free = await queued(impatient, 2)
    jobs = await claim(impatient, lease_s=5)
    before = {sid: (await recording_row(impatient, sid)).available_at for sid in (locked, free)}
    statement = f"select 1 from recording where recording_sid = '{locked}' for update"
    async with holding(impatient.url, statement), impatient.transaction() as session:
        assert await queue.heartbeat(session, jobs=jobs, lease_s=500) == frozenset(jobs)
    assert (await recording_row(impatient, free)).available_at > before[free]
    assert (await recording_row(impatient, locked)).available_at == before[locked]


async def test_postgres_releases_the_locks_of_a_process_that_was_stopped_in_a_transaction(
    impatient: Database,
) -> None:
    (sid,) = await queued(impatient, 1)
    async with stopped_in_a_transaction(impatient.url, idle_s=1.0) as last, working(impatient):
        await until(lambda: is_in(impatient, sid, "done"))
    assert "Postgres" in last[0]
    assert (await call_row(impatient, CallSid(f"CA{sid[2:]}"))).call_status is None
