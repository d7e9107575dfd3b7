"""The queue: claim, heartbeat, settle, retry later, give back, bury."""

import asyncio
import re
from datetime import timedelta

import pytest
from sqlalchemy import func, text, update

from amd_service.calls import queue
from amd_service.calls.database import Database
from amd_service.calls.tables import Recording
from amd_service.domain import CallSid, Failure, Job, Label, RecordingSid
from tests.calls.deliveries import (
    CALL,
    FIRST,
    call_row,
    claim,
    deliver,
    no_speech,
    recording,
    recording_row,
    settle,
    snapshot,
    status,
    verdict,
    verdict_rows,
)

pytestmark = pytest.mark.anyio


async def queued(database: Database, count: int) -> list[RecordingSid]:
    sids = [RecordingSid(f"RE{number:032x}") for number in range(count)]
    await deliver(database, *(recording("completed", sid, call_sid=CallSid(f"CA{sid[2:]}")) for sid in sids))
    return sids


async def let_leases_run_out(database: Database) -> None:
    """What waiting would do, without the wait: the database's clock is what counts."""
    async with database.transaction() as session:
        await session.execute(update(Recording).values(available_at=func.now() - timedelta(milliseconds=1)))


async def one_job(database: Database) -> Job:
    await deliver(database, recording("completed", track="inbound", channels=1))
    (job,) = await claim(database)
    return job


async def test_a_claimed_job_carries_what_the_pipeline_needs(database: Database) -> None:
    job = await one_job(database)
    assert (job.recording_sid, job.call_sid, job.source) == (FIRST, CALL, "OutboundAPI")
    assert (job.track, job.attempts, job.locked_by.partition("#")[0]) == ("inbound", 1, "worker-1")
    assert (await call_row(database)).analysis_state == "running"


async def test_a_held_job_is_not_claimed_twice(database: Database) -> None:
    await one_job(database)
    assert await claim(database, "worker-2") == []


async def test_a_noted_recording_is_not_claimed(database: Database) -> None:
    await deliver(database, recording("in-progress"))
    assert await claim(database) == []


async def test_a_claim_takes_the_oldest_first_and_no_more_than_it_may(database: Database) -> None:
    sids = await queued(database, 3)
    assert [job.recording_sid for job in await claim(database, limit=1)] == sids[:1]
    assert len(await claim(database, limit=5)) == 2


async def test_workers_claiming_at_once_share_without_a_duplicate(database: Database) -> None:
    sids = await queued(database, 12)
    claims = await asyncio.gather(*(claim(database, f"worker-{number}", limit=4) for number in range(4)))
    taken = [job.recording_sid for jobs in claims for job in jobs]
    taken += [job.recording_sid for job in await claim(database, limit=12)]
    assert sorted(taken) == sids


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


async def test_a_verdict_without_a_model_run_leaves_a_row_without_scores(database: Database) -> None:
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


async def test_a_dead_workers_job_is_taken_over_and_its_late_result_shut_out(database: Database) -> None:
    lost = await one_job(database)
    await let_leases_run_out(database)
    (taken,) = await claim(database, "worker-2")
    assert (taken.recording_sid, taken.attempts) == (lost.recording_sid, 2)
    assert not await settle(database, lost, verdict(Label.VOICEMAIL, human=0.1))
    assert await verdict_rows(database) == []
    assert await settle(database, taken, verdict(Label.HUMAN))
    assert (await call_row(database)).label == "human"
    assert not await settle(database, taken, verdict(Label.VOICEMAIL, human=0.1))
    assert len(await verdict_rows(database)) == 1


async def test_the_same_worker_is_shut_out_too_once_its_attempt_is_over(database: Database) -> None:
    lost = await one_job(database)
    await let_leases_run_out(database)
    await claim(database)
    async with database.transaction() as session:
        assert not await queue.bury(session, lost, Failure.UNDECODABLE, "late")
        assert not await queue.retry_later(session, lost, delay_s=1, error="late")
        assert not await queue.give_back(session, lost)


async def test_a_heartbeat_keeps_the_lease_and_names_what_is_still_held(database: Database) -> None:
    await queued(database, 2)
    jobs = await claim(database)
    await let_leases_run_out(database)
    async with database.transaction() as session:
        assert await queue.heartbeat(session, jobs=jobs, lease_s=60) == set(jobs)
    assert await claim(database, "worker-2") == []
    await let_leases_run_out(database)
    (stolen,) = await claim(database, "worker-2", limit=1)
    async with database.transaction() as session:
        held = await queue.heartbeat(session, jobs=[*jobs, stolen], lease_s=60)
    assert held == {stolen, *(job for job in jobs if job.recording_sid != stolen.recording_sid)}


async def test_a_recording_that_kills_its_worker_each_time_is_buried(database: Database) -> None:
    await one_job(database)
    for attempt in (2, 3):
        await let_leases_run_out(database)
        assert [job.attempts for job in await claim(database)] == [attempt]
    await let_leases_run_out(database)
    async with database.transaction() as session:
        claimed = await queue.claim(session, worker="w", limit=5, lease_s=60, max_attempts=3)
    assert (claimed.jobs, claimed.buried) == ([], 1)
    row, call = await recording_row(database), await call_row(database)
    assert (row.state, row.attempts, row.failure) == ("dead", 3, "gave_up")
    assert re.fullmatch(r"worker worker-1#\w{8} died or stalled in attempt 3", row.last_error or "")
    assert (call.analysis_state, call.reason, call.label) == ("failed", "gave_up", None)


