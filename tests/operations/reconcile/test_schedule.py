"""Leases and cursors of sweeps, and the effects of a failure."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import delete, func, select, text

from amd_service.calls import reconciliation
from amd_service.calls.tables import Sweep
from amd_service.database.pool import Database
from amd_service.domain import CallSid
from amd_service.operations.reconcile import OVERLAP
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import ScriptedResponse
from amd_service.simulator.twilio.resources import now
from amd_service.telemetry import Metrics
from tests.support.reconciliation import (
    QUIET_S,
    Make,
    answer_always,
    call_at_twilio,
    recorded,
    settings,
    stored_call_sids,
    swept_until,
)
from tests.support.sids import ACCOUNT, CALL, OTHER_ACCOUNT

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def refused_by_postgres(database: Database, call_sid: CallSid) -> AsyncIterator[None]:
    """Until the context ends, Postgres refuses every row of this call."""
    async with database.transaction() as session:
        await session.execute(text(f"alter table call_log add constraint refused check (call_sid <> '{call_sid}')"))
    try:
        yield
    finally:
        async with database.transaction() as session:
            await session.execute(text("alter table call_log drop constraint refused"))


@pytest.mark.parametrize("answer", [ScriptedResponse(429), ScriptedResponse(500), ScriptedResponse(401)])
async def test_an_aborted_sweep_is_repeated_from_the_same_cursor(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make, answer: ScriptedResponse
) -> None:
    metrics = Metrics()
    recorded(call_at_twilio(simulated_twilio))
    simulated_twilio.rest.scripted = [answer]
    (failed,) = await make(metrics=metrics).sweep_due_accounts()
    assert failed.error is not None
    assert str(answer.status) in failed.error
    assert await swept_until(database) is None
    (findings,) = await make(metrics=metrics).sweep_due_accounts()
    assert (findings.error, findings.calls_new) == (None, 1)
    until = await swept_until(database)
    assert until is not None
    await make().sweep_due_accounts()
    moments = [
        value for request in simulated_twilio.rest.requests for name, value in request.query if name == "StartTime>"
    ]
    assert moments[-1] == (until - OVERLAP - timedelta(seconds=QUIET_S)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = {
        what: metrics.registry.get_sample_value("amd_reconciled_total", {"what": what}) for what in ("call", "change")
    }
    assert found == {"call": 1, "change": 1}


async def test_answers_before_a_failure_stay_stored(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    recorded(call_at_twilio(simulated_twilio))

    answer_always(simulated_twilio, "Recordings", ScriptedResponse(500))
    (findings,) = await make().sweep_due_accounts()
    assert (findings.calls_new, findings.error is not None) == (1, True)
    assert await stored_call_sids(database) == {CALL}


async def test_a_call_that_cannot_be_stored_does_not_block_others(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    metrics = Metrics()
    other = call_at_twilio(simulated_twilio, sid="CA" + "2" * 32)
    call_at_twilio(simulated_twilio)
    async with refused_by_postgres(database, CALL):
        (findings,) = await make(metrics=metrics).sweep_due_accounts()
    assert (await stored_call_sids(database), findings.error) == ({other.sid}, None)
    assert metrics.registry.get_sample_value("amd_loop_errors_total", {"loop": "reconciling"}) == 1


async def test_an_account_with_wrong_credentials_does_not_block_the_others(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make, tmp_path: Any
) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(f'[[account]]\naccount_sid = "{OTHER_ACCOUNT}"\nauth_tokens = ["wrong"]\n')
    call_at_twilio(simulated_twilio)
    findings = await make(accounts_file=file).sweep_due_accounts()
    assert {found.account_sid: found.error is None for found in findings} == {OTHER_ACCOUNT: False, ACCOUNT: True}
    assert await stored_call_sids(database) == {CALL}


async def test_one_process_at_a_time_sweeps_an_account(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call_at_twilio(simulated_twilio)
    every = {"reconcile_every_s": 600.0}
    found = await asyncio.gather(
        make(**every).sweep_due_accounts(), make(**every).sweep_due_accounts(), make(**every).sweep_due_accounts()
    )
    assert sorted(len(findings) for findings in found) == [0, 0, 1]
    assert await make(**every).sweep_due_accounts() == []  # the next sweep is not due yet


async def test_a_lease_that_another_process_acquired_is_lost(database: Database) -> None:
    async with database.transaction() as session:
        lease = await reconciliation.acquire_lease(session, ACCOUNT, lease_s=0.0)
    assert lease is not None
    async with database.transaction() as session:
        assert await reconciliation.acquire_lease(session, ACCOUNT, lease_s=60.0)
    async with database.transaction() as session:
        assert await reconciliation.renew_lease(session, lease, lease_s=60.0) is None
        await reconciliation.finish_sweep(session, lease, complete=True, next_in_s=0.0)
    assert await swept_until(database) is None


async def test_no_transaction_is_open_during_requests_to_twilio(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    recorded(call_at_twilio(simulated_twilio))
    in_use: list[int] = []

    async def look() -> None:
        async with database.transaction() as session:
            statement = text(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'"
            )
            in_use.append(await session.scalar(statement) or 0)

    simulated_twilio.rest.before = look
    await make().sweep_due_accounts()
    assert len(in_use) > 3
    assert set(in_use) == {0}


async def test_the_first_sweep_skips_older_calls(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    recorded(call_at_twilio(simulated_twilio, ago_s=600))
    async with database.transaction() as session:
        await session.execute(delete(Sweep))
    (first,) = await make().sweep_due_accounts()
    (second,) = await make().sweep_due_accounts()
    assert (first.error, first.calls_new, second.calls_new) == (None, 0, 0)
    assert await stored_call_sids(database) == set()
    (by_hand,) = await make().sweep_since(now() - timedelta(hours=1))
    assert by_hand.calls_new == 1


async def test_the_next_sweep_waits_as_long_as_twilio_asked_for(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call_at_twilio(simulated_twilio)
    simulated_twilio.rest.scripted = [ScriptedResponse(429, headers={"retry-after": "900"})]
    (failed,) = await make().sweep_due_accounts()
    assert failed.error is not None
    assert await make().sweep_due_accounts() == []
    async with database.transaction() as session:
        wait_s = func.extract("epoch", Sweep.available_at - func.now())
        asked_for = await session.scalar(select(wait_s.between(600, 900)).where(Sweep.account_sid == ACCOUNT))
    assert asked_for


async def test_a_long_call_that_ended_just_before_a_sweep_is_stored_by_the_next(
    database: Database, simulated_twilio: SimulatedTwilio, make: Make
) -> None:
    call = call_at_twilio(simulated_twilio, ago_s=QUIET_S - 60)
    assert call.ended_at is not None
    call.created_at = call.started_at = call.ended_at - OVERLAP + timedelta(seconds=5)
    await make().sweep_due_accounts()
    assert await stored_call_sids(database) == set()
    call.ended_at -= timedelta(seconds=60)  # instead of waiting for 60 s
    (findings,) = await make().sweep_due_accounts()
    assert (findings.calls_new, await stored_call_sids(database)) == (1, {CALL})


async def test_the_quiet_time_is_at_most_an_hour(simulated_twilio: SimulatedTwilio) -> None:
    with pytest.raises(ValidationError, match="less than or equal to 3600"):
        settings(simulated_twilio, reconcile_after_s=3601)
