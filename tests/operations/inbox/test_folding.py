"""Folding the callbacks of the inbox into the rows of their calls and recordings."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from amd_service.calls import inbox
from amd_service.calls.tables import Callback, InboxRow
from amd_service.database.pool import Database, Timeouts
from amd_service.domain import CallSid, RecordingSid
from amd_service.operations.fold_callbacks import Folder
from amd_service.runtime.workers import run_folder
from amd_service.telemetry import Metrics
from tests.support.app import make_settings
from tests.support.deliveries import amd, call_row, deliver, recording, recording_row, snapshot, status
from tests.support.inbox import depth, fold_all, put, until_folded, waiting
from tests.support.intake import ANSWERED, COMPLETED, INITIATED, RECORDED, RINGING
from tests.support.locks import holding
from tests.support.postgres import empty
from tests.support.sids import CALL, OTHER_ACCOUNT

pytestmark = pytest.mark.anyio

OTHER_CALL = CallSid("CA" + "8" * 32)
OTHER_RECORDING = RecordingSid("RE" + "8" * 32)
WHOLE = (INITIATED, RINGING, ANSWERED, COMPLETED, recording("in-progress"), RECORDED)


def of_calls(count: int) -> list[Any]:
    """A status callback and a recording of each of `count` calls."""
    sids = [(CallSid(f"CA{number:032x}"), RecordingSid(f"RE{number:032x}")) for number in range(count)]
    return [
        event
        for call_sid, recording_sid in sids
        for event in (
            status("completed", call_sid=call_sid),
            recording("completed", recording_sid, call_sid=call_sid),
        )
    ]


async def test_a_folded_callback_leaves_the_inbox_and_is_in_the_rows(database: Database) -> None:
    await put(database, *WHOLE)
    assert len(await waiting(database)) == len(WHOLE)
    assert await fold_all(database) == len(WHOLE)
    assert await waiting(database) == []
    assert ((await call_row(database)).call_status, (await recording_row(database)).state) == ("completed", "queued")


async def test_a_row_is_as_old_as_the_first_callback_of_its_call(database: Database) -> None:
    await put(database, RINGING)
    [first] = await waiting(database)
    await put(database, COMPLETED)
    await fold_all(database)
    assert (await call_row(database)).created_at == first.received_at


async def test_callbacks_of_many_calls_are_folded_as_if_they_had_been_folded_one_by_one(database: Database) -> None:
    await put(database, *of_calls(60))
    assert await fold_all(database) == 120
    together = await snapshot(database)
    await empty(database)
    await deliver(database, *of_calls(60))
    assert together == await snapshot(database)


async def test_folding_a_callback_twice_changes_nothing(database: Database) -> None:
    """An older version folds a callback in its webhook and knows no inbox."""
    await deliver(database, *WHOLE)
    before = await snapshot(database)
    async with database.transaction() as session:
        await session.execute(
            text(
                "insert into inbox (callback_id, call_sid, account_sid, recording_sid)"
                " select id, call_sid, account_sid, recording_sid from callback"
            )
        )
    assert await fold_all(database) == len(WHOLE)
    assert await snapshot(database) == before


async def test_a_callback_that_is_folded_at_once_takes_along_the_callbacks_in_the_inbox(database: Database) -> None:
    """Such as a response of Twilio's API, or a callback that an older version receives."""
    await put(database, INITIATED, COMPLETED)
    await deliver(database, RINGING)
    assert (await call_row(database)).call_status == "completed"
    assert await fold_all(database) == 2
    assert (await call_row(database)).call_status == "completed"


async def test_several_processes_fold_at_once(database: Database) -> None:
    events = of_calls(30)
    await put(database, *events[::2], *WHOLE)

    async def fold_until_empty() -> int:
        folded, folder = 0, Folder(database, Metrics())
        while await waiting(database):
            folded += await folder.fold_waiting()
        return folded

    rest = asyncio.create_task(put(database, *events[1::2]))
    folded = await asyncio.gather(*(fold_until_empty() for _ in range(3)))
    await rest
    assert sum(folded) + await fold_all(database) == len(events) + len(WHOLE)
    at_once = await snapshot(database)
    await empty(database)
    await deliver(database, *events, *WHOLE)
    assert at_once == await snapshot(database)


