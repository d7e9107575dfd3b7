"""Past calls are judged again. The first verdict stays until a second verdict is written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from amd_service.calls import queue, queue_length
from amd_service.calls.judged_again import Period
from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from amd_service.domain import Action, ActionKind, CallSid, Failure, Job, Label, RecordingSid, Verdict
from amd_service.errors import MediaNotYet, Permanent
from amd_service.operations.requeue import RequeueReport, requeue_judged
from tests.support.deliveries import (
    BEGAN,
    call_row,
    claim,
    claim_or_give_up,
    deliver,
    recording,
    recording_row,
    settle,
    status,
    verdict_rows,
)
from tests.support.queued import expire_leases, queued
from tests.support.sids import CALL, RECORDING, SECOND_RECORDING
from tests.support.verdicts import verdict
from tests.support.workers import make_worker

pytestmark = pytest.mark.anyio

HUMAN, VOICEMAIL = verdict(Label.HUMAN), verdict(Label.VOICEMAIL, human=0.1)
UNDECIDED = verdict(Label.UNDECIDED, human=0.6)
ALWAYS = Period(datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
HANG_UP = {Label.VOICEMAIL: Action(ActionKind.HANG_UP)}


async def judge_first(database: Database, first: Verdict = HUMAN) -> None:
    await deliver(database, status("in-progress"), recording("completed"))
    (job,) = await claim(database)
    assert await settle(database, job, first)


async def requeue(database: Database, period: Period = ALWAYS, *, dry_run: bool = False) -> RequeueReport:
    return await requeue_judged(database, period, dry_run=dry_run, batch=2)


async def test_a_second_verdict_replaces_the_first_on_the_calls_row_and_both_stay_stored(database: Database) -> None:
    await judge_first(database, HUMAN)
    assert (await requeue(database)).requeued == 1
    (job,) = await claim(database)
    assert await settle(database, job, VOICEMAIL)
    call = await call_row(database)
    assert (call.analysis_state, call.label, call.recording_sid) == ("judged", "voicemail", RECORDING)
    assert [row.label for row in await verdict_rows(database)] == ["human", "voicemail"]
    assert call.verdict_at == (await verdict_rows(database))[-1].created_at


@pytest.mark.parametrize("first", [HUMAN, UNDECIDED])
async def test_a_call_keeps_its_first_verdict_while_it_is_judged_again(database: Database, first: Verdict) -> None:
    await judge_first(database, first)
    before = await call_row(database)
    await requeue(database)
    await claim(database)
    assert (await recording_row(database)).state == "running"
    await deliver(database, status("completed"))
    after = await call_row(database)
    for column in ("analysis_state", "label", "confidence", "verdict_at", "verdict_ms", "recording_sid"):
        assert getattr(after, column) == getattr(before, column), column


@pytest.mark.parametrize("first", [HUMAN, UNDECIDED])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Permanent("404", Failure.MEDIA_MISSING), "media_missing"),
        (MediaNotYet("404"), "media_missing"),
        (Permanent("no", Failure.ENCRYPTED), "encrypted"),
        (ZeroDivisionError("a bug"), "gave_up"),
    ],
)
async def test_a_failed_second_run_never_removes_the_first_verdict(
    database: Database, first: Verdict, error: Exception, reason: str
) -> None:
    await judge_first(database, first)
    before = await call_row(database)
    await requeue(database)

    async def fail(_job: Job) -> Verdict:
        raise error

    worker = make_worker(database, fail, job_max_attempts=1)
    assert await worker.drain() == 1
    row, call = await recording_row(database), await call_row(database)
    assert (row.state, row.failure, row.last_failure) == ("done", None, reason)
    assert row.last_error is not None
    assert (call.analysis_state, call.label, call.verdict_at) == ("judged", before.label, before.verdict_at)
    assert (call.recording_sid, call.verdict_ms) == (before.recording_sid, before.verdict_ms)
    assert (await requeue(database, dry_run=True)).failed_before == {reason: 1}


async def test_a_second_run_that_kills_every_worker_never_removes_the_first_verdict(database: Database) -> None:
    await judge_first(database)
    await requeue(database)
    for _ in range(3):
        assert len(await claim(database)) == 1
        await expire_leases(database)
    assert await claim_or_give_up(database) == ([], {Failure.GAVE_UP: 1})
    row, call = await recording_row(database), await call_row(database)
    assert (row.state, row.failure, row.last_failure) == ("done", None, "gave_up")
    assert (call.analysis_state, call.label) == ("judged", "human")


async def test_no_action_follows_a_second_verdict(database: Database) -> None:
    await deliver(database, status("in-progress", timestamp=datetime.now(UTC)), recording("completed"))
    (job,) = await claim(database)
    assert await settle(database, job, HUMAN, HANG_UP)
    await requeue(database)
    (job,) = await claim(database)
    assert await settle(database, job, VOICEMAIL, HANG_UP)
    call = await call_row(database)
    assert (call.label, call.action, call.action_state) == ("voicemail", None, None)


async def test_an_action_that_was_scheduled_keeps_its_verdict_and_is_not_scheduled_again(database: Database) -> None:
    await deliver(database, status("in-progress", timestamp=datetime.now(UTC)), recording("completed"))
    (job,) = await claim(database)
    assert await settle(database, job, VOICEMAIL, HANG_UP)
    await requeue(database)
    (job,) = await claim(database)
    assert await settle(database, job, HUMAN, HANG_UP)
    call = await call_row(database)
    assert (call.label, call.action, call.action_state) == ("voicemail", "hang_up", "due")
    assert [row.label for row in await verdict_rows(database)] == ["voicemail", "human"]


async def test_new_recordings_are_claimed_before_recordings_that_are_judged_again(database: Database) -> None:
    old = await queued(database, 2)
    for job in await claim(database):
        assert await settle(database, job, HUMAN)
    await requeue(database)
    await deliver(database, recording("completed"))
    assert [job.recording_sid for job in await claim(database, limit=1)] == [RECORDING]
    assert {job.recording_sid for job in await claim(database)} == set(old)
    async with database.transaction() as session:
        assert (await queue_length.depth(session)).by_state == {"queued": 0, "running": 1, "again": 2}


async def test_recordings_that_cannot_be_judged_again_are_reported(database: Database) -> None:
    await judge_first(database)
    await deliver(database, recording("completed", SECOND_RECORDING))
    (job,) = await claim(database)
    assert await settle(database, job, HUMAN)
    async with database.transaction() as session:
        await session.execute(text(f"update recording set erased_at = now() where recording_sid = '{RECORDING}'"))
        await session.execute(
            text(
                "insert into recording (recording_sid, call_sid, account_sid, state, source)"
                f" select 'MZ1', call_sid, account_sid, 'done', 'MediaStream' from call_log where call_sid = '{CALL}'"
            )
        )
    expected = RequeueReport(requeued=1, calls=1, deleted=1, streams=1, failed_before={})
    assert await requeue(database, dry_run=True) == expected
    assert await claim(database) == []
    assert await requeue(database) == expected
    assert [job.recording_sid for job in await claim(database)] == [SECOND_RECORDING]


async def test_only_calls_of_the_period_are_judged_again(database: Database) -> None:
    for number in range(5):
        sid = CallSid(f"CA{number:032x}")
        answered = status("in-progress", call_sid=sid)
        await deliver(database, answered, recording("completed", RecordingSid(f"RE{number:032x}"), call_sid=sid))
        async with database.transaction() as session:
            began = update(CallLog).where(CallLog.call_sid == sid)
            await session.execute(began.values(created_at=BEGAN + timedelta(hours=12 * number)))
    for job in await claim(database):
        assert await settle(database, job, HUMAN)
    period = Period(BEGAN + timedelta(hours=12), BEGAN + timedelta(hours=36))
    assert (await requeue(database, period, dry_run=True)).requeued == 2
    assert (await requeue(database, period)).requeued == 2
    assert {job.recording_sid for job in await claim(database)} == {f"RE{number:032x}" for number in (1, 2)}


async def test_calls_without_a_verdict_are_left_to_the_plain_requeue(database: Database) -> None:
    await deliver(database, status("in-progress"), recording("completed"))
    (job,) = await claim(database)
    async with database.transaction() as session:
        assert await queue.give_up(session, job, Failure.UNAUTHORISED, "401")
    assert await requeue(database) == RequeueReport(0, 0, 0, 0, {})


async def test_a_limit_and_a_campaign_narrow_the_calls(database: Database) -> None:
    await queued(database, 4)
    for job in await claim(database):
        assert await settle(database, job, HUMAN)
    async with database.transaction() as session:
        await session.execute(text(f"update call_log set campaign = 'spring' where call_sid = 'CA{1:032x}'"))
    spring = replace(ALWAYS, campaign="spring")
    assert (await requeue(database, spring, dry_run=True)).requeued == 1
    assert (await requeue_judged(database, ALWAYS, dry_run=False, limit=3, batch=2)).calls == 3
    assert len(await claim(database)) == 3


async def test_recordings_become_due_at_the_chosen_pace(database: Database) -> None:
    await queued(database, 5)
    for job in await claim(database):
        assert await settle(database, job, HUMAN)
    # Two recordings are due in the first minute: one now, and one after 30 s.
    await requeue_judged(database, ALWAYS, dry_run=False, per_minute=2, batch=2)
    async with database.transaction() as session:
        delays = await session.scalars(
            text("select round(extract(epoch from available_at - now())) from recording order by available_at")
        )
        assert [int(delay) for delay in delays] == pytest.approx([0, 30, 60, 90, 120], abs=5)
    assert len(await claim(database)) == 1


async def test_the_time_until_a_paced_recording_is_due_is_no_delay_of_its_verdict(database: Database) -> None:
    await queued(database, 2)
    for job in await claim(database):
        assert await settle(database, job, HUMAN)
    await requeue_judged(database, ALWAYS, dry_run=False, per_minute=1)
    async with database.transaction() as session:
        # A minute passes.
        await session.execute(
            text(
                "update recording set available_at = available_at - interval '1 min',"
                " queued_at = queued_at - interval '1 min'"
            )
        )
    jobs = await claim(database)
    assert min(job.waited_s for job in jobs) < 10
    for job in jobs:
        assert await settle(database, job, VOICEMAIL)
    async with database.transaction() as session:
        assert await session.scalar(text("select min(verdict_ms) from call_log")) < 10_000


async def test_a_second_verdict_makes_an_event_only_if_the_state_changes(database_url: str, database: Database) -> None:
    delivering = Database(database_url, delivery_urls=("https://backend.example.com/",))
    await judge_first(delivering, HUMAN)
    for second, events in ((HUMAN, 1), (VOICEMAIL, 2)):
        await requeue(delivering)
        (job,) = await claim(delivering)
        assert await settle(delivering, job, second)
        assert (await call_row(delivering)).events == events
    await delivering.dispose()
