"""What callbacks left out is asked of Twilio, and taken in as they would have been."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, text, update

from amd_service.calls import reconciling
from amd_service.calls.database import Database
from amd_service.calls.tables import Callback, CallLog, Sweep
from amd_service.domain import AccountSid, CallSid, RecordingSid
from amd_service.lab.stand_in.known_calls import StandInCall, StandInRecording, now
from amd_service.lab.stand_in.media_host import Answer
from amd_service.lab.stand_in.rest_api import RestRequest
from amd_service.lab.stand_in.server import StandIn
from amd_service.settings import Account, Settings
from amd_service.telemetry import Metrics
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import Rest
from amd_service.worker.reconcile import OVERLAP, Reconciliation
from tests.calls.deliveries import ACCOUNT, CALL, FIRST, call_row, deliver, recording, recording_row, status
from tests.twilio.stand_in import watched_stand_in

pytestmark = pytest.mark.anyio

QUIET_S = 300.0
OTHER = AccountSid("AC" + "b" * 32)

Make = Callable[..., Reconciliation]


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    accounts = [Account.model_validate({"account_sid": sid, "auth_tokens": ["token"]}) for sid in (ACCOUNT, OTHER)]
    async with watched_stand_in(*accounts) as running:
        yield running


@pytest.fixture
async def client(stand_in: StandIn) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client(settings(stand_in)) as client:
        yield client


def settings(stand_in: StandIn, **given: Any) -> Settings:
    known = {"twilio_api_url": stand_in.url, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": "token"}
    return Settings(_env_file=None, **{"reconcile_after_s": QUIET_S, "reconcile_every_s": 1e-6, **known, **given})


@pytest.fixture
def make(database: Database, stand_in: StandIn, client: httpx2.AsyncClient) -> Make:
    def make(**given: Any) -> Reconciliation:
        configured = settings(stand_in, **given)
        return Reconciliation(
            database=database,
            rest=Rest(client, configured),
            settings=configured,
            metrics=given.get("metrics", Metrics()),
        )

    return make


def call_at_twilio(
    stand_in: StandIn, *, sid: str = CALL, ending: str = "completed", ago_s: float = 600, **fields: Any
) -> StandInCall:
    """A call at Twilio that ended so long ago."""
    ended_at = now() - timedelta(seconds=ago_s)
    began = ended_at - timedelta(seconds=42)
    known: dict[str, Any] = {"created_at": began, "started_at": began, "ended_at": ended_at, "duration_s": 42} | fields
    return stand_in.rest.add(StandInCall(**{"account_sid": ACCOUNT, "sid": sid, "status": ending} | known))


def recorded(call: StandInCall, **fields: Any) -> StandInCall:
    made_at = call.started_at or now()
    known: dict[str, Any] = {"call_sid": call.sid, "sid": FIRST, "created_at": made_at}
    call.recordings.append(StandInRecording(**known | fields))
    return call


async def age(database: Database, call_sid: CallSid = CALL, seconds: float = 600) -> None:
    """The call's row has been there for so long."""
    async with database.transaction() as session:
        created_at = func.now() - timedelta(seconds=seconds)
        await session.execute(update(CallLog).where(CallLog.call_sid == call_sid).values(created_at=created_at))


async def calls_known(database: Database) -> set[str]:
    async with database.transaction() as session:
        return set((await session.scalars(select(CallLog.call_sid))).all())


async def swept_until(database: Database) -> datetime | None:
    async with database.transaction() as session:
        return await session.scalar(select(Sweep.swept_until))


async def test_a_call_nobody_told_of_appears_and_its_recording_is_put_up_for_work(
    database: Database, stand_in: StandIn, make: Make
) -> None:
    call = recorded(call_at_twilio(stand_in))
    (findings,) = await make().sweep()
    row, audio = await call_row(database), await recording_row(database)
    assert (row.call_status, row.duration_s, row.ended_at) == ("completed", 42, call.ended_at)
    assert (row.direction, row.to_number, row.analysis_state) == ("outbound-api", call.to_number, "queued")
    assert (audio.state, audio.track, audio.source) == ("queued", "inbound", "OutboundAPI")
    assert (findings.calls_new, findings.recordings_new, findings.calls_changed) == (1, 1, 1)


@pytest.mark.parametrize("ending", ["busy", "no-answer", "failed", "canceled"])
async def test_a_call_nobody_answered_needs_no_recording(
    database: Database, stand_in: StandIn, make: Make, ending: str
) -> None:
    call_at_twilio(stand_in, ending=ending)
    await make().sweep()
    row = await call_row(database)
    assert (row.call_status, row.analysis_state) == (ending, "not_applicable")


async def test_a_recording_nobody_told_of_is_put_up_for_work(database: Database, stand_in: StandIn, make: Make) -> None:
    recorded(call_at_twilio(stand_in))
    await deliver(database, status("ringing"), status("completed"))
    (findings,) = await make().sweep()
    assert (await call_row(database)).analysis_state == "queued"
    assert (findings.calls_new, findings.recordings_new, findings.calls_changed) == (0, 1, 1)


