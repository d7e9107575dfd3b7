"""Deletion of Twilio's copies, of the parameters of old callbacks, and of old call requests."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from amd_service.calls import erasure, expiry, queue
from amd_service.calls.erasure import ClaimedErasures, Erasable
from amd_service.calls.expiry import KEEP_REQUESTS_DAYS
from amd_service.calls.tables import Callback, CallRequestRow, Recording, RequestOutcome
from amd_service.calls.tables.callback import WHOLE
from amd_service.calls.tables.recording import TO_ERASE
from amd_service.database.pool import Database
from amd_service.domain import AccountSid, Failure, Label, RecordingSid
from tests.support.deliveries import call_row, claim, deliver, recording, recording_row, settle, snapshot, status
from tests.support.numbers import FROM, TO, callbacks, change, deliver_status
from tests.support.sids import ACCOUNT, CALL, RECORDING
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio


async def judged(database: Database, *sids: RecordingSid) -> None:
    await deliver(database, *(recording("completed", sid) for sid in sids))
    for job in await claim(database):
        await settle(database, job, verdict(Label.HUMAN))


async def erasable(database: Database, limit: int = 10, accounts: tuple[AccountSid, ...] = (ACCOUNT,)) -> list[str]:
    async with database.transaction() as session:
        claimed = await erasure.claim_erasable(session, accounts, limit)
    return [recording.recording_sid for recording in claimed.erasable]


async def postponed_s(database: Database) -> float:
    async with database.transaction() as session:
        ahead = select(func.extract("epoch", Recording.erase_after - func.now()))
        return float(await session.scalar(ahead) or 0)


async def make_old(database: Database, table: Any, column: str, days: float) -> None:
    await change(database, table, **{column: func.now() - timedelta(days=days)})


async def strip(database: Database, *, days: int = 30, limit: int = 10) -> int:
    async with database.transaction() as session:
        return await expiry.strip_callbacks(session, days=days, limit=limit)


# Twilio's copies of recordings


async def test_a_judged_recording_is_erasable_once(database: Database) -> None:
    await judged(database, RECORDING)
    assert await erasable(database) == [RECORDING]
    async with database.transaction() as session:
        await erasure.mark_erased(session, RECORDING)
    await change(database, Recording, erase_after=func.now())
    assert await erasable(database) == []
    assert (await recording_row(database)).erased_at is not None


async def test_a_claimed_recording_is_postponed(database: Database) -> None:
    await judged(database, RECORDING)
    async with database.transaction() as session:
        assert await erasure.claim_erasable(session, [ACCOUNT], 1) == ClaimedErasures([Erasable(RECORDING, ACCOUNT)], 1)
    assert await erasable(database) == []
    assert 240 < await postponed_s(database) <= 300


@pytest.mark.parametrize(("waited_days", "least_s", "most_s"), [(0.25, 21_000, 22_000), (400, 86_000, 86_400)])
async def test_the_delay_grows_with_the_time_waited(
    database: Database, waited_days: float, least_s: float, most_s: float
) -> None:
    await judged(database, RECORDING)
    await make_old(database, Recording, "finished_at", waited_days)
    assert await erasable(database) == [RECORDING]
    assert least_s < await postponed_s(database) <= most_s


async def test_a_recording_without_a_verdict_is_never_erased(database: Database) -> None:
    await deliver(database, recording("completed"))
    assert await erasable(database) == []
    (job,) = await claim(database)
    assert await erasable(database) == []
    async with database.transaction() as session:
        await queue.give_up(session, job, Failure.GAVE_UP, "it may be queued again")
    assert await erasable(database) == []


async def test_a_stream_has_no_copy_at_twilio(database: Database) -> None:
    await judged(database, RECORDING)
    await change(database, Recording, source="MediaStream")
    assert await erasable(database) == []


async def test_a_recording_of_unknown_source_has_a_copy_at_twilio(database: Database) -> None:
    await judged(database, RECORDING)
    await change(database, Recording, source=None)
    assert await erasable(database) == [RECORDING]


async def test_recordings_of_accounts_without_credentials_are_skipped(database: Database) -> None:
    await judged(database, RECORDING)
    assert await erasable(database, accounts=()) == []
    assert await erasable(database) == [RECORDING]


async def store_recording_known_only_from_the_api(database: Database) -> None:
    """Store a judged recording of a call that only Twilio's API has reported."""
    await judged(database, RECORDING)
    await change(database, Callback, route="rest")


async def place(database: Database, **fields: Any) -> None:
    async with database.transaction() as session:
        known: dict[str, Any] = {"account_sid": ACCOUNT, "outcome": RequestOutcome.PLACED, "call_sid": CALL}
        session.add(CallRequestRow(**{"key": "", "fingerprint": ""} | known | fields))


async def test_a_recording_known_only_from_the_api_is_not_erasable(database: Database) -> None:
    await store_recording_known_only_from_the_api(database)
    async with database.transaction() as session:
        assert await erasure.claim_erasable(session, [ACCOUNT], 10) == ClaimedErasures([], 1)
        # The recording is postponed. Otherwise thousands of such recordings would be examined every minute.
        assert await erasure.claim_erasable(session, [ACCOUNT], 10) == ClaimedErasures([], 0)
    assert (await recording_row(database)).erased_at is None


