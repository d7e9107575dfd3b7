"""Periodic tasks run at their interval or when woken, continue after errors, and end within the grace time."""

import asyncio

import pytest
from structlog.testing import capture_logs

from amd_service.errors import AmdError, DatabaseUnavailable, TwilioUnavailable
from amd_service.telemetry import Metrics
from amd_service.worker.periodic import PeriodicTask, run_periodically

pytestmark = pytest.mark.anyio

NEVER = 3600.0
AT_ONCE = 0.0


class Work:
    """Counts its runs. The first runs fail with `errors`, one error per run."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.done = 0
        self.well = asyncio.Event()

    async def __call__(self) -> None:
        self.done += 1
        if self.errors:
            raise self.errors.pop(0)
        self.well.set()


async def test_a_task_runs_at_the_start_and_then_waits_for_its_interval() -> None:
    work = Work()
    async with run_periodically([PeriodicTask("idle", NEVER, work)], Metrics(), grace_s=5):
        await work.well.wait()
    assert work.done == 1


async def test_a_task_runs_at_its_interval() -> None:
    work = Work()
    async with run_periodically([PeriodicTask("busy", AT_ONCE, work)], Metrics(), grace_s=5), asyncio.timeout(10):
        for _ in range(3):
            work.well.clear()
            await work.well.wait()
    assert work.done >= 3


async def test_a_wake_does_not_wait_for_the_interval() -> None:
    work = Work()
    task = PeriodicTask("woken", NEVER, work)
    async with run_periodically([task], Metrics(), grace_s=5), asyncio.timeout(10):
        for _ in range(3):
            await work.well.wait()
            work.well.clear()
            task.wake.set()
        await work.well.wait()
    assert work.done == 4


async def test_a_woken_task_pauses_after_each_run() -> None:
    work = Work()
    task = PeriodicTask("woken", NEVER, work, pause_s=0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with run_periodically([task], Metrics(), grace_s=5), asyncio.timeout(10):
        for _ in range(3):
            task.wake.set()
            await work.well.wait()
            work.well.clear()
        assert loop.time() - began > 0.09


async def test_the_end_does_not_wait_for_the_pause_after_a_run() -> None:
    work = Work()
    task = PeriodicTask("pausing", NEVER, work, pause_s=NEVER)
    async with asyncio.timeout(30), run_periodically([task], Metrics(), grace_s=NEVER):
        await work.well.wait()


async def test_a_wake_during_the_work_is_not_lost() -> None:
    began, go_on, twice = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        if began.is_set():
            twice.set()
        began.set()
        await go_on.wait()

    task = PeriodicTask("woken", NEVER, work)
    async with run_periodically([task], Metrics(), grace_s=5), asyncio.timeout(10):
        await began.wait()
        task.wake.set()
        go_on.set()
        await twice.wait()


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), AmdError("on purpose"), ValueError("a bug")])
async def test_an_error_is_counted_and_the_task_runs_again(error: Exception) -> None:
    work, metrics = Work(error), Metrics()
    async with run_periodically([PeriodicTask("failing", AT_ONCE, work)], metrics, grace_s=5), asyncio.timeout(10):
        await work.well.wait()
    assert metrics.registry.get_sample_value("amd_loop_errors_total", {"loop": "failing"}) == 1


async def test_an_error_that_stays_is_logged_once_and_counted_each_time() -> None:
    away = [DatabaseUnavailable("away") for _ in range(5)]
    work, metrics = Work(*away, DatabaseUnavailable("read-only"), DatabaseUnavailable("read-only")), Metrics()
    with capture_logs() as logs:
        async with run_periodically([PeriodicTask("failing", AT_ONCE, work)], metrics, grace_s=5), asyncio.timeout(10):
            await work.well.wait()
    assert [log["error"] for log in logs] == ["away", "read-only"]
    assert metrics.registry.get_sample_value("amd_loop_errors_total", {"loop": "failing"}) == 7


async def test_an_error_that_comes_back_is_logged_again() -> None:
    outcomes = [DatabaseUnavailable("away"), None, DatabaseUnavailable("away")]
    done = asyncio.Event()

    async def work() -> None:
        if not outcomes:
            done.set()
        elif error := outcomes.pop(0):
            raise error

    with capture_logs() as logs:
        async with run_periodically([PeriodicTask("failing", AT_ONCE, work)], Metrics(), grace_s=5):
            await asyncio.wait_for(done.wait(), 10)
    assert [log["error"] for log in logs] == ["away", "away"]


async def test_a_longer_requested_pause_is_respected() -> None:
    work = Work(TwilioUnavailable("answered 429", retry_after_s=NEVER))
    task = PeriodicTask("busy", AT_ONCE, work)
    async with run_periodically([task], Metrics(), grace_s=5), asyncio.timeout(10):
        for _ in range(100):
            await asyncio.sleep(0)
        assert work.done == 1
        task.wake.set()
        await work.well.wait()


async def test_a_shorter_requested_pause_does_not_shorten_the_interval() -> None:
    work = Work(TwilioUnavailable("answered 429", retry_after_s=0))
    async with run_periodically([PeriodicTask("busy", NEVER, work)], Metrics(), grace_s=5):
        for _ in range(100):
            await asyncio.sleep(0)
    assert work.done == 1


async def test_a_stuck_task_does_not_delay_another() -> None:
    work = Work()
    stuck = PeriodicTask("stuck", NEVER, asyncio.Event().wait)
    async with run_periodically([stuck, PeriodicTask("other", NEVER, work)], Metrics(), grace_s=0), asyncio.timeout(10):
        await work.well.wait()


async def test_a_running_task_finishes_and_no_run_starts_after_the_end() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    ended = []

    async def work() -> None:
        began.set()
        await go_on.wait()
        ended.append("well")

    task = PeriodicTask("middle", AT_ONCE, work)
    async with asyncio.timeout(10), run_periodically([task], Metrics(), grace_s=10):
        await began.wait()
        asyncio.get_running_loop().call_soon(go_on.set)
    assert ended == ["well"]


async def test_a_task_that_does_not_finish_in_time_is_cancelled() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with asyncio.timeout(10), run_periodically([PeriodicTask("endless", NEVER, work)], Metrics(), grace_s=0.01):
        await began.wait()
    assert cancelled.is_set()


async def test_no_tasks_need_no_loop() -> None:
    async with run_periodically([], Metrics(), grace_s=5):
        pass
