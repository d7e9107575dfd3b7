"""Leases on rows that are jobs: the token of a claim, the heartbeat, and the end of an attempt.

`available_at` is the time when a job is due. It holds the delay of a new or retried job, and the end of the lease of a
claimed job. All times come from the database's clock. Every claim writes a unique token into `locked_by`, and every
statement that ends an attempt requires this token. A worker that lost its lease can therefore write nothing.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Interval, and_, bindparam, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from amd_service.calls.tables import Annotation, Delivery, Recording

J = TypeVar("J")

# `state` of a claimed row, in every table of jobs.
RUNNING = "running"


def new_token(worker: str) -> str:
    """Return a token for a claim. The number of an attempt cannot identify it, because a release decrements it."""
    return f"{worker}#{secrets.token_hex(4)}"


def from_now(seconds: float) -> ColumnElement[datetime]:
    """SQL: the time in `seconds` seconds from now, by the database's clock."""
    return func.now() + bindparam(None, timedelta(seconds=seconds), type_=Interval())


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases on the rows of one table. `key`: its primary key."""

    table: type[Recording] | type[Delivery] | type[Annotation]
    key: InstrumentedAttribute[Any]

    async def heartbeat(
        self, session: AsyncSession, held: Mapping[tuple[Any, str], J], *, lease_s: float
    ) -> frozenset[J]:
        """Extend leases to `lease_s` seconds from now. Returns the jobs whose lease is not lost.

        `held`: the jobs by primary key and token.
        """
        table = self.table
        is_held = and_(tuple_(self.key, table.locked_by).in_(held), table.state == RUNNING)
        # SKIP LOCKED: one row that another session has locked must not end the leases of all other jobs.
        free = select(self.key).where(is_held).with_for_update(skip_locked=True, key_share=True)
        statement = (
            update(table)
            .where(self.key.in_((await session.scalars(free)).all()))
            .values(available_at=from_now(lease_s))
            .execution_options(synchronize_session=False)
        )
        await session.execute(statement)
        ours = await session.execute(select(self.key, table.locked_by).where(is_held))
        return frozenset(held[key, token or ""] for key, token in ours)

    async def end_attempt(self, session: AsyncSession, key: object, token: str, **values: Any) -> bool:
        """End the attempt of a claim. Returns False and writes nothing if the lease was lost.

        One statement checks the lease and writes, so no other worker can claim the job between check and write.
        """
        statement = (
            update(self.table)
            .where(self.key == key, self.table.locked_by == token, self.table.state == RUNNING)
            .values(locked_by=None, **values)
            .returning(self.key)
            .execution_options(synchronize_session=False)
        )
        return await session.scalar(statement) is not None