async def test_a_callback_that_names_the_call_makes_its_recording_erasable(database: Database) -> None:
    await store_recording_known_only_from_the_api(database)
    assert await erasable(database) == []
    await deliver(database, status("completed"))
    await change(database, Recording, erase_after=func.now())
    assert await erasable(database) == [RECORDING]


async def test_a_recording_of_a_placed_call_is_erasable_without_any_callback(database: Database) -> None:
    await store_recording_known_only_from_the_api(database)
    await place(database)
    assert await erasable(database) == [RECORDING]


async def test_a_callback_of_another_account_does_not_make_a_recording_erasable(database: Database) -> None:
    await store_recording_known_only_from_the_api(database)
    another = AccountSid("AC" + "b" * 32)
    await deliver(database, status("completed", account_sid=another))
    await place(database, account_sid=another)
    assert await erasable(database) == []


async def test_two_workers_claim_different_erasable_recordings(database: Database) -> None:
    sids = [RecordingSid(f"RE{number:032x}") for number in range(6)]
    await judged(database, *sids)
    first, second = await asyncio.gather(erasable(database, 4), erasable(database, 4))
    assert sorted([*first, *second, *await erasable(database)]) == sids


async def test_finding_callbacks_to_strip_and_recordings_to_erase_uses_partial_indexes(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("set local enable_seqscan = off"))
        # With few rows Postgres chooses the other index. The test checks only that Postgres can use the partial index.
        await session.execute(text("drop index ix_callback_received_at"))
        plan = await session.scalars(text(f"explain select 1 from recording where {TO_ERASE} and erase_after <= now()"))
        assert "ix_recording_to_erase" in "\n".join(plan)
        plan = await session.scalars(text(f"explain select 1 from callback where {WHOLE} and received_at < now()"))
        assert "ix_callback_whole" in "\n".join(plan)
        await session.rollback()


# Parameters of old callbacks


async def test_an_old_callback_loses_parameters_token_and_numbers(database: Database) -> None:
    await deliver_status(database, "completed", SequenceNumber="3")
    await make_old(database, Callback, "received_at", 31)
    assert await strip(database) == 1
    async with database.transaction() as session:
        # This must be SQL's null: JSON's null would count as parameters.
        assert await session.scalar(text("select count(*) from callback where parameters is null")) == 1
    (kept,) = await callbacks(database)
    assert (kept.parameters, kept.idempotency_token) == (None, None)
    assert kept.facts == {
        "account_sid": ACCOUNT,
        "call_sid": CALL,
        "call_status": "completed",
        "sequence_number": 3,
    }
    assert await strip(database) == 0


async def test_a_younger_callback_is_not_changed(database: Database) -> None:
    await deliver_status(database, "completed")
    await make_old(database, Callback, "received_at", 29)
    assert await strip(database) == 0
    assert (await callbacks(database))[0].parameters is not None


async def test_a_replayed_old_callback_is_still_a_duplicate(database: Database) -> None:
    await deliver_status(database, "completed", SequenceNumber="3")
    await make_old(database, Callback, "received_at", 31)
    await strip(database)
    assert not await deliver_status(database, "completed", SequenceNumber="3")


async def test_a_late_callback_is_merged_with_stripped_ones(database: Database) -> None:
    await deliver_status(database, "completed", SequenceNumber="3", CallDuration="12")
    await make_old(database, Callback, "received_at", 31)
    await strip(database)
    before = await snapshot(database)
    await deliver(database, status("ringing", 1, timestamp=None, direction=None))
    call = await call_row(database)
    assert (call.call_status, call.duration_s, call.from_number, call.to_number) == ("completed", 12, FROM, TO)
    assert await snapshot(database) == before


async def test_a_backlog_is_stripped_in_batches_oldest_first(database: Database) -> None:
    for number in range(5):
        await deliver_status(database, "in-progress", SequenceNumber=str(number))
    async with database.transaction() as session:
        age = timedelta(days=1) * (Callback.id - select(func.min(Callback.id)).scalar_subquery())
        older = update(Callback).values(received_at=func.now() - timedelta(days=40) + age)
        await session.execute(older.execution_options(synchronize_session=False))
    assert await strip(database, limit=2) == 2
    assert [callback.parameters is None for callback in await callbacks(database)] == [True, True, False, False, False]
    assert [await strip(database, limit=2) for _ in range(3)] == [2, 1, 0]


# Requests to place a call


async def test_only_old_call_requests_are_deleted(database: Database) -> None:
    async with database.transaction() as session:
        for days in (0, KEEP_REQUESTS_DAYS - 1, KEEP_REQUESTS_DAYS + 1, 100):
            session.add(
                CallRequestRow(
                    key=f"{days} days",
                    fingerprint="",
                    account_sid=ACCOUNT,
                    outcome=RequestOutcome.UNKNOWN,
                    created_at=datetime.now(UTC) - timedelta(days=days),
                )
            )
    async with database.transaction() as session:
        assert [await expiry.delete_old_requests(session, 1) for _ in range(3)] == [1, 1, 0]
        assert set(await session.scalars(select(CallRequestRow.key))) == {"0 days", f"{KEEP_REQUESTS_DAYS - 1} days"}
