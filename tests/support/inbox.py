"""Callbacks that are stored in the inbox, as the webhooks store them."""

from sqlalchemy import select

from amd_service.calls import inbox, intake
from amd_service.calls.folding import fold
from amd_service.calls.tables import InboxRow
from amd_service.database.pool import Database
from amd_service.operations.fold_callbacks import Folder
from amd_service.telemetry import Metrics
from tests.support.deliveries import KEEP, Delivery, Tagged, raw_of
from tests.support.waiting import until


async def put(database: Database, *deliveries: Delivery) -> None:
    """Store callbacks in the inbox, each in its own transaction."""
    for delivery in deliveries:
        event = delivery.event if isinstance(delivery, Tagged) else delivery
        async with database.transaction() as session:
            await intake.put_into_inbox(session, [intake.new_callback(raw_of(delivery), event, KEEP)])


async def fold_all(database: Database) -> int:
    return await Folder(database, Metrics()).fold_waiting()


async def until_folded(database: Database) -> None:
    """Fold until the inbox is empty: callbacks that met a lock are due a moment later."""

    async def is_empty() -> bool:
        await fold_all(database)
        return not await waiting(database)

    await until(is_empty)


async def until_folded_by_service(database: Database) -> None:
    """Wait until a running service has folded every callback."""

    async def is_empty() -> bool:
        return not await waiting(database)

    await until(is_empty)


async def interrupted_fold(database: Database) -> None:
    """Fold like a process that is killed before its commit."""
    async with database.transaction() as session:
        await fold(session, await inbox.claim(session, 100), skip_locked=True)
        await session.rollback()


async def waiting(database: Database) -> list[InboxRow]:
    """The callbacks that are not yet folded, oldest first."""
    async with database.transaction() as session:
        return list(await session.scalars(select(InboxRow).order_by(InboxRow.callback_id)))


async def depth(database: Database) -> dict[str, int]:
    async with database.transaction() as session:
        return (await inbox.depth(session)).by_state
