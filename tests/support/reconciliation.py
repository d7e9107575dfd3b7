"""A simulated Twilio with calls whose callbacks were lost, and a reconciliation that uses it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from amd_service.calls.tables import CallLog, Sweep
from amd_service.database.pool import Database
from amd_service.domain import CallSid
from amd_service.operations.reconcile import Reconciliation
from amd_service.settings import Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.simulator.twilio.resources import SimulatedCall, SimulatedRecording, now
from amd_service.simulator.twilio.rest_api import RestRequest
from tests.support.sids import ACCOUNT, CALL, RECORDING

QUIET_S = 300.0
Make = Callable[..., Reconciliation]


def settings(simulated_twilio: SimulatedTwilio, **given: Any) -> Settings:
    known = {"twilio_api_url": simulated_twilio.url, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "token"}
    return Settings(_env_file=None, **{"reconcile_after_s": QUIET_S, "reconcile_every_s": 1e-6, **known, **given})


def call_at_twilio(
    simulated_twilio: SimulatedTwilio, *, sid: str = CALL, ending: str = "completed", ago_s: float = 600, **fields: Any
) -> SimulatedCall:
    """Create a call at Twilio that ended `ago_s` seconds ago."""
    ended_at = now() - timedelta(seconds=ago_s)
    began = ended_at - timedelta(seconds=42)
    known: dict[str, Any] = {"created_at": began, "started_at": began, "ended_at": ended_at, "duration_s": 42} | fields
    return simulated_twilio.rest.add(SimulatedCall(**{"account_sid": ACCOUNT, "sid": sid, "status": ending} | known))


def recorded(call: SimulatedCall, **fields: Any) -> SimulatedCall:
    made_at = call.started_at or now()
    known: dict[str, Any] = {"call_sid": call.sid, "sid": RECORDING, "created_at": made_at}
    call.recordings.append(SimulatedRecording(**known | fields))
    return call


def answer_always(simulated_twilio: SimulatedTwilio, about: str, answer: ScriptedResponse) -> None:
    """Send this response to every request with `about` in its path."""

    def choose(request: RestRequest) -> tuple[str, ...]:
        simulated_twilio.rest.scripted = [answer] if about in request.path else []
        return ()

    simulated_twilio.rest.check = choose


async def age(database: Database, call_sid: CallSid = CALL, seconds: float = 600) -> None:
    """Set the creation time of the call's row to `seconds` seconds ago."""
    async with database.transaction() as session:
        created_at = func.now() - timedelta(seconds=seconds)
        await session.execute(update(CallLog).where(CallLog.call_sid == call_sid).values(created_at=created_at))


async def stored_call_sids(database: Database) -> set[str]:
    async with database.transaction() as session:
        return set((await session.scalars(select(CallLog.call_sid))).all())


async def swept_until(database: Database) -> datetime | None:
    async with database.transaction() as session:
        return await session.scalar(select(Sweep.swept_until).where(Sweep.account_sid == ACCOUNT))
