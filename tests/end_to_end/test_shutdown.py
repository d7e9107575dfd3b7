"""Shutdown by SIGTERM."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from amd_service.simulator.service_process import COMMAND
from amd_service.simulator.twilio.media_host import MediaFile
from tests.support.scene import FATAL, HUMAN, Scene, until_exists, until_state
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

GRACE_S = 3
SLACK_S = 20  # torch processes end slowly on a loaded machine; a wait for the recording takes minutes


def in_quarters() -> Iterator[bytes]:
    size = len(HUMAN) // 4 + 1
    yield from (HUMAN[at : at + size] for at in range(0, len(HUMAN), size))


async def test_sigterm_releases_an_unfinished_recording_after_the_grace_period(scene: Scene) -> None:
    async with scene.run_service((*COMMAND, "serve", "--no-worker")) as web:
        await web.wait_until_alive()
        async with scene.run_service((*COMMAND, "worker"), shutdown_grace_s=GRACE_S) as worker:
            await worker.wait_until_ready()
            call_sid = await scene.report_ended_call(web, MediaFile(in_quarters, pause_s=30))
            await until_state(web, call_sid, "running")
            asked = time.monotonic()
            worker.process.terminate()
            assert await worker.process.wait() == 0
            assert time.monotonic() - asked < GRACE_S + SLACK_S
        call = await until_state(web, call_sid, "queued")
    assert call["recordings"][0]["attempts"] == 0


async def test_a_hanging_model_does_not_delay_the_shutdown(scene: Scene, tmp_path: Path) -> None:
    marker = tmp_path / "inferring"
    async with scene.run_service((*COMMAND, "serve", "--no-worker")) as web:
        await web.wait_until_alive()
        call_sid = await scene.report_ended_call(web, MediaFile(HUMAN))
        async with scene.run_service(
            (*FATAL, "hang"), marker=marker, engine="torch", shutdown_grace_s=GRACE_S
        ) as worker:
            await until_exists(marker)
            asked = time.monotonic()
            worker.process.terminate()
            await worker.process.wait()
            assert time.monotonic() - asked < GRACE_S + SLACK_S
        call = await until_state(web, call_sid, "queued")
    assert call["recordings"][0]["attempts"] == 0


async def test_sigterm_lets_a_recording_in_progress_finish(scene: Scene) -> None:
    async with scene.run_service((*COMMAND, "serve")) as service:
        await service.wait_until_ready()
        call_sid = await scene.report_ended_call(service, MediaFile(in_quarters, pause_s=0.2))

        async def is_fetching() -> bool:
            return bool(scene.simulated_twilio.media.requests)

        await until(is_fetching)
        service.process.terminate()
        assert await service.process.wait() == 0
    async with scene.run_service((*COMMAND, "serve", "--no-worker")) as web:
        await web.wait_until_alive()
        call = await until_state(web, call_sid, "judged")
    assert call["recordings"][0]["attempts"] == 1
