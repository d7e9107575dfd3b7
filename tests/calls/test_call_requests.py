"""At most one call per key, and a maximum number of requests per minute."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from amd_service.calls import call_requests
from amd_service.calls.call_requests import EarlierRequest, RateLimited, Reserved
from amd_service.calls.tables import CallRequestRow, RequestOutcome
from amd_service.database.pool import Database
from amd_service.domain import AccountSid, CallSid

pytestmark = pytest.mark.anyio

ACCOUNT = AccountSid("AC" + "1" * 32)
CALL = CallSid("CA" + "2" * 32)


async def reserve(database: Database, key: str, *, per_minute: int = 100) -> Reserved | EarlierRequest | RateLimited:
    async with database.transaction() as session:
        return await call_requests.reserve(
            session, key=key, fingerprint="what", account_sid=ACCOUNT, per_minute=per_minute
        )


async def age(database: Database, key: str, seconds: float) -> None:
    """Set the age of the request."""
    async with database.transaction() as session:
        earlier = func.clock_timestamp() - timedelta(seconds=seconds)
        await session.execute(update(CallRequestRow).where(CallRequestRow.key == key).values(created_at=earlier))


async def outcome(database: Database, key: str) -> str | None:
    async with database.transaction() as session:
        return await session.scalar(select(CallRequestRow.outcome).where(CallRequestRow.key == key))


async def test_a_key_is_reserved_once(database: Database) -> None:
    assert await reserve(database, "one") == Reserved()
    assert await reserve(database, "one") == EarlierRequest("what", RequestOutcome.PENDING, None, None)
    assert await reserve(database, "two") == Reserved()


async def test_only_one_of_many_concurrent_requests_gets_the_key(database: Database) -> None:
    answers = await asyncio.gather(*(reserve(database, "one") for _ in range(20)))
    assert [type(answer) for answer in answers].count(Reserved) == 1


async def test_a_repeated_request_gets_the_call_that_was_placed(database: Database) -> None:
    await reserve(database, "one")
    async with database.transaction() as session:
        await call_requests.record_placed(session, "one", CALL)
    assert await reserve(database, "one") == EarlierRequest("what", RequestOutcome.PLACED, CALL, None)


async def test_a_released_key_is_free_again(database: Database) -> None:
    await reserve(database, "one", per_minute=1)
    async with database.transaction() as session:
        await call_requests.release(session, "one")
    assert await reserve(database, "one", per_minute=1) == Reserved()


async def test_a_written_outcome_is_never_changed(database: Database) -> None:
    await reserve(database, "one")
    async with database.transaction() as session:
        await call_requests.record_unknown(session, "one")
        await call_requests.record_placed(session, "one", CALL)
        await call_requests.release(session, "one")
    assert await outcome(database, "one") == "unknown"


async def test_a_request_whose_process_died_counts_as_unknown_after_a_minute(database: Database) -> None:
    await reserve(database, "one")
    await age(database, "one", 50)
    assert await reserve(database, "one") == EarlierRequest("what", RequestOutcome.PENDING, None, None)
    await age(database, "one", 61)
    assert await reserve(database, "one") == EarlierRequest("what", RequestOutcome.UNKNOWN, None, None)


async def test_the_limit_counts_the_last_minute_and_returns_the_seconds_to_wait(database: Database) -> None:
    for key, seconds in (("old", 61), ("first", 50), ("second", 10)):
        assert await reserve(database, key, per_minute=2) == Reserved()
        await age(database, key, seconds)
    crowded = await reserve(database, "third", per_minute=2)
    assert isinstance(crowded, RateLimited)
    assert 5 < crowded.wait_s <= 10
    assert await outcome(database, "third") is None
    assert isinstance(await reserve(database, "first", per_minute=2), EarlierRequest), "asking again takes no place"


async def test_concurrent_requests_do_not_exceed_the_limit(database: Database) -> None:
    answers = await asyncio.gather(*(reserve(database, f"key {n}", per_minute=5) for n in range(20)))
    assert [type(answer) for answer in answers].count(Reserved) == 5
