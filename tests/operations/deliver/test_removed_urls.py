"""Events for URLs that were removed from AMD_DELIVERY_URL are given up after three days."""

from datetime import timedelta

import pytest
from sqlalchemy import func, update

from amd_service.calls import deliveries
from amd_service.calls.deliveries import RETRY_S
from amd_service.calls.tables import Delivery
from amd_service.database.pool import Database
from amd_service.domain import DeliveryState
from amd_service.operations.deliver.redrive import redrive
from amd_service.operations.deliver.removed_urls import give_up_unclaimed
from amd_service.telemetry import Metrics
from tests.support.deliveries import claim, deliver, recording, settle
from tests.support.outbox import URL, claim_deliveries, judge_call, rows, with_backends
from tests.support.sids import RECORDING
from tests.support.verdicts import HUMAN

pytestmark = pytest.mark.anyio

KEPT = "https://kept.example.com/"


@pytest.fixture
async def waiting(database: Database) -> None:
    """Two events of one call for each of two URLs."""
    async with with_backends(database, URL, KEPT) as opened:
        await judge_call(opened)
        await deliver(opened, recording("completed", RECORDING))
        (job,) = await claim(opened)
        assert await settle(opened, job, HUMAN)


async def due_since(database: Database, seconds: float, *, sequence: int = 0) -> None:
    """Change when deliveries became due: all of them, or the ones with this number in their call."""
    async with database.transaction() as session:
        at = func.now() - timedelta(seconds=seconds)
        changed = update(Delivery).where((Delivery.sequence == sequence) | (sequence == 0))
        await session.execute(changed.values(available_at=at))


async def states(database: Database) -> dict[str, list[str]]:
    found = await rows(database)
    return {url: [row.state for row in found if row.url == url] for url in (URL, KEPT)}


@pytest.mark.usefixtures("waiting")
async def test_events_for_a_removed_url_are_given_up_after_three_days(database: Database) -> None:
    metrics = Metrics()
    await due_since(database, RETRY_S - 60)
    assert await give_up_unclaimed(database, [KEPT], metrics) == 0
    await due_since(database, RETRY_S + 60)
    assert await give_up_unclaimed(database, [KEPT], metrics) == 2
    assert await states(database) == {URL: ["dead", "dead"], KEPT: ["queued", "queued"]}
    assert {row.last_error for row in await rows(database) if row.url == URL} == {
        "no worker has sent it for three days: AMD_DELIVERY_URL does not contain its URL"
    }
    assert metrics.registry.get_sample_value("amd_deliveries_total", {"outcome": "dead"}) == 2
    assert await redrive(database) == 2


@pytest.mark.usefixtures("waiting")
async def test_without_any_url_all_events_are_given_up(database: Database) -> None:
    await due_since(database, RETRY_S + 60)
    assert await give_up_unclaimed(database, [], Metrics()) == 4


@pytest.mark.usefixtures("waiting")
async def test_an_event_whose_last_worker_died_is_given_up_too(database: Database) -> None:
    (job,) = await claim_deliveries(database)
    await due_since(database, RETRY_S + 60)
    assert await give_up_unclaimed(database, [KEPT], Metrics()) == 2
    async with database.transaction() as session:
        assert not await deliveries.settle(session, job, 204)
    assert (await states(database))[URL] == [DeliveryState.DEAD] * 2


@pytest.mark.usefixtures("waiting")
async def test_an_event_waits_while_another_worker_retries_the_event_before_it(database: Database) -> None:
    await due_since(database, RETRY_S + 60)
    await due_since(database, -600, sequence=1)
    assert await give_up_unclaimed(database, [KEPT], Metrics()) == 0