async def test_an_ending_nobody_told_of_is_learnt(database: Database, stand_in: StandIn, make: Make) -> None:
    call_at_twilio(stand_in, ending="busy")
    await deliver(database, status("initiated"), status("ringing"))
    (findings,) = await make().sweep()
    assert ((await call_row(database)).call_status, findings.calls_changed) == ("busy", 1)


async def test_a_completed_call_without_a_recording_ends_and_comes_back_if_there_is_one_after_all(
    database: Database, stand_in: StandIn, make: Make
) -> None:
    call_at_twilio(stand_in)
    await deliver(database, status("completed"))
    await age(database)
    (findings,) = await make().sweep()
    row = await call_row(database)
    assert (row.analysis_state, row.reason, findings.calls_changed) == ("failed", "no_recording", 1)
    await deliver(database, recording("completed"))
    assert (await call_row(database)).analysis_state == "queued"


async def test_an_absent_recording_says_so(database: Database, stand_in: StandIn, make: Make) -> None:
    recorded(call_at_twilio(stand_in), status="absent", error_code=16101, duration_s=None)
    await deliver(database, status("completed"))
    await make().sweep()
    row, audio = await call_row(database), await recording_row(database)
    assert (row.analysis_state, row.reason, audio.error_code) == ("failed", "no_recording", 16101)


async def test_a_call_that_just_ended_is_left_to_its_callbacks(
    database: Database, stand_in: StandIn, make: Make
) -> None:
    ended = datetime.now(UTC) - timedelta(seconds=5)
    recorded(call_at_twilio(stand_in, ago_s=5))
    await make().sweep()
    assert await calls_known(database) == set()
    await deliver(database, status("completed", timestamp=ended))
    await age(database, seconds=3600)
    await make().sweep()
    assert (await call_row(database)).analysis_state == "waiting"
    # By hand nobody waits.
    (findings,) = await make().by_hand(ended - timedelta(hours=1))
    assert ((await call_row(database)).analysis_state, findings.recordings_new) == ("queued", 1)


async def test_a_call_that_is_up_is_not_concluded_when_it_ends_later(
    database: Database, stand_in: StandIn, make: Make
) -> None:
    call = call_at_twilio(stand_in, ending="in-progress", ended_at=None, duration_s=None)
    await deliver(database, status("ringing"))
    await age(database)
    await make().sweep()
    row = await call_row(database)
    assert (row.call_status, row.analysis_state) == ("in-progress", "waiting")
    call.end("completed")
    await deliver(database, status("completed", timestamp=datetime.now(UTC)))
    assert (await call_row(database)).analysis_state == "waiting"  # its recording's callback is on its way


async def test_what_the_api_still_says_of_a_call_does_not_beat_its_callback(
    database: Database, stand_in: StandIn, make: Make
) -> None:
    call_at_twilio(stand_in, ending="in-progress", ended_at=None)
    await deliver(database, status("completed"))
    await age(database)
    await make().sweep()
    assert (await call_row(database)).call_status == "completed"


@pytest.mark.parametrize("state", ["processing", "paused", "stopped", "in-progress"])
async def test_a_recording_that_is_not_ready_is_asked_for_again(
    database: Database, stand_in: StandIn, make: Make, state: str
) -> None:
    call = recorded(call_at_twilio(stand_in), status=state, duration_s=None)
    await deliver(database, status("completed"))
    await age(database)
    await make().sweep()
    assert [(await recording_row(database)).state, (await call_row(database)).analysis_state] == ["noted", "waiting"]
    call.recordings[0].status = "completed"
    await make().sweep()
    assert (await call_row(database)).analysis_state == "queued"


@pytest.mark.parametrize("direction", ["inbound", "outbound-dial"])
async def test_calls_that_are_not_ours_are_let_be_until_they_report(
    database: Database, stand_in: StandIn, make: Make, direction: str
) -> None:
    recorded(call_at_twilio(stand_in, direction=direction))
    await make().sweep()
    assert await calls_known(database) == set()
    await deliver(database, status("in-progress", direction=direction))
    await make().sweep()
    row = await call_row(database)
    assert (row.call_status, row.analysis_state) == ("completed", "queued")


async def test_asking_again_changes_nothing(database: Database, stand_in: StandIn, make: Make) -> None:
    recorded(call_at_twilio(stand_in))
    call_at_twilio(stand_in, sid="CA" + "2" * 32)
    begin = datetime.now(UTC) - timedelta(hours=1)
    await make().by_hand(begin)
    before = await everything(database)
    (findings,) = await make().by_hand(begin)
    assert (findings.calls_asked, findings.calls_new, findings.recordings_new, findings.calls_changed) == (2, 0, 0, 0)
    assert await everything(database) == before


