"""A worker delivers events in order, retries them, and gives them up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, select, update
from starlette.requests import Request
from starlette.responses import Response

from amd_service.calls.tables import Delivery
from amd_service.database.pool import Database
from amd_service.domain import DeliveryJob
from amd_service.operations.deliver.sender import open_sender
from amd_service.runtime.workers import build_delivery_worker, run_deliveries
from amd_service.settings import Settings, load_settings
from amd_service.telemetry import Metrics
from amd_service.worker.delivering import LONGEST_DELAY_S, delay_s
from amd_service.worker.queue_loop import Worker
from tests.support.deliveries import claim, deliver, recording, settle
from tests.support.outbox import judge_call, make_due, rows, with_backends
from tests.support.sids import CALL, RECORDING
from tests.support.verdicts import HUMAN
from tests.support.waiting import until
from tests.support.webhook_receiver import SECRET, Answer, webhook_receiver

pytestmark = pytest.mark.anyio


TWO_CALLS = (("CA" + "1" * 32, "RE" + "1" * 32), ("CA" + "2" * 32, "RE" + "2" * 32))


def settings(*urls: str) -> Settings:
    return load_settings(
        delivery_url=list(urls), delivery_secret=SECRET, delivery_networks="127.0.0.0/8", delivery_timeout_s=5
    )


@asynccontextmanager
async def delivering(database: Database, url: str, metrics: Metrics) -> AsyncIterator[Worker[DeliveryJob]]:
    async with open_sender(settings(url)) as sender:
        yield build_delivery_worker(settings(url), database, sender, metrics, url=url)


def answering(*statuses: int) -> Answer:
    """Answer with these statuses, and then with 204."""
    left = list(statuses)

    async def answer(_request: Request) -> Response:
        return Response(status_code=left.pop(0) if left else 204)

    return answer


async def two_events_of_a_call(database: Database, url: str) -> None:
    async with with_backends(database, url) as opened:
        await judge_call(opened)
        await deliver(opened, recording("completed", RECORDING))
        (job,) = await claim(opened)
        assert await settle(opened, job, HUMAN)


def counted(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("amd_deliveries_total", {"outcome": outcome}) or 0.0


async def test_the_events_of_a_call_arrive_in_order(database: Database) -> None:
    metrics = Metrics()
    async with webhook_receiver() as receiver, delivering(database, receiver.url, metrics) as worker:
        await two_events_of_a_call(database, receiver.url)
        assert await worker.drain() == 2
    assert receiver.sequences(CALL) == [1, 2]
    assert [(row.state, row.last_status) for row in await rows(database)] == [("done", 204), ("done", 204)]
    assert counted(metrics, "delivered") == 2


async def test_a_failed_event_is_retried_before_the_next_event_of_the_call(database: Database) -> None:
    metrics = Metrics()
    async with webhook_receiver(answering(503)) as receiver, delivering(database, receiver.url, metrics) as worker:
        await two_events_of_a_call(database, receiver.url)
        assert await worker.drain() == 1
        first, second = await rows(database)
        assert (first.state, first.last_status, first.last_error) == ("queued", 503, "the backend answered 503")
        assert second.attempts == 0
        await make_due(database)
        assert await worker.drain() == 2
    assert receiver.sequences(CALL) == [1, 2]
    assert (counted(metrics, "failed"), counted(metrics, "delivered")) == (1, 2)


async def test_410_gives_an_event_up_with_the_reason(database: Database) -> None:
    metrics = Metrics()
    async with webhook_receiver(answering(410)) as receiver, delivering(database, receiver.url, metrics) as worker:
        await two_events_of_a_call(database, receiver.url)
        await worker.drain()
    first, second = await rows(database)
    assert (first.state, first.last_status) == ("dead", 410)
    assert "410 Gone" in (first.last_error or "")
    assert second.state == "done"
    assert counted(metrics, "dead") == 1


async def test_an_event_is_given_up_after_three_days(database: Database) -> None:
    async with webhook_receiver(answering(500)) as receiver, delivering(database, receiver.url, Metrics()) as worker:
        async with with_backends(database, receiver.url) as opened:
            await judge_call(opened)
        async with database.transaction() as session:
            await session.execute(update(Delivery).values(retry_until=func.now()))
        await worker.drain()
    (row,) = await rows(database)
    assert row.state == "dead"
    assert row.last_error == "no success in three days, at last: the backend answered 500"


async def test_retry_after_delays_the_next_attempt(database: Database) -> None:
    async def answer(_request: Request) -> Response:
        return Response(status_code=429, headers={"retry-after": "1800"})

    async with webhook_receiver(answer) as receiver, delivering(database, receiver.url, Metrics()) as worker:
        async with with_backends(database, receiver.url) as opened:
            await judge_call(opened)
        await worker.drain()
    async with database.transaction() as session:
        wait_s = await session.scalar(select(func.extract("epoch", Delivery.available_at - func.now())))
    assert float(wait_s or 0) > 1700


async def test_a_backend_that_hangs_does_not_delay_another_backend(database: Database) -> None:
    hanging = asyncio.Event()

    async def hang(_request: Request) -> Response:
        await hanging.wait()
        return Response(status_code=204)

    async with (
        webhook_receiver(hang) as slow,
        webhook_receiver() as fast,
        run_deliveries(settings(slow.url, fast.url), database, Metrics()),
        with_backends(database, slow.url, fast.url) as opened,
    ):
        for call_sid, recording_sid in TWO_CALLS:
            await judge_call(opened, call_sid, recording_sid)
        await until(lambda: len(fast.accepted) == 2)
        assert slow.accepted == []
        hanging.set()
        await until(lambda: len(slow.accepted) == 2)


async def test_a_shutdown_releases_an_open_request_without_counting_it(database: Database) -> None:
    begun = asyncio.Event()

    async def hang(_request: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        return Response()

    async with webhook_receiver(hang) as receiver:
        async with (
            delivering(database, receiver.url, Metrics()) as worker,
            with_backends(database, receiver.url) as opened,
        ):
            running = asyncio.create_task(worker.run(finish_s=0.05, release_s=5))
            await judge_call(opened)
            await begun.wait()
            worker.stop()
            await running
        (row,) = await rows(database)
    assert (row.state, row.attempts, row.locked_by) == ("queued", 0, None)


def test_the_delay_doubles_up_to_an_hour() -> None:
    for attempts, longest in ((1, 5.0), (2, 10.0), (10, 2560.0), (11, LONGEST_DELAY_S), (500, LONGEST_DELAY_S)):
        assert 0.75 * longest <= delay_s(attempts) <= longest
