"""Call placers that use a simulated Twilio."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx2
from pydantic import SecretStr
from sqlalchemy import func, select

from amd_service.calls import call_requests
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import CallRequestRow
from amd_service.database.pool import Database
from amd_service.domain import AccountSid
from amd_service.operations.place_call import CallPlacer, Started
from amd_service.runtime import build_call_placer
from amd_service.settings import Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.telemetry import Metrics
from amd_service.twilio.call_request import CallRequest
from amd_service.twilio.rest import RestClient

AC = AccountSid("AC" + "1" * 32)
TOKEN = "a" * 32
REQUEST = CallRequest(to="+12125550100", from_number="+15005550006", url="https://example.com/twiml")


def make_settings(**changes: object) -> Settings:
    values: dict[str, object] = {
        "public_url": "https://amd.example.com",
        "twilio_account_sid": AC,
        "twilio_auth_token": [SecretStr(TOKEN)],
        "dial_prefixes": ["+1212", "+49"],
        **changes,
    }
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Phone:
    """A CallPlacer that uses a simulated Twilio."""

    call_placer: CallPlacer
    settings: Settings
    simulated_twilio: SimulatedTwilio
    database: Database
    client: httpx2.AsyncClient

    async def start(self, key: str | None = None, request: CallRequest = REQUEST) -> Started:
        return await self.call_placer.start(request, key)

    async def requests(self) -> list[CallRequestRow]:
        async with self.database.transaction() as session:
            return list(await session.scalars(select(CallRequestRow)))

    def another(self, **options: float) -> "Phone":
        """A second process of the same deployment."""
        return replace(self, call_placer=make_placer(self.database, self.client, self.settings, **options))

    def with_settings(self, **changes: object) -> "Phone":
        """A second process with different settings."""
        return make_phone(self.simulated_twilio, self.client, self.database, **changes)


def make_placer(database: Database, client: httpx2.AsyncClient, settings: Settings, **options: float) -> CallPlacer:
    return build_call_placer(
        settings, database, RestClient(client, settings), NumberPolicy.from_settings(settings), Metrics(), **options
    )


def make_phone(
    simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient, database: Database, **changes: object
) -> Phone:
    settings = make_settings(twilio_api_url=simulated_twilio.url, **changes)
    return Phone(make_placer(database, client, settings), settings, simulated_twilio, database, client)


@asynccontextmanager
async def reservation_lock_held(database_url: str) -> AsyncIterator[None]:
    """Hold the lock that a process takes before it counts the calls of the last minute."""
    other = Database(database_url)
    async with other.transaction() as session:
        await session.execute(select(func.pg_advisory_xact_lock(call_requests.RESERVATION_LOCK)))
        yield
    await other.dispose()
