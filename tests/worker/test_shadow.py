"""The shadow model judges recordings after their verdicts, and never delays or changes a verdict."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from structlog.testing import capture_logs

from amd_service.calls.tables import VerdictRow
from amd_service.database.pool import Database
from amd_service.detection.audio.input import AudioInput
from amd_service.domain import CallSid, Job, Verdict
from amd_service.operations.judge_shadow import ShadowJudge
from amd_service.runtime.workers import build_worker
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from amd_service.worker.queue_loop import Worker
from amd_service.worker.shadow import MOST_WAITING, ShadowRuns
from tests.support.deliveries import verdict_rows
from tests.support.detectors import ready, speech, started
from tests.support.models import StubEngine
from tests.support.signals import file_of
from tests.support.waiting import until
from tests.support.workers import enqueue_recording, is_in, judge_human

pytestmark = pytest.mark.anyio

AUDIO = AudioInput(data=file_of(speech(3.0)), one_sided=True)


def mostly_voicemail(_clip: object) -> tuple[float, float]:
    return 0.0, 2.0


@dataclass
class Shadowed:
    """A worker whose recordings a shadow model judges too. `idle`: the first model has nothing to do."""

    worker: Worker[Job]
    runs: ShadowRuns
    metrics: Metrics
    engine: StubEngine
    idle: bool = True

    def count(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("amd_shadow_verdicts_total", {"outcome": outcome}) or 0.0


@asynccontextmanager
async def shadowed(
    database: Database, *, engine: StubEngine | None = None, is_ready: bool = True, share: float = 1.0
) -> AsyncIterator[Shadowed]:
    engine = engine or StubEngine(mostly_voicemail)
    opened = ready(engine) if is_ready else started(engine)
    async with opened as detector:
        metrics = Metrics()
        runs = ShadowRuns(ShadowJudge(detector, database, share), metrics, is_idle=lambda: found.idle)

        async def judge(job: Job) -> Verdict:
            runs.keep(job, AUDIO)
            return await judge_human(job)

        settings = Settings(_env_file=None, poll_s=0.05)
        worker = build_worker(settings, database, judge, metrics, is_ready=lambda: True, shadow=runs)
        found = Shadowed(worker, runs, metrics, engine)
        task = asyncio.create_task(runs.run())
        yield found
        runs.stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def shadow_rows(database: Database) -> list[VerdictRow]:
    return [row for row in await verdict_rows(database) if row.source == "shadow"]


async def test_the_shadow_model_judges_a_recording_after_its_verdict(database: Database) -> None:
    async with shadowed(database) as found:
        sid = await enqueue_recording(database)
        await found.worker.drain()
        await until(lambda: found.count("stored") == 1)
    (row,) = await shadow_rows(database)
    assert (row.recording_sid, row.label, row.attempt) == (sid, "voicemail", 1)
    assert await is_in(database, sid, "done")


async def test_the_shadow_model_waits_while_the_first_model_is_busy(database: Database) -> None:
    async with shadowed(database) as found:
        found.idle = False
        await enqueue_recording(database)
        await found.worker.drain()
        await asyncio.sleep(0)
        assert found.engine.calls == []
        found.idle = True
        await until(lambda: found.count("stored") == 1)


async def test_recordings_that_come_too_fast_are_skipped_and_counted(database: Database) -> None:
    async with shadowed(database) as found:
        found.idle = False
        for _ in range(MOST_WAITING + 3):
            await enqueue_recording(database)
        await found.worker.drain()
        assert found.count("busy") == 2  # one recording is taken, and the queue holds the others
        found.runs.stop()
        assert found.count("shutdown") == MOST_WAITING
    assert len(await verdict_rows(database)) == MOST_WAITING + 3


async def test_a_failure_of_the_shadow_model_leaves_the_verdict(database: Database) -> None:
    def fail(_clip: object) -> tuple[float, float]:
        raise RuntimeError("out of memory")

    async with shadowed(database) as found:
        found.engine.answer = fail
        sid = await enqueue_recording(database)
        with capture_logs() as logs:
            await found.worker.drain()
            await until(lambda: found.count("failed") == 1)
        assert await is_in(database, sid, "done")
        found.engine.answer = mostly_voicemail
        await enqueue_recording(database)
        await found.worker.drain()
        await until(lambda: found.count("stored") == 1)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["shadow model failed"]


async def test_a_shadow_model_that_is_not_ready_is_skipped(database: Database) -> None:
    engine = StubEngine()
    engine.hold()
    async with shadowed(database, engine=engine, is_ready=False) as found:
        await enqueue_recording(database)
        await found.worker.drain()
        assert found.count("not_ready") == 1
        engine.free.set()
    assert await shadow_rows(database) == []


async def test_an_attempt_that_fails_gives_the_shadow_model_nothing(database: Database) -> None:
    async with shadowed(database) as found:
        job = Job("RE1", "AC1", "CA1", None, None, 1, "worker#1", 0.0)  # type: ignore[arg-type]
        found.runs.keep(job, AUDIO)
        found.runs.forget(job)
        found.runs.start(job)
        assert sum(found.count(outcome) for outcome in ("stored", "busy", "not_ready", "shutdown")) == 0


async def test_the_share_of_calls_is_about_the_setting_and_always_the_same(database: Database) -> None:
    async with ready(StubEngine()) as detector:
        judge = ShadowJudge(detector, database, 0.25)
        sids = [CallSid(f"CA{number:032x}") for number in range(2000)]
        chosen = [sid for sid in sids if judge.is_chosen(sid)]
        assert chosen == [sid for sid in sids if ShadowJudge(detector, database, 0.25).is_chosen(sid)]
        assert 420 <= len(chosen) <= 580
        assert set(chosen) <= {sid for sid in sids if replace(judge, share=0.5).is_chosen(sid)}
        assert all(replace(judge, share=1.0).is_chosen(sid) for sid in sids)
