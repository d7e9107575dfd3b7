"""Claims, order, retries and ends of deliveries."""

from datetime import timedelta

import pytest
from sqlalchemy import func, update

from amd_service.calls import deliveries, queue_length
from amd_service.calls.deliveries import RETRY_S
from amd_service.calls.tables import Delivery
from amd_service.database.pool import Database
from amd_service.domain import DeliveryState
from tests.support.deliveries import claim, deliver, recording, settle
from tests.support.outbox import URL, claim_deliveries, judge_call, make_due, rows, with_backends
from tests.support.sids import RECORDING
from tests.support.verdicts import HUMAN

pytestmark = pytest.mark.anyio


async def two_events_of_a_call(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await judge_call(opened)
        await deliver(opened, recording("completed", RECORDING))
        (job,) = await claim(opened)
        assert await settle(opened, job, HUMAN)


async def test_the_second_event_of_a_call_waits_for_the_first(database: Database) -> None:
    await two_events_of_a_call(database)
    (first,) = await claim_deliveries(database)
    assert (first.sequence, first.attempts) == (1, 1)
    assert await claim_deliveries(database) == []
    async with database.transaction() as session:
        assert await deliveries.settle(session, first, 204)
    (second,) = await claim_deliveries(database)
    assert second.sequence == 2


async def test_the_second_event_waits_while_the_first_is_retried(database: Database) -> None:
    await two_events_of_a_call(database)
    (first,) = await claim_deliveries(database)
    async with database.transaction() as session:
        assert await deliveries.retry_later(session, first, delay_s=3600, error="HTTP 503", status=503)
    assert await claim_deliveries(database) == []
    async with database.transaction() as session:
        due_s = await deliveries.seconds_until_due(session, URL)
    assert due_s is not None
    assert due_s > 3000


async def test_events_of_different_calls_do_not_wait_for_each_other(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await judge_call(opened, "CA" + "1" * 32, "RE" + "1" * 32)
        await judge_call(opened, "CA" + "2" * 32, "RE" + "2" * 32)
    assert len(await claim_deliveries(database)) == 2


async def test_a_dead_event_does_not_block_the_next_one(database: Database) -> None:
    await two_events_of_a_call(database)
    (first,) = await claim_deliveries(database)
    async with database.transaction() as session:
        assert await deliveries.give_up(session, first, error="HTTP 410", status=410)
    assert [job.sequence for job in await claim_deliveries(database)] == [2]


async def test_a_claim_takes_only_deliveries_to_its_url(database: Database) -> None:
    await two_events_of_a_call(database)
    assert await claim_deliveries(database, "https://other.example.com/") == []


async def test_a_worker_that_lost_its_lease_writes_nothing(database: Database) -> None:
    await two_events_of_a_call(database)
    (lost,) = await claim_deliveries(database)
    await make_due(database)
    (again,) = await claim_deliveries(database)
    async with database.transaction() as session:
        assert not await deliveries.settle(session, lost, 200)
        assert await deliveries.heartbeat(session, jobs=[lost, again], lease_s=60) == {again}
    assert [row.state for row in await rows(database)] == [DeliveryState.RUNNING, DeliveryState.QUEUED]


async def test_a_released_attempt_is_not_counted(database: Database) -> None:
    await two_events_of_a_call(database)
    (job,) = await claim_deliveries(database)
    async with database.transaction() as session:
        assert await deliveries.release(session, job)
    (again,) = await claim_deliveries(database)
    assert (again.id, again.attempts) == (job.id, 1)


async def test_the_time_for_retries_begins_with_the_first_request(database: Database) -> None:
    await two_events_of_a_call(database)
    (job,) = await claim_deliveries(database)
    assert job.left_s == pytest.approx(RETRY_S)
    before = (await rows(database))[0].retry_until
    await make_due(database)
    await claim_deliveries(database)
    assert (await rows(database))[0].retry_until == before


async def test_redriven_events_are_due_with_new_time_for_retries(database: Database) -> None:
    await two_events_of_a_call(database)
    (job,) = await claim_deliveries(database)
    async with database.transaction() as session:
        assert await deliveries.give_up(session, job, error="HTTP 500", status=500)
    async with database.transaction() as session:
        assert await deliveries.redrive(session, call_sid=job.call_sid, delivery_ids=None, limit=10) == 1
        assert await deliveries.redrive(session, call_sid=None, delivery_ids=None, limit=10) == 0
    (again,) = await claim_deliveries(database)
    assert (again.id, again.attempts) == (job.id, 1)
    assert again.left_s == pytest.approx(RETRY_S)


async def test_only_old_finished_deliveries_are_deleted(database: Database) -> None:
    await two_events_of_a_call(database)
    (job,) = await claim_deliveries(database)
    async with database.transaction() as session:
        assert await deliveries.settle(session, job, 200)
    async with database.transaction() as session:
        assert await deliveries.delete_finished(session, days=1, limit=10) == 0
        assert await deliveries.delete_finished(session, days=-1, limit=10) == 1
    assert [row.state for row in await rows(database)] == [DeliveryState.QUEUED]


async def test_the_depth_counts_states_and_the_age_of_the_oldest_undelivered_event(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        for digit in "1234":
            await judge_call(opened, "CA" + digit * 32, "RE" + digit * 32)
    dead, retried, _, delivered = await claim_deliveries(database)
    async with database.transaction() as session:
        await session.execute(
            update(Delivery).values(created_at=func.now() - timedelta(hours=9)).where(Delivery.id == dead.id)
        )
        await session.execute(
            update(Delivery).values(created_at=func.now() - timedelta(hours=1)).where(Delivery.id == retried.id)
        )
        assert await deliveries.give_up(session, dead, error="410", status=410)
        assert await deliveries.retry_later(session, retried, delay_s=3600, error="503", status=503)
        assert await deliveries.settle(session, delivered, 204)
    async with database.transaction() as session:
        depth = await queue_length.delivery_depth(session)
    assert depth.by_state == {"queued": 1, "running": 1, "dead": 1}
    assert 3600 <= depth.oldest_s < 3700


async def test_without_deliveries_the_depth_is_zero(database: Database) -> None:
    async with database.transaction() as session:
        depth = await queue_length.delivery_depth(session)
    assert (depth.by_state, depth.oldest_s) == ({"queued": 0, "running": 0, "dead": 0}, 0.0)
