"""The worker claims, judges and settles recordings."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from amd_service.database.pool import Database
from amd_service.domain import Failure, Job, RecordingSid, Verdict
from amd_service.errors import MediaNotYet, MediaRefused, QueueFull, TwilioUnavailable
from amd_service.operations.recording_queue import RecordingQueue
from amd_service.telemetry import Metrics
from tests.support.deliveries import claim
from tests.support.queued import expire_leases
from tests.support.verdicts import HUMAN
from tests.support.waiting import until
from tests.support.workers import enqueue_recording, is_in, make_worker, read

pytestmark = pytest.mark.anyio


async def test_a_verdict_and_the_end_of_its_job_are_stored_together(database: Database) -> None:
    sid = await enqueue_recording(database)
    assert await make_worker(database).drain() == 1
    recording, call = await read(database, sid)
    assert (recording.state, recording.attempts, recording.locked_by) == ("done", 1, None)
    assert (call.analysis_state, call.label, call.confidence, call.reason) == ("judged", "human", 0.9, "confident")
    assert (call.model_id, call.channels_mixed) == ("demo", False)


async def test_every_waiting_recording_is_judged_once(database: Database) -> None:
    sids = {await enqueue_recording(database) for _ in range(7)}
    seen: list[RecordingSid] = []

    async def judge(job: Job) -> Verdict:
        seen.append(job.recording_sid)
        return HUMAN

    first, second = make_worker(database, judge), make_worker(database, judge)
    await asyncio.gather(first.drain(), second.drain())
    assert sorted(seen) == sorted(sids)


async def test_a_recording_is_judged_before_its_call_is_shown_as_running(database: Database) -> None:
    await enqueue_recording(database)
    begun = asyncio.Event()

    async def judge(_job: Job) -> Verdict:
        begun.set()
        return HUMAN

    class WaitingQueue(RecordingQueue):
        async def after_claim(self, jobs: Sequence[Job], limit: int) -> Mapping[str, int]:
            await asyncio.wait_for(begun.wait(), 30)
            return await super().after_claim(jobs, limit)

    assert await make_worker(database, judge, make_queue=WaitingQueue).drain() == 1


async def test_a_recording_without_attempts_left_is_given_up_and_counted(database: Database) -> None:
    sid = await enqueue_recording(database)
    for _ in range(3):
        await claim(database)
        await expire_leases(database)
    metrics = Metrics()
    assert await make_worker(database, metrics=metrics, job_max_attempts=3).drain() == 0
    assert await is_in(database, sid, "dead")
    assert metrics.registry.get_sample_value("amd_buried_total", {"reason": "gave_up"}) == 1


async def test_audio_that_is_not_ready_is_retried_later(database: Database) -> None:
    sid = await enqueue_recording(database)

    async def judge(_job: Job) -> Verdict:
        raise MediaNotYet("404")

    assert await make_worker(database, judge, job_retry_base_s=60).drain() == 1
    recording, call = await read(database, sid)
    assert (recording.state, recording.attempts, recording.last_failure) == ("queued", 1, "media_missing")
    assert (call.analysis_state, call.label) == ("queued", None)


async def test_audio_that_never_comes_ends_as_media_missing(database: Database) -> None:
    sid = await enqueue_recording(database)

    async def judge(_job: Job) -> Verdict:
        raise MediaNotYet("404")

    worker = make_worker(database, judge, job_retry_base_s=1e-6, job_max_attempts=3)
    await until(lambda: _drained_to(worker_drain=worker.drain, database=database, sid=sid, state="dead"))
    recording, call = await read(database, sid)
    assert recording.attempts == 3
    assert (call.analysis_state, call.reason, call.label) == ("failed", Failure.MEDIA_MISSING, None)


async def _drained_to(worker_drain: object, database: Database, sid: RecordingSid, state: str) -> bool:
    await worker_drain()  # type: ignore[operator]
    return (await read(database, sid))[0].state == state


async def test_refused_audio_ends_the_job_at_once_with_its_reason(database: Database) -> None:
    sid = await enqueue_recording(database)

    async def judge(_job: Job) -> Verdict:
        raise MediaRefused("encrypted", Failure.ENCRYPTED)

    await make_worker(database, judge).drain()
    recording, call = await read(database, sid)
    assert (recording.attempts, call.analysis_state, call.reason) == (1, "failed", "encrypted")


async def test_a_bug_is_stored_as_given_up_and_never_as_a_label(database: Database) -> None:
    sid = await enqueue_recording(database)

    async def judge(_job: Job) -> Verdict:
        raise ZeroDivisionError

    worker = make_worker(database, judge, job_retry_base_s=1e-6)
    await until(lambda: _drained_to(worker.drain, database, sid, "dead"))
    recording, call = await read(database, sid)
    assert (recording.attempts, call.reason, call.label) == (3, "gave_up", None)
    assert "ZeroDivisionError" in (recording.last_error or "")


async def test_a_full_model_queue_does_not_use_up_attempts(database: Database) -> None:
    sid = await enqueue_recording(database)

    async def judge(_job: Job) -> Verdict:
        raise QueueFull("full")

    await make_worker(database, judge, job_retry_base_s=60).drain()
    recording, _ = await read(database, sid)
    assert (recording.state, recording.attempts) == ("queued", 0)


@pytest.mark.parametrize(
    ("error", "levels"),
    [
        (TwilioUnavailable("503"), ["warning", "info", "info"]),
        (QueueFull("full"), ["warning", "info", "info"]),
        (MediaNotYet("404"), ["warning"] * 3),
    ],
)
async def test_an_outage_of_many_recordings_is_one_warning(
    database: Database, error: Exception, levels: list[str]
) -> None:
    for _ in range(3):
        await enqueue_recording(database)

    async def judge(_job: Job) -> Verdict:
        raise error

    with capture_logs() as logs:
        await make_worker(database, judge, job_retry_base_s=60).drain()
    assert [entry["log_level"] for entry in logs if entry["event"] == "attempt failed"] == levels


async def test_a_notification_wakes_a_sleeping_worker(database: Database) -> None:
    worker = make_worker(database, poll_s=3600)
    task = asyncio.create_task(worker.run(finish_s=0.8, release_s=0.2))
    try:
        sid = await enqueue_recording(database)
        await until(lambda: is_in(database, sid, "done"))
    finally:
        worker.stop()
        await task


async def test_nothing_is_claimed_until_the_classifier_is_ready(database: Database) -> None:
    sid = await enqueue_recording(database)
    asked: list[bool] = []

    def ready() -> bool:
        asked.append(len(asked) >= 3)
        return asked[-1]

    worker = make_worker(database, is_ready=ready)
    task = asyncio.create_task(worker.run(finish_s=0.8, release_s=0.2))
    await until(lambda: is_in(database, sid, "done"))
    worker.stop()
    await task
    assert asked[:4] == [False, False, False, True]
    assert (await read(database, sid))[0].attempts == 1


async def test_a_stopped_worker_finishes_the_held_recording_and_claims_no_other(
    database: Database, finish: asyncio.Event
) -> None:
    sid = await enqueue_recording(database)
    started = asyncio.Event()

    async def judge(_job: Job) -> Verdict:
        started.set()
        await finish.wait()
        return HUMAN

    worker = make_worker(database, judge, worker_downloads=1)
    task = asyncio.create_task(worker.run(finish_s=8, release_s=2))
    await started.wait()
    other = await enqueue_recording(database)
    worker.stop()
    finish.set()
    await task
    assert (await read(database, sid))[0].state == "done"
    assert (await read(database, other))[0].state == "queued"


async def test_a_recording_that_does_not_finish_in_time_is_released_without_counting_the_attempt(
    database: Database,
) -> None:
    sid = await enqueue_recording(database)
    started = asyncio.Event()

    async def judge(_job: Job) -> Verdict:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    worker = make_worker(database, judge)
    task = asyncio.create_task(worker.run(finish_s=0.008, release_s=0.002))
    await started.wait()
    worker.stop()
    await task
    recording, call = await read(database, sid)
    assert (recording.state, recording.attempts, recording.locked_by) == ("queued", 0, None)
    assert call.analysis_state == "queued"
