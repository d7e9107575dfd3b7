"""Store callbacks that contain phone numbers, and read the stored callbacks."""

from typing import Any

from sqlalchemy import select, update

from amd_service.calls import intake
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import Callback
from amd_service.database.pool import Database
from amd_service.domain import RawCallback, StatusCallback
from amd_service.twilio.callbacks import parse_status
from tests.support.deliveries import KEEP
from tests.support.sids import ACCOUNT, CALL

FROM, TO = "+15005550006", "+15005550010"


async def change(database: Database, table: Any, **values: Any) -> None:
    async with database.transaction() as session:
        await session.execute(update(table).values(**values).execution_options(synchronize_session=False))


def parsed(call_status: str, **parameters: str) -> tuple[RawCallback, StatusCallback]:
    """A status callback with numbers."""
    usual = {"AccountSid": ACCOUNT, "CallSid": CALL, "From": FROM, "To": TO, "CallerName": "JANE"}
    pairs = tuple((usual | {"CallStatus": call_status} | parameters).items())
    return RawCallback("status", pairs, "token"), parse_status(pairs)


async def deliver_status(database: Database, call_status: str, numbers: NumberPolicy = KEEP, **parameters: str) -> bool:
    """Store a status callback with numbers. Returns False for a duplicate."""
    async with database.transaction() as session:
        return await intake.store(session, *parsed(call_status, **parameters), numbers)


async def callbacks(database: Database) -> list[Callback]:
    async with database.transaction() as session:
        return list((await session.scalars(select(Callback).order_by(Callback.id))).all())