async def test_a_callback_of_another_account_changes_nothing_and_leaves_the_inbox(database: Database) -> None:
    await put(database, RINGING, status("completed", account_sid=OTHER_ACCOUNT))
    await put(database, recording("completed", account_sid=OTHER_ACCOUNT))
    assert await fold_all(database) == 3
    assert (await call_row(database)).call_status == "ringing"
    assert (await snapshot(database))["recording"] == []


async def test_a_recording_of_another_call_is_ignored_and_leaves_the_inbox(database: Database) -> None:
    await put(database, RECORDED, recording("completed", call_sid=OTHER_CALL), COMPLETED)
    assert await fold_all(database) == 3
    assert (await recording_row(database)).call_sid == CALL
    assert (await call_row(database, OTHER_CALL)).analysis_state == "waiting"


async def test_an_unreadable_callback_stays_visible_and_the_others_are_folded(database: Database) -> None:
    metrics = Metrics()
    await put(database, RINGING, COMPLETED, status("in-progress", call_sid=OTHER_CALL))
    [_, bad, _] = await waiting(database)
    async with database.transaction() as session:
        values = {"facts": {"call_status": {"of": "a later version"}}}
        await session.execute(update(Callback).where(Callback.id == bad.callback_id).values(values))
    assert await Folder(database, metrics).fold_waiting() == 3
    assert (await call_row(database)).call_status == "ringing"
    assert (await call_row(database, OTHER_CALL)).call_status == "in-progress"
    [kept] = await waiting(database)
    assert (kept.callback_id, kept.attempts) == (bad.callback_id, 1)
    # The library repeats the value, which can be personal.
    wanted = "account_sid: Field required; call_sid: Field required; call_status: Input should be a valid string"
    assert kept.error == wanted
    assert await depth(database) == {"waiting": 0, "failed": 1}
    assert metrics.registry.get_sample_value("amd_loop_errors_total", {"loop": "folding"}) == 1


async def test_a_call_that_cannot_be_folded_delays_no_other_call_and_is_tried_again(database: Database) -> None:
    refused = f"check (call_sid <> '{CALL}' or call_status is distinct from 'completed')"
    metrics = Metrics()
    async with database.transaction() as session:
        await session.execute(text(f"alter table call_log add constraint bad {refused}"))
    try:
        await put(database, COMPLETED, *of_calls(3))
        assert await Folder(database, metrics).fold_waiting() == 6
        [kept] = await waiting(database)
        assert (kept.call_sid, kept.attempts) == (CALL, 1)
        # Postgres repeats the whole row in its message, with the phone numbers.
        assert kept.error == "CheckViolationError, sqlstate 23514, table_name call_log, constraint_name bad"
        assert metrics.registry.get_sample_value("amd_loop_errors_total", {"loop": "folding"}) == 1
        assert await fold_all(database) == 0
    finally:
        async with database.transaction() as session:
            await session.execute(text("alter table call_log drop constraint bad"))
    async with database.transaction() as session:
        await session.execute(update(InboxRow).values(available_at=text("now()")))
    assert await fold_all(database) == 1
    assert (await call_row(database)).call_status == "completed"


@pytest.mark.parametrize(
    "statement",
    [
        f"select 1 from call_log where call_sid = '{CALL}' for update",
        f"insert into call_log (call_sid, account_sid, analysis_state) values ('{OTHER_CALL}', 'AC', 'waiting')",
        "select 1 from recording for update",
    ],
)
async def test_a_locked_call_delays_no_other_call(database: Database, statement: str) -> None:
    impatient = Database(database.url, timeouts=Timeouts(lock_s=0.2))
    await deliver(database, RINGING, recording("in-progress"))
    locked = {
        "for update": [COMPLETED] if "call_log" in statement else [RECORDED],
        "insert": [status("ringing", call_sid=OTHER_CALL)],
    }["insert" if "insert" in statement else "for update"]
    await put(database, *locked, *of_calls(3))
    async with holding(database.url, statement):
        assert await fold_all(impatient) == 6
        assert len(await waiting(database)) == 1
    await impatient.dispose()
    await until_folded(database)


