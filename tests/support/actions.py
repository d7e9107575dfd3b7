"""Judged calls, and an ActionRunner for them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx2

from amd_service.database.pool import Database
from amd_service.domain import CallSid, Label, RecordingSid, StatusCallback
from amd_service.operations.act_on_verdict import ActionRunner
from amd_service.runtime import build_action_runner
from amd_service.settings import Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.resources import SimulatedCall
from amd_service.simulator.twilio.rest_api import RestRequest
from amd_service.telemetry import Metrics
from amd_service.twilio.rest import RestClient
from tests.support.deliveries import call_row, claim, deliver, recording, settle, status
from tests.support.sids import ACCOUNT, CALL, RECORDING, SECOND_RECORDING
from tests.support.verdicts import verdict

AGENT = "https://example.org/agent?key=secret"


def settings_for(twilio: SimulatedTwilio, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "twilio_api_url": twilio.url,
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": ["token"],
        "live": True,
        "on_voicemail": "hang_up",
        "on_human": AGENT,
    }
    return Settings(_env_file=None, **values | changes)


def make_runner(database: Database, client: httpx2.AsyncClient, settings: Settings, **options: Any) -> ActionRunner:
    options = {"retry_pauses_s": (0.0, 0.0), **options}
    return build_action_runner(settings, database, RestClient(client, settings), Metrics(), **options)


def call_at(twilio: SimulatedTwilio, status: str = "in-progress") -> SimulatedCall:
    return twilio.rest.add(SimulatedCall(account_sid=ACCOUNT, sid=CALL, status=status))


def answered(call_sid: CallSid) -> StatusCallback:
    return status("in-progress", call_sid=call_sid, timestamp=datetime.now(UTC))


async def judged(database: Database, settings: Settings, label: Label = Label.VOICEMAIL) -> None:
    await deliver(database, answered(CALL), recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(label), settings.actions)


async def two_answered_calls(
    database: Database, twilio: SimulatedTwilio, settings: Settings
) -> list[Callable[[], Awaitable[None]]]:
    """Create two answered calls. Each returned function stores the verdict `voicemail` for one of the calls."""

    async def judge(call: SimulatedCall, sid: RecordingSid) -> None:
        call_sid = CallSid(call.sid)
        await deliver(database, answered(call_sid), recording("completed", sid, call_sid=call_sid))
        (job,) = await claim(database)
        await settle(database, job, verdict(Label.VOICEMAIL), settings.actions)

    calls = [twilio.rest.add(SimulatedCall(account_sid=ACCOUNT, status="in-progress")) for _ in range(2)]
    return [partial(judge, call, sid) for call, sid in zip(calls, (RECORDING, SECOND_RECORDING), strict=True)]


async def run(runner: ActionRunner) -> None:
    await runner.start_due()
    await runner.wait_for_responses()


async def outcome(database: Database) -> tuple[str | None, str | None]:
    call = await call_row(database)
    return call.action_state, call.action_note


def arrivals(twilio: SimulatedTwilio) -> asyncio.Queue[float]:
    """Return a queue that gets the arrival time (`perf_counter`, seconds) of each further request to Twilio."""
    arrived: asyncio.Queue[float] = asyncio.Queue()

    def note(_request: RestRequest) -> tuple[str, ...]:
        arrived.put_nowait(time.perf_counter())
        return ()

    twilio.rest.check = note
    return arrived


def counted(runner: ActionRunner, kind: str, state: str) -> float | None:
    return runner.metrics.registry.get_sample_value(
        "amd_actions_total", {"kind": kind, "outcome": state, "campaign": ""}
    )
