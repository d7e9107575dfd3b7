"""A worker is killed while it judges a recording."""

import asyncio
import signal
from pathlib import Path

import pytest

from amd_service.simulator.service_process import COMMAND
from amd_service.simulator.twilio.media_host import MediaFile
from tests.support.scene import DEADLINE_S, FATAL, HUMAN, Scene, until_exists, until_state

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

WEB = (*COMMAND, "serve", "--no-worker")
WORKER = (*COMMAND, "worker")


async def test_another_worker_finishes_the_recording_of_a_killed_worker(scene: Scene, tmp_path: Path) -> None:
    marker = tmp_path / "inferring"
    async with scene.run_service(WEB) as web:
        await web.wait_until_alive()
        call_sid = await scene.report_ended_call(web, MediaFile(HUMAN))
        async with scene.run_service((*FATAL, "hang"), job_lease_s=3, marker=marker, engine="torch") as doomed:
            await until_exists(marker)
            doomed.process.send_signal(signal.SIGKILL)
            await doomed.process.wait()
        async with scene.run_service(WORKER, job_lease_s=3, poll_s=0.5):
            call = await until_state(web, call_sid, "judged")
    assert call["label"] == "human"
    assert call["recordings"][0]["attempts"] == 2


@pytest.mark.soak
async def test_a_recording_that_kills_every_worker_fails_after_the_last_attempt(scene: Scene, tmp_path: Path) -> None:
    settings = {
        "job_lease_s": 3,
        "job_max_attempts": 2,
        "poll_s": 0.2,
        "marker": tmp_path / "inferring",
        "engine": "torch",
    }
    async with scene.run_service(WEB) as web:
        await web.wait_until_alive()
        call_sid = await scene.report_ended_call(web, MediaFile(HUMAN))
        for _ in range(2):
            async with scene.run_service((*FATAL, "die"), **settings) as doomed:
                async with asyncio.timeout(DEADLINE_S):
                    assert await doomed.process.wait() == 9
        async with scene.run_service(WORKER, **settings):
            call = await until_state(web, call_sid, "failed")
    assert (call["label"], call["reason"]) == (None, "gave_up")
    assert call["recordings"][0]["attempts"] == 2
