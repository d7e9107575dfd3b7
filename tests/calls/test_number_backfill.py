"""The number policy is applied to older rows."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, null, text

from amd_service.calls import expiry, intake, number_backfill
from amd_service.calls.number_backfill import Cursor
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import Callback
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Label
from tests.support.deliveries import KEEP, call_row, claim, deliver, recording, settle, snapshot, status
from tests.support.numbers import FROM, TO, callbacks, change, deliver_status, parsed
from tests.support.verdicts import verdict
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

HASH, DROP = NumberPolicy("hash", b"key"), NumberPolicy("drop")
CALL_BEGINNING = Cursor(datetime(1970, 1, 1, tzinfo=UTC), "")
CALLBACK_BEGINNING = Cursor(datetime(1970, 1, 1, tzinfo=UTC), 0)


async def strip(database: Database, limit: int = 100) -> None:
    """Strip callbacks as if they were old."""
    async with database.transaction() as session:
        await expiry.strip_callbacks(session, days=0, limit=limit)


async def apply_policy(database: Database, numbers: NumberPolicy, limit: int = 100) -> list[int]:
    """Apply the policy to all rows in the same order as the worker. Returns the number of changed rows per batch."""
    changed = []
    scans: list[Any] = [
        (number_backfill.apply_number_policy_to_callbacks, CALLBACK_BEGINNING),
        (number_backfill.apply_number_policy_to_calls, CALL_BEGINNING),
    ]
    for scan, cursor in scans:
        while cursor is not None:
            async with database.transaction() as session:
                step = await scan(session, numbers, cursor, limit)
            changed.append(step.changed)
            cursor = step.cursor
    return changed


@pytest.mark.parametrize("numbers", [HASH, DROP], ids=["hash", "drop"])
async def test_older_rows_become_the_rows_that_the_policy_would_have_stored(
    database: Database, numbers: NumberPolicy
) -> None:
    fields = {"SequenceNumber": "1", "SipHeader_X": "(500) 555-0006"}
    await deliver_status(database, "ringing", numbers, **fields)
    wanted_callback, wanted_call = await callbacks(database), await call_row(database)
    async with database.transaction() as session:
        await session.execute(text("delete from callback"))
        await session.execute(text("delete from call_log"))
    await deliver_status(database, "ringing", KEEP, **fields)
    assert await apply_policy(database, numbers) == [1, 0, 1, 0]
    (callback,), call = await callbacks(database), await call_row(database)
    assert (call.from_number, call.to_number) == (wanted_call.from_number, wanted_call.to_number)
    for name in ("sha256", "parameters", "facts"):
        assert getattr(callback, name) == getattr(wanted_callback[0], name)
    assert callback.parameters is not None
    assert ["SipHeader_X", ""] in callback.parameters
    assert await apply_policy(database, numbers) == [0, 0, 0, 0]
    # If the callback is delivered again, it is still a duplicate.
    assert not await deliver_status(database, "ringing", numbers, **fields)


async def test_a_callback_delivered_again_under_the_policy_is_stored_once(database: Database) -> None:
    await deliver_status(database, "ringing", KEEP)
    assert await deliver_status(database, "ringing", DROP)
    await apply_policy(database, DROP)
    (left,) = await callbacks(database)
    assert left.parameters is not None
    assert ["From", ""] in left.parameters


async def test_callbacks_without_parameters_lose_the_numbers_in_their_facts(database: Database) -> None:
    await deliver_status(database, "ringing", KEEP)
    await change(database, Callback, parameters=null())
    await apply_policy(database, HASH)
    (callback,) = await callbacks(database)
    assert (callback.parameters, callback.facts["from_number"]) == (None, HASH.redact_number(FROM))


async def test_hashed_numbers_can_be_dropped_later(database: Database) -> None:
    await deliver_status(database, "ringing", HASH)
    await apply_policy(database, DROP)
    call = await call_row(database)
    assert (call.from_number, call.to_number) == (None, None)
    assert "hmac:" not in repr([(callback.parameters, callback.facts) for callback in await callbacks(database)])


async def test_a_scan_in_small_steps_skips_no_row(database: Database) -> None:
    sids = [CallSid(f"CA{number:032x}") for number in range(7)]
    await deliver(database, *(status("ringing", call_sid=sid, from_number=FROM, to_number=TO) for sid in sids))
    # All rows have the same time, so the cursor needs the key too.
    await change(database, Callback, received_at=datetime(2026, 1, 1, tzinfo=UTC))
    await deliver(database, *(status("in-progress", call_sid=sid) for sid in sids))
    async with database.transaction() as session:
        await session.execute(text("update call_log set created_at = '2026-01-01'"))
    assert sum(await apply_policy(database, DROP, limit=3)) == 14
    async with database.transaction() as session:
        left = "select count(*) from call_log where from_number is not null or to_number is not null"
        assert await session.scalar(text(left)) == 0


async def test_nothing_changes_if_numbers_are_kept(database: Database) -> None:
    await deliver_status(database, "ringing", KEEP)
    assert await apply_policy(database, KEEP) == [0, 0, 0, 0]


@pytest.mark.parametrize("numbers", [HASH, DROP], ids=["hash", "drop"])
async def test_no_number_can_be_verified_against_a_stripped_callbacks_fingerprint(
    database: Database, numbers: NumberPolicy
) -> None:
    await deliver_status(database, "completed", KEEP, SequenceNumber="3")
    await strip(database)
    (before,) = await callbacks(database)
    assert await apply_policy(database, numbers) == [1, 0, 1, 0]
    (after,) = await callbacks(database)
    assert (len(before.sha256), after.sha256[:7], len(after.sha256)) == (64, "random:", 39)
    assert before.sha256 not in after.sha256
    # The second scan changes nothing.
    assert await apply_policy(database, numbers) == [0, 0, 0, 0]
    assert (await callbacks(database))[0].sha256 == after.sha256


async def test_a_stripped_callback_that_is_delivered_again_counts_as_new_and_changes_no_call(
    database: Database,
) -> None:
    fields = {"SequenceNumber": "3", "CallDuration": "12"}
    await deliver_status(database, "ringing", KEEP, SequenceNumber="1")
    await deliver_status(database, "completed", KEEP, **fields)
    await deliver(database, recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(Label.HUMAN))
    await strip(database)
    await apply_policy(database, HASH)
    before = await snapshot(database)
    assert await deliver_status(database, "ringing", HASH, SequenceNumber="1")
    assert await deliver_status(database, "completed", HASH, **fields)
    await deliver(database, recording("completed"))
    assert len(await callbacks(database)) == 6
    assert await snapshot(database) == before


async def test_old_fingerprints_stay_if_numbers_are_kept(database: Database) -> None:
    await deliver_status(database, "completed", KEEP)
    await strip(database)
    await apply_policy(database, KEEP)
    assert not await deliver_status(database, "completed", KEEP)


async def test_a_callback_delivered_again_at_the_same_moment_is_stored_once(database: Database) -> None:
    await deliver_status(database, "ringing", KEEP)
    await deliver_status(database, "completed", KEEP)
    async with database.transaction() as session:
        # This insert is not committed yet. Other transactions do not see the row, but an insert of the same fingerprint
        # waits for it.
        await intake.store(session, *parsed("ringing"), HASH)
        applying = asyncio.create_task(apply_policy(database, HASH))
        await until(partial(is_a_transaction_waiting, database))
    assert sum(await applying) == 3
    left = await callbacks(database)
    assert sorted(kept.facts["call_status"] for kept in left) == ["completed", "ringing"]
    assert FROM not in repr([(kept.parameters, kept.facts) for kept in left])


async def is_a_transaction_waiting(database: Database) -> bool:
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with database.transaction() as session:
        return bool(await session.scalar(text(waiting)))


async def test_two_callbacks_that_become_equal_are_stored_once(database: Database) -> None:
    await deliver_status(database, "ringing", KEEP, Caller=FROM)
    await deliver_status(database, "ringing", KEEP, Caller=TO)
    await apply_policy(database, DROP)
    assert len(await callbacks(database)) == 1


async def test_the_number_of_round_trips_does_not_grow_with_the_rows(database: Database) -> None:
    for number in range(20):
        await deliver_status(database, "ringing", KEEP, CallSid=f"CA{number:032x}")
    await strip(database, limit=10)
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    for scan, cursor in (
        (number_backfill.apply_number_policy_to_callbacks, CALLBACK_BEGINNING),
        (number_backfill.apply_number_policy_to_calls, CALL_BEGINNING),
    ):
        async with database.transaction() as session:
            connection = (await session.connection()).sync_connection
            assert connection is not None
            event.listen(connection, "before_cursor_execute", note)
            assert (await scan(session, HASH, cursor, 100)).changed == 20
    assert 0 < len(statements) <= 8, statements
