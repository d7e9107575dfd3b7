"""A running process with a worker: actions and periodic tasks."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, update
from structlog.testing import capture_logs

from amd_service.calls.actions import ACT_WITHIN_S
from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from amd_service.domain import Action, ActionKind, Label
from amd_service.errors import ConfigurationError
from amd_service.runtime import open_runtime
from amd_service.settings import Account, Settings
from amd_service.simulator.twilio.media_host import MediaFile
from amd_service.simulator.twilio.resources import SimulatedCall
from tests.support.deliveries import call_row, claim, deliver, recording, recording_row, settle, status
from tests.support.numbers import callbacks, deliver_status
from tests.support.sids import ACCOUNT, CALL, RECORDING
from tests.support.simulated_twilio import watched_simulated_twilio
from tests.support.verdicts import verdict
from tests.support.waiting import until
from tests.support.webhook_receiver import SECRET

pytestmark = pytest.mark.anyio


@contextmanager
def counted_claims() -> Iterator[list[str]]:
    """The statements of this process that claim due actions, until the context ends."""
    claims: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "SKIP LOCKED" in statement and "action_state" in statement:
            claims.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield claims
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_a_worker_runs_actions_and_retention(database: Database, database_url: str) -> None:
    async with watched_simulated_twilio(
        Account.model_validate({"account_sid": ACCOUNT, "auth_tokens": ["token"]})
    ) as twilio:
        call = twilio.rest.add(SimulatedCall(account_sid=ACCOUNT, sid=CALL, status="in-progress"))
        twilio.media.files[RECORDING] = MediaFile(b"audio")
        settings = Settings(
            _env_file=None,
            database_url=database_url,
            model="demo",
            twilio_api_url=twilio.url,
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=["token"],
            live=True,
            on_voicemail="hang_up",
            delete_recordings=True,
            phone_numbers="drop",
        )
        await deliver_status(database, "in-progress", SequenceNumber="2", Timestamp=format_datetime(datetime.now(UTC)))
        await deliver(database, recording("completed"))
        (job,) = await claim(database)
        await settle(database, job, verdict(Label.VOICEMAIL), settings.actions)

        async def all_is_done() -> bool:
            row, erased_at = await call_row(database), (await recording_row(database)).erased_at
            return row.action_state == "done" and erased_at is not None and row.to_number is None

        async with open_runtime(settings, with_worker=True):
            await until(all_is_done)
    assert (call.status, twilio.media.files) == ("completed", {})
    assert "+1500" not in repr([(kept.parameters, kept.facts) for kept in await callbacks(database)])


async def test_a_worker_without_actions_refuses_late_actions_only_at_its_interval(
    database: Database, database_url: str
) -> None:
    await deliver(database, status("in-progress", timestamp=datetime.now(UTC)), recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(Label.VOICEMAIL), {Label.VOICEMAIL: Action(ActionKind.HANG_UP)})
    async with database.transaction() as session:
        await session.execute(update(CallLog).values(action_at=func.now() - timedelta(seconds=ACT_WITHIN_S + 1)))

    async def is_refused() -> bool:
        return (await call_row(database)).action_state == "refused"

    with counted_claims() as claims:
        async with open_runtime(Settings(_env_file=None, database_url=database_url, model="demo"), with_worker=True):
            await until(is_refused)
    # There was one pass: the first claim refused the action, the second claim found no action.
    assert len(claims) == 2


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost", "[fe80::1]", "169.254.169.254"])
async def test_a_worker_does_not_start_with_a_backend_at_a_private_address(host: str) -> None:
    settings = Settings(_env_file=None, delivery_url=f"http://{host}/", delivery_secret=SECRET)
    with pytest.raises(ConfigurationError, match=r"AMD_DELIVERY_URL: .* add its network to AMD_DELIVERY_NETWORKS"):
        async with open_runtime(settings, with_worker=True):
            pass


async def test_a_worker_starts_with_a_backend_whose_network_is_allowed(database_url: str) -> None:
    settings = Settings(
        _env_file=None,
        database_url=database_url,
        model="demo",
        delivery_url="http://127.0.0.1:9/",
        delivery_secret=SECRET,
        delivery_networks="127.0.0.0/8",
    )
    async with open_runtime(settings, with_worker=True, with_model=False) as runtime:
        assert runtime.worker is not None


async def test_a_worker_starts_with_a_backend_that_cannot_be_resolved_now(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    settings = Settings(
        _env_file=None,
        database_url=database_url,
        delivery_url="https://backend.example.com/",
        delivery_secret=SECRET,
    )
    with capture_logs() as logs:
        async with open_runtime(settings, with_worker=True, with_model=False):
            pass
    (warned,) = [entry for entry in logs if entry["event"] == "backend cannot be resolved"]
    assert warned["error"].startswith("backend.example.com cannot be resolved")
