"""The service and the worker survive a restart of Postgres."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
import httpx2
import pytest

from amd_service.database.embedded.account import server_account
from amd_service.database.embedded.server import Server
from amd_service.database.embedded.sharing import THROWAWAY_PREFIX, embedded_postgres
from amd_service.database.schema import migrate
from amd_service.simulator.service_process import COMMAND
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.resources import make_account
from tests.support.scene import HUMAN, Scene, until_state
from tests.support.simulated_twilio import watched_simulated_twilio
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
async def own_server() -> AsyncIterator[tuple[str, Server]]:
    """A migrated Postgres for this test only, so that it can be stopped."""
    directory = Path(tempfile.mkdtemp(prefix=THROWAWAY_PREFIX))
    async with embedded_postgres(directory, throwaway=True) as url:
        await migrate(url)
        yield url, Server(directory, server_account(), throwaway=True)


async def test_service_and_worker_survive_a_postgres_restart(own_server: tuple[str, Server]) -> None:
    url, server = own_server
    account = make_account()
    async with watched_simulated_twilio(account) as simulated_twilio:
        scene = Scene(url, simulated_twilio, account)
        async with (
            scene.run_service((*COMMAND, "serve", "--no-worker")) as web,
            scene.run_service((*COMMAND, "worker"), poll_s=1) as worker,
        ):
            await worker.wait_until_ready()
            await until_state(web, await scene.report_ended_call(web, MediaFile(HUMAN)), "judged")

            await anyio.to_thread.run_sync(server.stop)
            async with httpx2.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"{web.url}/ready")).status_code == 503
                assert (await client.get(f"{web.url}/health")).status_code == 200
            await anyio.to_thread.run_sync(server.ensure_running)

            async def takes_calls() -> bool:
                async with httpx2.AsyncClient(trust_env=False) as client:
                    return (await client.get(f"{web.url}/ready")).status_code == 200

            await until(takes_calls)
            after = await until_state(web, await scene.report_ended_call(web, MediaFile(HUMAN)), "judged")
            assert after["label"] == "human"
            assert (web.process.returncode, worker.process.returncode) == (None, None)
