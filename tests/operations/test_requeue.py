"""Requeueing recordings that were given up."""

import asyncio

import pytest

from amd_service.calls import queue
from amd_service.calls.analysis import lock_call
from amd_service.database.pool import Database, Timeouts
from amd_service.domain import Failure
from amd_service.operations.requeue import requeue_recordings
from tests.support.deliveries import claim
from tests.support.queued import queued
from tests.support.waiting import until
from tests.support.workers import is_in

pytestmark = pytest.mark.anyio


async def test_each_batch_is_kept_and_locks_only_its_own_calls(database: Database, database_url: str) -> None:
    sids = sorted(await queued(database, 5))
    for job in await claim(database):
        async with database.transaction() as session:
            assert await queue.give_up(session, job, Failure.UNAUTHORISED, "401")
    # Longer timeouts, for a busy machine.
    patient = Database(database_url, timeouts=Timeouts(statement_s=60, transaction_s=60))
    async with database.transaction() as session:
        await lock_call(session, f"CA{sids[-1][2:]}")
        requeued = asyncio.create_task(requeue_recordings(patient, Failure.UNAUTHORISED, batch=2))
        await until(lambda: is_in(database, sids[3], "queued"))
    assert await requeued == 5
    assert await is_in(database, sids[4], "queued")
    await patient.dispose()
