"""A simulated Twilio whose callbacks were lost, and reconciliation that uses it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import func

from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import Sweep
from amd_service.database.pool import Database
from amd_service.operations.reconcile import Reconciliation
from amd_service.runtime import build_reconciliation
from amd_service.settings import Account
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient
from tests.support.reconciliation import Make, settings
from tests.support.sids import ACCOUNT, OTHER_ACCOUNT
from tests.support.simulated_twilio import watched_simulated_twilio


@pytest.fixture
async def simulated_twilio() -> AsyncIterator[SimulatedTwilio]:
    accounts = [
        Account.model_validate({"account_sid": sid, "auth_tokens": ["token"]}) for sid in (ACCOUNT, OTHER_ACCOUNT)
    ]
    async with watched_simulated_twilio(*accounts) as running:
        yield running


@pytest.fixture
async def client(simulated_twilio: SimulatedTwilio) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client(settings(simulated_twilio)) as client:
        yield client


@pytest.fixture
def make(database: Database, simulated_twilio: SimulatedTwilio, client: httpx2.AsyncClient) -> Make:
    def make(**given: Any) -> Reconciliation:
        configured = settings(simulated_twilio, **given)
        rest = RestClient(client, configured)
        return build_reconciliation(
            configured, database, rest, NumberPolicy.from_settings(configured), given.get("metrics", Metrics())
        )

    return make


@pytest.fixture(autouse=True)
async def swept_for_a_week(database: Database) -> None:
    """The first sweep of each account was a week ago. Sweeps skip calls that began before the first sweep."""
    async with database.transaction() as session:
        for account_sid in (ACCOUNT, OTHER_ACCOUNT):
            session.add(Sweep(account_sid=account_sid, created_at=func.now() - timedelta(days=7)))