async def everything(database: Database) -> tuple[int | None, list[tuple[str, str, datetime]]]:
    async with database.transaction() as session:
        rows = await session.execute(select(CallLog.call_sid, CallLog.analysis_state, CallLog.updated_at))
        return await session.scalar(select(func.count(Callback.id))), sorted(
            (sid, state, at) for sid, state, at in rows
        )


@pytest.mark.parametrize("answer", [Answer(429, headers={"retry-after": "1"}), Answer(500), Answer(401)])
async def test_a_sweep_that_failed_begins_again_where_it_began(
    database: Database, stand_in: StandIn, make: Make, answer: Answer
) -> None:
    metrics = Metrics()
    recorded(call_at_twilio(stand_in))
    stand_in.rest.first = [answer]
    (failed,) = await make(metrics=metrics).sweep()
    assert failed.error is not None
    assert str(answer.status) in failed.error
    assert await swept_until(database) is None
    (findings,) = await make(metrics=metrics).sweep()
    assert (findings.error, findings.calls_new) == (None, 1)
    until = await swept_until(database)
    assert until is not None
    await make().sweep()
    moments = [value for request in stand_in.rest.requests for name, value in request.query if name == "StartTime>"]
    assert moments[-1] == (until - OVERLAP).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = {
        what: metrics.registry.get_sample_value("amd_reconciled_total", {"what": what}) for what in ("call", "change")
    }
    assert found == {"call": 1, "change": 1}


async def test_what_was_taken_in_before_a_failure_stays(database: Database, stand_in: StandIn, make: Make) -> None:
    recorded(call_at_twilio(stand_in))

    def fail_from_recordings_on(request: RestRequest) -> tuple[str, ...]:
        stand_in.rest.first = [Answer(500)] if "Recordings" in request.path else []
        return ()

    stand_in.rest.check = fail_from_recordings_on
    (findings,) = await make().sweep()
    assert (findings.calls_new, findings.error is not None) == (1, True)
    assert await calls_known(database) == {CALL}


async def test_one_account_that_cannot_be_asked_does_not_keep_the_others_waiting(
    database: Database, stand_in: StandIn, make: Make, tmp_path: Any
) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(f'[[account]]\naccount_sid = "{OTHER}"\nauth_tokens = ["wrong"]\n')
    call_at_twilio(stand_in)
    findings = await make(accounts_file=file).sweep()
    assert {found.account_sid: found.error is None for found in findings} == {OTHER: False, ACCOUNT: True}
    assert await calls_known(database) == {CALL}


async def test_one_process_at_a_time_asks_about_an_account(database: Database, stand_in: StandIn, make: Make) -> None:
    call_at_twilio(stand_in)
    every = {"reconcile_every_s": 600.0}
    found = await asyncio.gather(make(**every).sweep(), make(**every).sweep(), make(**every).sweep())
    assert sorted(len(findings) for findings in found) == [0, 0, 1]
    assert await make(**every).sweep() == []  # not before its time


async def test_a_turn_that_was_taken_over_is_lost(database: Database) -> None:
    async with database.transaction() as session:
        turn = await reconciling.take_turn(session, ACCOUNT, lease_s=0.0)
    assert turn is not None
    async with database.transaction() as session:
        assert await reconciling.take_turn(session, ACCOUNT, lease_s=60.0)
    async with database.transaction() as session:
        assert await reconciling.keep_turn(session, turn, lease_s=60.0) is None
        await reconciling.end_turn(session, turn, complete=True, next_in_s=0.0)
    assert await swept_until(database) is None


async def test_numbers_that_must_not_be_kept_are_not(database: Database, stand_in: StandIn, make: Make) -> None:
    call = call_at_twilio(stand_in)
    await make(phone_numbers="drop").sweep()
    async with database.transaction() as session:
        (kept,) = (await session.scalars(select(Callback))).all()
    assert call.to_number not in f"{kept.parameters} {kept.facts}"
    assert (await call_row(database)).to_number is None


async def test_a_call_twilio_no_longer_knows_ends_too(database: Database, make: Make) -> None:
    await deliver(database, status("completed"), recording("in-progress", sid=RecordingSid("RE" + "7" * 32)))
    await deliver(database, status("completed", call_sid=CallSid("CA" + "2" * 32)))
    for sid in (CALL, CallSid("CA" + "2" * 32)):
        await age(database, sid)
    await make().sweep()
    assert (await call_row(database, CallSid("CA" + "2" * 32))).reason == "no_recording"
    assert (await call_row(database)).analysis_state == "waiting"  # it was said to be recorded


async def test_no_transaction_is_open_while_twilio_is_asked(database: Database, stand_in: StandIn, make: Make) -> None:
    recorded(call_at_twilio(stand_in))
    in_use: list[int] = []

    async def look() -> None:
        async with database.transaction() as session:
            statement = text(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and xact_start is not null and pid <> pg_backend_pid() and backend_type = 'client backend'"
            )
            in_use.append(await session.scalar(statement) or 0)

    stand_in.rest.before = look
    await make().sweep()
    assert len(in_use) > 3
    assert set(in_use) == {0}
