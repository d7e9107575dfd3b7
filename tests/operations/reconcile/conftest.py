"""Twilio with calls of which it told too little, and what asks it."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, update

from amd_service.calls.tables import CallLog, Sweep
from amd_service.database.database import Database
from amd_service.domain import AccountSid, CallSid
from amd_service.operations.reconcile import Reconciliation
from amd_service.settings import Account, Settings
from amd_service.simulator.twilio.call_store import StandInCall, StandInRecording, now
from amd_service.simulator.twilio.media_host import Answer
from amd_service.simulator.twilio.rest_api import RestRequest
from amd_service.simulator.twilio.server import StandIn
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import Rest
from tests.support.deliveries import ACCOUNT, CALL, FIRST
from tests.support.simulated_twilio import watched_stand_in

QUIET_S = 300.0
OTHER = AccountSid("AC" + "b" * 32)

Make = Callable[..., Reconciliation]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    accounts = [Account.model_validate({"account_sid": sid, "auth_tokens": ["token"]}) for sid in (ACCOUNT, OTHER)]
    async with watched_stand_in(*accounts) as running:
        yield running


@pytest.fixture
async def client(stand_in: StandIn) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client(settings(stand_in)) as client:
        yield client


def settings(stand_in: StandIn, **given: Any) -> Settings:
    known = {"twilio_api_url": stand_in.url, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "token"}
    return Settings(_env_file=None, **{"reconcile_after_s": QUIET_S, "reconcile_every_s": 1e-6, **known, **given})


@pytest.fixture
def make(database: Database, stand_in: StandIn, client: httpx2.AsyncClient) -> Make:
    def make(**given: Any) -> Reconciliation:
        configured = settings(stand_in, **given)
        return Reconciliation(
            database=database,
            rest=Rest(client, configured),
            settings=configured,
            metrics=given.get("metrics", Metrics()),
        )

    return make


@pytest.fixture(autouse=True)
async def swept_for_a_week(database: Database) -> None:
    """The accounts are no newcomers: what began before the first sweep is let be."""
    async with database.transaction() as session:
        for account_sid in (ACCOUNT, OTHER):
            session.add(Sweep(account_sid=account_sid, created_at=func.now() - timedelta(days=7)))


def call_at_twilio(
    stand_in: StandIn, *, sid: str = CALL, ending: str = "completed", ago_s: float = 600, **fields: Any
) -> StandInCall:
    """A call at Twilio that ended so long ago."""
    ended_at = now() - timedelta(seconds=ago_s)
    began = ended_at - timedelta(seconds=42)
    known: dict[str, Any] = {"created_at": began, "started_at": began, "ended_at": ended_at, "duration_s": 42} | fields
    return stand_in.rest.add(StandInCall(**{"account_sid": ACCOUNT, "sid": sid, "status": ending} | known))


def recorded(call: StandInCall, **fields: Any) -> StandInCall:
    made_at = call.started_at or now()
    known: dict[str, Any] = {"call_sid": call.sid, "sid": FIRST, "created_at": made_at}
    call.recordings.append(StandInRecording(**known | fields))
    return call


def answer_always(stand_in: StandIn, about: str, answer: Answer) -> None:
    """Whatever is asked with this in its path gets this answer."""

    def choose(request: RestRequest) -> tuple[str, ...]:
        stand_in.rest.first = [answer] if about in request.path else []
        return ()

    stand_in.rest.check = choose


async def age(database: Database, call_sid: CallSid = CALL, seconds: float = 600) -> None:
    """The call's row has been there for so long."""
    async with database.transaction() as session:
        created_at = func.now() - timedelta(seconds=seconds)
        await session.execute(update(CallLog).where(CallLog.call_sid == call_sid).values(created_at=created_at))


async def calls_known(database: Database) -> set[str]:
    async with database.transaction() as session:
        return set((await session.scalars(select(CallLog.call_sid))).all())


async def swept_until(database: Database) -> datetime | None:
    async with database.transaction() as session:
        return await session.scalar(select(Sweep.swept_until).where(Sweep.account_sid == ACCOUNT))