async def test_attempts_used_up_on_a_retryable_error_are_buried_with_its_reason(database: Database) -> None:
    await deliver(database, recording("completed"))
    for _ in range(3):
        (job,) = await claim(database)
        async with database.transaction() as session:
            failure = Failure.MEDIA_MISSING
            assert await queue.retry_later(session, job, delay_s=0, error="MediaNotYet: 404", failure=failure)
    assert await claim(database) == []
    row = await recording_row(database)
    assert (row.failure, row.last_error) == ("media_missing", "MediaNotYet: 404")
    assert (await call_row(database)).reason == "media_missing"


async def test_a_retry_waits_for_its_delay(database: Database) -> None:
    job = await one_job(database)
    async with database.transaction() as session:
        assert await queue.retry_later(session, job, delay_s=30, error="TwilioUnavailable: 503")
    assert await claim(database) == []
    assert (await call_row(database)).analysis_state == "queued"
    async with database.transaction() as session:
        due_s = await queue.seconds_until_due(session)
    assert due_s is not None
    assert 25 < due_s <= 30
    await let_leases_run_out(database)
    assert [job.attempts for job in await claim(database)] == [2]


async def test_a_job_given_back_has_not_used_an_attempt(database: Database) -> None:
    job = await one_job(database)
    async with database.transaction() as session:
        assert await queue.give_back(session, job)
    assert [again.attempts for again in await claim(database)] == [1]


async def test_a_claim_after_a_give_back_is_not_taken_for_the_one_before(database: Database) -> None:
    before = await one_job(database)
    async with database.transaction() as session:
        assert await queue.give_back(session, before)
    (again,) = await claim(database)
    assert again.attempts == before.attempts
    async with database.transaction() as session:
        assert await queue.heartbeat(session, jobs=[before, again], lease_s=60) == {again}
        assert not await queue.give_back(session, before)
    assert not await settle(database, before, verdict(Label.VOICEMAIL, human=0.1))
    assert await settle(database, again, verdict(Label.HUMAN))


async def test_a_permanent_failure_writes_its_reason_and_no_label(database: Database) -> None:
    job = await one_job(database)
    async with database.transaction() as session:
        assert await queue.bury(session, job, Failure.ENCRYPTED, "MediaRefused: \0 encrypted")
    call = await call_row(database)
    assert (call.analysis_state, call.reason, call.label) == ("failed", "encrypted", None)
    assert (await recording_row(database)).last_error == "MediaRefused: \ufffd encrypted"


async def test_a_job_knows_how_long_its_recording_has_waited(database: Database) -> None:
    await deliver(database, recording("completed"))
    async with database.transaction() as session:
        await session.execute(update(Recording).values(queued_at=func.now() - timedelta(hours=2)))
    (job,) = await claim(database)
    assert 7200 <= job.waited_s < 7230


async def test_what_ended_for_a_mended_reason_is_put_up_for_work_again(database: Database) -> None:
    job = await one_job(database)
    async with database.transaction() as session:
        assert await queue.bury(session, job, Failure.UNAUTHORISED, "401")
    async with database.transaction() as session:
        assert await queue.requeue(session, failure=Failure.MEDIA_MISSING) == 0
        assert await queue.requeue(session, failure=Failure.UNAUTHORISED) == 1
    assert (await call_row(database)).analysis_state == "queued"
    (again,) = await claim(database)
    assert again.attempts == 1


async def test_what_never_had_audio_is_not_put_up_for_work(database: Database) -> None:
    await deliver(database, recording("absent"))
    async with database.transaction() as session:
        assert await queue.requeue(session, failure=None) == 0
    assert (await call_row(database)).analysis_state == "failed"


async def test_a_settlement_that_is_rolled_back_leaves_the_job(database: Database) -> None:
    job = await one_job(database)

    async def settle_and_fail() -> None:
        async with database.transaction() as session:
            await queue.settle(session, job, verdict(Label.HUMAN), {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await settle_and_fail()
    assert (await recording_row(database)).state == "running"
    assert await verdict_rows(database) == []


async def test_claims_settlements_and_callbacks_at_once_never_lock_each_other_out(database: Database) -> None:
    sids = await queued(database, 8)

    async def work(worker: str) -> None:
        while jobs := await claim(database, worker, limit=2):
            for job in jobs:
                assert await settle(database, job, verdict(Label.HUMAN))

    async def talk(sid: RecordingSid) -> None:
        call_sid = CallSid(f"CA{sid[2:]}")
        await deliver(database, status("ringing", call_sid=call_sid), recording("in-progress", sid, call_sid=call_sid))
        await deliver(database, status("completed", call_sid=call_sid), recording("absent", sid, call_sid=call_sid))

    await asyncio.gather(work("a"), work("b"), *(talk(sid) for sid in sids))
    await work("c")
    calls = (await snapshot(database))["call_log"]
    assert [(call["call_status"], call["label"]) for call in calls] == [("completed", "human")] * 8


async def test_depth_counts_states_and_the_age_of_what_is_due(database: Database) -> None:
    await queued(database, 2)
    await deliver(database, recording("in-progress", RecordingSid("RE" + "e" * 32)))
    async with database.transaction() as session:
        await session.execute(
            text("update recording set available_at = now() - interval '90 s' where state = 'queued'")
        )
    async with database.transaction() as session:
        depth = await queue.depth(session)
    assert depth.by_state == {"noted": 1, "queued": 2, "running": 0, "done": 0, "dead": 0}
    assert 90 <= depth.oldest_due_s < 150


async def test_nothing_to_do_is_never_due(database: Database) -> None:
    async with database.transaction() as session:
        assert await queue.seconds_until_due(session) is None
        assert (await queue.depth(session)).oldest_due_s == 0
