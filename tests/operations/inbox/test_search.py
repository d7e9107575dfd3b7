"""A search of the inbox begins near the last claimed callback, and finds callbacks with lower numbers soon."""

from typing import Any

import pytest
from sqlalchemy import text

from amd_service.calls import inbox
from amd_service.database.pool import Database
from amd_service.domain import CallSid
from amd_service.operations import fold_callbacks
from amd_service.operations.fold_callbacks import Folder
from amd_service.telemetry import Metrics
from tests.support.deliveries import status
from tests.support.inbox import put
from tests.support.intake import COMPLETED, RINGING
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

FIRST_AGAIN = """
    insert into inbox (callback_id, call_sid, account_sid)
    select id, call_sid, account_sid from callback order by id limit 1
"""


async def skip_numbers(database: Database) -> None:
    async with database.transaction() as session:
        number = "select setval(pg_get_serial_sequence('callback', 'id'), max(id) + 5000) from callback"
        await session.execute(text(number))


async def test_a_callback_with_a_lower_number_that_is_committed_later_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_callbacks, "FOLD_EVERY_S", 0.1)
    folder = Folder(database, Metrics())
    await put(database, RINGING)
    await skip_numbers(database)
    await put(database, COMPLETED)
    assert await folder.fold_waiting() == 2
    async with database.transaction() as session:
        await session.execute(text(FIRST_AGAIN))

    async def is_found() -> bool:
        return await folder.fold_waiting() == 1

    await until(is_found)


async def test_a_callback_with_a_lower_number_does_not_wait_for_the_end_of_a_backlog(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_callbacks, "FOLD_EVERY_S", 0.0)
    await put(database, RINGING)
    await skip_numbers(database)
    await put(database, *(status("completed", call_sid=CallSid(f"CA{number:032x}")) for number in range(90)))
    claim = inbox.claim
    claimed: list[list[int]] = []

    async def claim_and_put_back(session: Any, limit: int, *, above: int) -> Any:
        """Return the first batch, and put its first callback back, as after a lock."""
        found = await claim(session, limit, above=above)
        if not claimed:
            await session.execute(text(FIRST_AGAIN))
        claimed.append([one.callback_id for one in found])
        return found

    monkeypatch.setattr(inbox, "claim", claim_and_put_back)
    assert await Folder(database, Metrics()).fold_waiting() == 92
    assert claimed[1][0] == claimed[0][0]
