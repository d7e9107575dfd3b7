"""Diallers over a stand-in for Twilio."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from amd_service.calls import call_requests
from amd_service.calls.tables import CallRequest
from amd_service.database.database import Database
from amd_service.domain import AccountSid
from amd_service.operations.place_call import Dialler, Started
from amd_service.settings import Account, Settings
from amd_service.simulator.twilio.server import StandIn
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import CallOrder, Rest
from tests.support.simulated_twilio import watched_stand_in

AC = AccountSid("AC" + "1" * 32)
TOKEN = "a" * 32
ORDER = CallOrder(to="+12125550100", from_number="+15005550006", url="https://example.com/twiml")


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
    """A Dialler over a stand-in for Twilio."""

    dialler: Dialler
    settings: Settings
    stand_in: StandIn
    database: Database
    client: httpx2.AsyncClient

    async def start(self, key: str | None = None, order: CallOrder = ORDER) -> Started:
        return await self.dialler.start(order, self.settings.accounts[AC], key)

    async def requests(self) -> list[CallRequest]:
        async with self.database.transaction() as session:
            return list(await session.scalars(select(CallRequest)))

    def another(self) -> "Phone":
        """Another process of the same deployment."""
        return replace(self, dialler=make_dialler(self.database, self.client, self.settings))


def make_dialler(database: Database, client: httpx2.AsyncClient, settings: Settings) -> Dialler:
    return Dialler(database, Rest(client, settings), settings, Metrics())


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with watched_stand_in(Account.model_validate({"account_sid": AC, "auth_tokens": [TOKEN]})) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client(make_settings(twilio_api_url="http://127.0.0.1:1")) as client:
        yield client


@pytest.fixture
def phone(stand_in: StandIn, client: httpx2.AsyncClient, database: Database) -> Phone:
    return make_phone(stand_in, client, database)


def make_phone(stand_in: StandIn, client: httpx2.AsyncClient, database: Database, **changes: object) -> Phone:
    settings = make_settings(twilio_api_url=stand_in.url, **changes)
    return Phone(make_dialler(database, client, settings), settings, stand_in, database, client)


@asynccontextmanager
async def taking_the_turn(database_url: str) -> AsyncIterator[None]:
    """Somebody else is counting the calls of the last minute, and does not come to an end."""
    other = Database(database_url)
    async with other.transaction() as session:
        await session.execute(select(func.pg_advisory_xact_lock(call_requests._RESERVATION_LOCK)))
        yield
    await other.dispose()
