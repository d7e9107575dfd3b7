"""Events are written in the transaction of the final state."""

import json

import pytest

from amd_service.calls import queue
from amd_service.database.pool import Database
from amd_service.domain import Failure, Job
from tests.support.deliveries import call_row, claim, deliver, recording, settle, status
from tests.support.outbox import URL, judge_call, rows, with_backends
from tests.support.sids import CALL, RECORDING
from tests.support.verdicts import HUMAN

pytestmark = pytest.mark.anyio
SECOND = "https://second.example.com/amd"


async def settle_and_fail(database: Database, job: Job) -> None:
    async with database.transaction() as session:
        assert await queue.settle(session, job, HUMAN, {})
        raise RuntimeError("broken")


async def test_a_verdict_makes_an_event_for_every_url(database: Database) -> None:
    async with with_backends(database, URL, SECOND) as opened:
        await judge_call(opened)
    written = await rows(database)
    assert [(row.url, row.sequence, row.type, row.state) for row in written] == [
        (URL, 1, "call.judged", "queued"),
        (SECOND, 1, "call.judged", "queued"),
    ]
    event = json.loads(written[0].payload)
    assert (event["type"], event["data"]["call_sid"], event["data"]["label"]) == ("call.judged", CALL, "human")
    assert (event["data"]["sequence"], (await call_row(database)).events) == (1, 1)


async def test_a_payload_contains_no_phone_number(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await deliver(opened, status("in-progress", from_number="+15550001111", to_number="+15550002222"))
        await judge_call(opened)
    (row,) = await rows(database)
    assert "+1555" not in row.payload


async def test_without_urls_no_event_is_written(database: Database) -> None:
    await judge_call(database)
    assert await rows(database) == []
    assert (await call_row(database)).events == 0


async def test_a_rolled_back_verdict_has_no_event(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await deliver(opened, recording("completed"))
        (job,) = await claim(opened)
        with pytest.raises(RuntimeError, match="broken"):
            await settle_and_fail(opened, job)
    assert await rows(database) == []


async def test_a_call_without_an_answer_makes_an_event_without_a_recording(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await deliver(opened, status("ringing"), status("no-answer"), status("no-answer"))
    assert [row.type for row in await rows(database)] == ["call.not_applicable"]


async def test_a_failed_analysis_makes_an_event(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await deliver(opened, recording("completed"))
        (job,) = await claim(opened)
        async with opened.transaction() as session:
            assert await queue.give_up(session, job, Failure.UNDECODABLE, "no audio")
    (row,) = await rows(database)
    assert (row.type, json.loads(row.payload)["data"]["reason"]) == ("call.failed", "undecodable")


async def test_a_status_after_the_verdict_makes_no_second_event(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await deliver(opened, status("in-progress"))
        await judge_call(opened)
        await deliver(opened, status("completed"))
    assert len(await rows(database)) == 1


async def test_a_changed_verdict_makes_the_next_event_of_the_call(database: Database) -> None:
    async with with_backends(database, URL) as opened:
        await judge_call(opened)
        # This recording started earlier, so its verdict replaces the first one.
        await deliver(opened, recording("completed", RECORDING))
        (job,) = await claim(opened)
        assert await settle(opened, job, HUMAN)
    assert [row.sequence for row in await rows(database)] == [1, 2]
