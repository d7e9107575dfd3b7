"""Events survive bad and stopped backends, killed workers and a restart of Postgres, and arrive in order per call."""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio.to_thread
import pytest
from sqlalchemy import func, text, update
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from amd_service.calls.tables import Delivery
from amd_service.database.embedded.account import server_account
from amd_service.database.embedded.server import Server
from amd_service.database.embedded.sharing import THROWAWAY_PREFIX, embedded_postgres
from amd_service.database.pool import Database
from amd_service.database.schema import migrate
from amd_service.domain import CallSid
from amd_service.errors import DatabaseUnavailable
from amd_service.operations.requeue import requeue_call
from amd_service.simulator.service_process import COMMAND
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.resources import make_account
from tests.support.outbox import rows
from tests.support.scene import HUMAN, Scene, until_state
from tests.support.simulated_twilio import watched_simulated_twilio
from tests.support.waiting import until
from tests.support.webhook_receiver import SECRET, WebhookReceiver, serving, webhook_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

CALLS = 4


@pytest.fixture
async def own_server() -> AsyncIterator[tuple[str, Server]]:
    """A migrated Postgres for this test only, so that it can be stopped."""
    directory = Path(tempfile.mkdtemp(prefix=THROWAWAY_PREFIX))
    async with embedded_postgres(directory, throwaway=True) as url:
        await migrate(url)
        yield url, Server(directory, server_account(), throwaway=True)


class BadBackend:
    """Fails with 5xx, redirects, hangs, or accepts, as `mode` says. `hung`: set while a request hangs."""

    def __init__(self) -> None:
        self.mode = "hang"
        self.hung = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        match self.mode:
            case "hang":
                self.hung.set()
                await asyncio.Event().wait()
            case "redirect":
                return RedirectResponse(f"{request.url}/elsewhere")
            case "fail":
                return Response(status_code=503)
        return Response(status_code=204)


async def end_delays(database: Database) -> None:
    """Make every waiting retry due now."""
    async with database.transaction() as session:
        waiting = update(Delivery).where(Delivery.state == "queued")
        await session.execute(waiting.values(available_at=func.now()))


async def until_attempts(database: Database, url: str, attempts: int) -> None:
    """Wait until the first event of each call to `url` was tried `attempts` times, without its delays."""

    async def are_made() -> bool:
        await end_delays(database)
        tried = [row.attempts for row in await rows(database) if row.url == url and row.sequence == 1]
        return len(tried) == CALLS and min(tried) >= attempts

    await until(are_made)


async def test_no_event_is_lost_and_the_order_is_kept(own_server: tuple[str, Server]) -> None:
    url, server = own_server
    account, bad = make_account(), BadBackend()
    receiver = WebhookReceiver(answer=bad.answer)
    async with (
        watched_simulated_twilio(account) as simulated_twilio,
        webhook_receiver() as good,
        AsyncExitStack() as running,
    ):
        await running.enter_async_context(serving(receiver))
        scene = Scene(url, simulated_twilio, account)
        settings = {
            "delivery_url": f"{receiver.url},{good.url}",
            "delivery_secret": SECRET,
            "delivery_networks": "127.0.0.0/8",
            "delivery_timeout_s": 2,
            "job_lease_s": 3,
            "poll_s": 0.5,
        }
        database = Database(url)
        async with scene.run_service((*COMMAND, "serve", "--no-worker"), **settings) as web:
            async with scene.run_service((*COMMAND, "worker"), **settings) as doomed:
                await web.wait_until_alive()
                calls = [await scene.report_ended_call(web, MediaFile(HUMAN)) for _ in range(CALLS)]
                for call_sid in calls:
                    await until_state(web, call_sid, "judged")
                await bad.hung.wait()
                doomed.process.send_signal(signal.SIGKILL)
                await doomed.process.wait()
            async with scene.run_service((*COMMAND, "worker"), **settings):
                await until_attempts(database, receiver.url, 2)
                async with database.transaction() as session:
                    # As if another model had judged: an unchanged verdict makes no event.
                    await session.execute(text("update call_log set label = 'voicemail'"))
                for call_sid in calls:
                    await requeue_call(database, CallSid(call_sid))

                async def are_judged_again() -> bool:
                    return len(await rows(database)) == CALLS * 2 * 2

                await until(are_judged_again)
                for attempts, mode in ((4, "redirect"), (6, "fail")):
                    bad.mode = mode
                    await until_attempts(database, receiver.url, attempts)
                await running.aclose()
                await until_attempts(database, receiver.url, 9)
                errors = [row.last_error or "" for row in await rows(database) if row.url == receiver.url]
                assert any("ConnectError" in error for error in errors)
                assert receiver.accepted == []

                await anyio.to_thread.run_sync(server.stop)
                await anyio.to_thread.run_sync(server.ensure_running)
                bad.mode = "accept"
                await running.enter_async_context(serving(receiver))

                async def are_all_done() -> bool:
                    try:
                        await end_delays(database)
                        return all(row.state == "done" for row in await rows(database))
                    except DatabaseUnavailable:
                        return False

                await until(are_all_done)
        await database.dispose()
    for backend in (receiver, good):
        assert [backend.sequences(call_sid) for call_sid in calls] == [[1, 2]] * CALLS
