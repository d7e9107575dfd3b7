"""`amd-service deliveries`."""

import asyncio
import json
from datetime import datetime, timedelta

import pytest

from amd_service.calls import deliveries
from amd_service.cli.delivery_commands import REMOVED
from amd_service.database.pool import Database
from tests.support.command_line import CommandLine
from tests.support.outbox import URL, claim_deliveries, judge_call, with_backends
from tests.support.sids import CALL
from tests.support.webhook_receiver import SECRET


async def make_dead_delivery(database_url: str) -> None:
    database = Database(database_url)
    async with with_backends(database, URL) as opened:
        await judge_call(opened)
    (job,) = await claim_deliveries(database)
    async with database.transaction() as session:
        await deliveries.give_up(session, job, error="the backend answered 410 Gone", status=410)
    await database.dispose()


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], database_url: str, emptied: None
) -> CommandLine:
    monkeypatch.setenv("AMD_DATABASE_URL", database_url)
    return CommandLine(monkeypatch, capfd)


def test_dead_deliveries_are_listed_with_their_reason_and_sent_again(command: CommandLine, database_url: str) -> None:
    asyncio.run(make_dead_delivery(database_url))
    (row,) = [
        json.loads(line) for line in command.run("deliveries", "list", "--state", "dead", "--json").out.splitlines()
    ]
    assert (row["event"], row["url"], row["error"]) == (f"evt_{CALL}_1", URL, "the backend answered 410 Gone")
    assert (type(row["id"]), row["attempts"], row["next_try"]) == (int, 1, None)
    assert datetime.fromisoformat(row["written"]).utcoffset() == timedelta(0)
    assert "evt_" in command.run("deliveries", "list", "--call", CALL).out
    assert command.run("deliveries", "redrive", "--call", CALL).out == "1 dead delivery queued again\n"


def test_a_queued_delivery_is_no_dead_delivery_and_is_listed_with_its_next_try(
    command: CommandLine, database_url: str
) -> None:
    asyncio.run(queue_delivery(database_url))
    ended = command.run("deliveries", "list", "--state", "dead")
    assert (ended.out, ended.err) == ("", "no such deliveries: without --state and --call, the command lists all\n")
    assert command.run("deliveries", "redrive", "--all").out.startswith("no dead deliveries to send again.")
    (row,) = [json.loads(line) for line in command.run("deliveries", "list", "--json").out.splitlines()]
    assert row["next_try"] == row["written"]


def test_unknown_numbers_and_calls_are_named(command: CommandLine, database_url: str) -> None:
    asyncio.run(make_dead_delivery(database_url))
    known = json.loads(command.run("deliveries", "list", "--json").out)["id"]
    ended = command.run("deliveries", "redrive", "--id", str(known), "--id", "8001", "--id", "8002")
    assert (ended.code, ended.err) == (
        2,
        "amd-service: no delivery has the number 8001, 8002: `amd-service deliveries list` shows the deliveries\n",
    )
    ended = command.run("deliveries", "redrive", "--call", "CA0")
    assert (ended.code, ended.err[:44]) == (2, "amd-service: the call CA0 has no delivery: `")
    assert command.run("deliveries", "redrive", "--id", str(known)).out == "1 dead delivery queued again\n"


async def queue_delivery(database_url: str) -> None:
    database = Database(database_url)
    async with with_backends(database, URL) as opened:
        await judge_call(opened)
    await database.dispose()


@pytest.mark.parametrize(("urls", "error"), [("https://other.example.com/", REMOVED), (URL, "")])
def test_an_event_that_waits_for_a_removed_url_is_marked(
    command: CommandLine, database_url: str, monkeypatch: pytest.MonkeyPatch, urls: str, error: str
) -> None:
    asyncio.run(queue_delivery(database_url))
    monkeypatch.setenv("AMD_DELIVERY_URL", urls)
    monkeypatch.setenv("AMD_DELIVERY_SECRET", SECRET)
    (row,) = [json.loads(line) for line in command.run("deliveries", "list", "--json").out.splitlines()]
    assert (row["state"], row["error"]) == ("queued", error)


@pytest.mark.parametrize("arguments", [(), ("--all", "--call", CALL), ("--all", "--id", "1")])
def test_redrive_needs_exactly_one_choice(command: CommandLine, arguments: tuple[str, ...]) -> None:
    ended = command.run("deliveries", "redrive", *arguments)
    assert ended.code == 2
    assert "choose one of" in ended.err