async def test_many_callbacks_of_a_locked_call_delay_no_later_callback(database: Database) -> None:
    await deliver(database, RINGING)
    await put(database, *(amd("human", milliseconds) for milliseconds in range(45)), *of_calls(1))
    async with holding(database.url, "select 1 from call_log for update"):
        assert await fold_all(database) == 2
        assert len(await waiting(database)) == 45
    await until_folded(database)
    assert (await call_row(database)).twilio_amd_ms == 44


async def test_locked_calls_with_new_recordings_stop_no_other_call(database: Database) -> None:
    """The row of a new recording needs its call, so its insert waits for the lock that the claim skips."""
    locked = of_calls(8)
    await deliver(database, *locked[::2])
    await put(database, *locked[1::2], *of_calls(10)[16:])
    async with holding(database.url, "select 1 from call_log for update"):
        assert sum([await fold_all(database) for _ in range(3)]) == 4
        assert {row.call_sid for row in await waiting(database)} == {event.call_sid for event in locked}
    await until_folded(database)


async def test_a_callback_that_failed_a_thousand_times_is_tried_again_within_minutes(database: Database) -> None:
    await put(database, RINGING)
    async with database.transaction() as session:
        await session.execute(update(InboxRow).values(attempts=2000))
        await inbox.put_back(session, await inbox.claim(session, 1), "still bad")
        assert await session.scalar(select(InboxRow.available_at - func.now())) == timedelta(minutes=10)


async def test_a_callback_that_cannot_be_folded_does_not_count_as_the_oldest_that_waits(database: Database) -> None:
    await put(database, RINGING)
    async with database.transaction() as session:
        await session.execute(update(InboxRow).values(attempts=3, received_at=func.now() - timedelta(days=1)))
        assert (await inbox.depth(session)).oldest_s == 0
    await put(database, COMPLETED)
    async with database.transaction() as session:
        assert 0 < (await inbox.depth(session)).oldest_s < 3600


async def test_a_callback_that_is_put_back_keeps_its_attempts(database: Database) -> None:
    await put(database, RINGING)
    async with database.transaction() as session:
        await inbox.put_back(session, await inbox.claim(session, 1), "first")
        await session.execute(update(InboxRow).values(available_at=text("now()")))
        await inbox.put_back(session, await inbox.claim(session, 1))
    [kept] = await waiting(database)
    assert (kept.attempts, kept.error) == (1, "first")


@pytest.mark.parametrize(
    ("waited_s", "delay_s"), [(0.0, 0.1), (4.0, 1.0), (3600.0, 5.0)], ids=["at first", "later", "much later"]
)
async def test_a_callback_that_meets_locks_for_longer_is_tried_less_often(
    database: Database, waited_s: float, delay_s: float
) -> None:
    await put(database, RINGING)
    async with database.transaction() as session:
        received_at = func.now() - timedelta(seconds=waited_s)
        await session.execute(update(InboxRow).values(received_at=received_at))
        await inbox.put_back(session, await inbox.claim(session, 1))
        assert await session.scalar(select(InboxRow.available_at - func.now())) == timedelta(seconds=delay_s)


async def test_callbacks_of_the_last_requests_are_folded_before_the_process_ends(database: Database) -> None:
    async with run_folder(make_settings(shutdown_grace_s=600), database, Metrics()):
        await put(database, *WHOLE)
    assert await waiting(database) == []


async def test_a_callback_that_met_a_lock_wakes_the_folder_again(database: Database) -> None:
    folder = Folder(database, Metrics())
    await deliver(database, RINGING)
    await put(database, COMPLETED)
    async with holding(database.url, "select 1 from call_log for update"):
        assert await folder.fold_waiting() == 0
    async with asyncio.timeout(10):
        await folder.wake.wait()
