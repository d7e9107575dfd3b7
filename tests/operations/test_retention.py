"""Retention: Twilio's recordings, old callbacks, and numbers that must not be kept."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, text
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.calls.number_backfill import Cursor, ScanStep
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.tables import Callback, Recording
from amd_service.database.pool import Database
from amd_service.domain import AccountSid, CallSid, Label, RecordingSid
from amd_service.errors import DatabaseUnavailable, TwilioUnavailable
from amd_service.operations.retention import BACKFILLS, Backfill, BatchSizes, Retention
from amd_service.runtime import build_retention
from amd_service.settings import Settings
from amd_service.simulator.twilio.loopback_server import SimulatedTwilio
from amd_service.simulator.twilio.media_host import MediaFile, ScriptedResponse
from amd_service.telemetry import Metrics
from amd_service.twilio.rest import RestClient
from tests.support.deliveries import claim, deliver, recording, recording_row, settle
from tests.support.numbers import FROM, callbacks, change, deliver_status
from tests.support.sids import ACCOUNT, RECORDING, SECOND_RECORDING
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio


def retention_for(
    database: Database,
    twilio: SimulatedTwilio,
    client: httpx2.AsyncClient,
    *,
    batches: BatchSizes = BatchSizes(),  # noqa: B008 - immutable
    backfills: Sequence[tuple[Backfill, Cursor]] = BACKFILLS,
    **changes: Any,
) -> Retention:
    values: dict[str, Any] = {
        "twilio_api_url": twilio.url,
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": ["token"],
        "delete_recordings": True,
    }
    settings = Settings(_env_file=None, **values | changes)
    rest = RestClient(client, settings)
    return build_retention(
        settings, database, rest, NumberPolicy.from_settings(settings), Metrics(), batches=batches, backfills=backfills
    )


async def judged(database: Database, twilio: SimulatedTwilio, *sids: RecordingSid) -> None:
    await deliver(database, *(recording("completed", sid) for sid in sids))
    for job in await claim(database):
        await settle(database, job, verdict(Label.HUMAN))
    twilio.media.files.update({sid: MediaFile(b"audio") for sid in sids})


def forgotten(forgetful: Retention, what: str) -> float:
    return forgetful.metrics.registry.get_sample_value("amd_forgotten_total", {"what": what}) or 0.0


async def test_the_copy_of_a_judged_recording_is_deleted(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    await judged(database, twilio, RECORDING)
    await deliver(database, recording("completed", SECOND_RECORDING))
    twilio.media.files[SECOND_RECORDING] = MediaFile(b"not judged yet")
    forgetful = retention_for(database, twilio, client)
    await forgetful.erase()
    assert set(twilio.media.files) == {SECOND_RECORDING}
    assert (await recording_row(database)).erased_at is not None
    assert (await recording_row(database, SECOND_RECORDING)).erased_at is None
    assert forgotten(forgetful, "recording") == 1
    (line,) = [line for line in "".join(capfd.readouterr()).splitlines() if "recording deleted at Twilio" in line]
    assert RECORDING in line


async def test_a_copy_that_is_gone_counts_as_deleted(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    await judged(database, twilio, RECORDING)
    twilio.media.files.clear()
    await retention_for(database, twilio, client).erase()
    assert (await recording_row(database)).erased_at is not None


async def test_each_copy_is_deleted_once(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    await judged(database, twilio, RECORDING)
    forgetful = retention_for(database, twilio, client)
    await forgetful.erase()
    await forgetful.erase()
    assert len(twilio.rest.requests) == 1


async def test_a_refused_deletion_does_not_block_the_others(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    await judged(database, twilio, RECORDING, SECOND_RECORDING)
    refusal = b'{"code": 20009, "message": "Recording is in use"}'
    twilio.rest.scripted.append(ScriptedResponse(400, refusal, {"content-type": "application/json"}))
    forgetful = retention_for(database, twilio, client)
    await forgetful.erase()
    erased = [(await recording_row(database, sid)).erased_at is not None for sid in (RECORDING, SECOND_RECORDING)]
    assert sorted(erased) == [False, True]
    assert (forgotten(forgetful, "refused"), forgotten(forgetful, "recording")) == (1, 1)


async def test_an_account_whose_credentials_are_refused_gets_one_request_per_pass(
    database: Database,
    twilio: SimulatedTwilio,
    client: httpx2.AsyncClient,
    tmp_path: Path,
) -> None:
    revoked = AccountSid("AC" + "b" * 32)
    sids = [RecordingSid(f"RE{number:032x}") for number in range(5)]
    theirs = CallSid("CA" + "2" * 32)
    await deliver(database, *(recording("completed", sid, account_sid=revoked, call_sid=theirs) for sid in sids))
    await judged(database, twilio, RECORDING)
    known = tmp_path / "accounts.toml"
    known.write_text(f'[[account]]\naccount_sid = "{revoked}"\nauth_tokens = ["revoked"]\n')
    await retention_for(database, twilio, client, batches=BatchSizes(erase=2), accounts_file=known).erase()
    asked = [request.path.split("/")[3] for request in twilio.rest.requests]
    assert sorted(asked) == [ACCOUNT, revoked]
    assert (await recording_row(database)).erased_at is not None


async def test_a_deletion_is_retried_after_an_outage(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    await judged(database, twilio, RECORDING)
    twilio.rest.scripted.append(ScriptedResponse(503))
    forgetful = retention_for(database, twilio, client)
    with pytest.raises(TwilioUnavailable):
        await forgetful.erase()
    await forgetful.erase()
    assert (len(twilio.rest.requests), (await recording_row(database)).erased_at) == (1, None)
    await change(database, Recording, erase_after=func.now())
    await forgetful.erase()
    assert (await recording_row(database)).erased_at is not None


async def test_a_backlog_is_deleted_in_one_pass(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    await judged(database, twilio, *(RecordingSid(f"RE{number:032x}") for number in range(5)))
    await retention_for(database, twilio, client, batches=BatchSizes(erase=2)).erase()
    assert twilio.media.files == {}


async def test_recordings_of_other_applications_stay_and_do_not_block_ours(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    await judged(database, twilio, RECORDING)
    # Reconciliation has found this call, but another application placed and recorded it.
    await change(database, Callback, route="rest")
    ours = CallSid("CA" + "2" * 32)
    await deliver(database, recording("completed", SECOND_RECORDING, call_sid=ours))
    (job,) = await claim(database)
    await settle(database, job, verdict(Label.HUMAN))
    twilio.media.files[SECOND_RECORDING] = MediaFile(b"audio")
    await retention_for(database, twilio, client, batches=BatchSizes(erase=1)).erase()
    assert set(twilio.media.files) == {RECORDING}


async def test_nothing_is_deleted_by_default(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    await deliver_status(database, "completed")
    await age_callbacks(database, 1000)
    await retention_for(database, twilio, client).forget()
    (callback,) = await callbacks(database)
    assert (FROM in repr(callback.parameters), callback.facts["from_number"]) == (True, FROM)


async def age_callbacks(database: Database, days: float) -> None:
    await change(database, Callback, received_at=func.now() - timedelta(days=days))


async def test_old_callbacks_are_stripped_batch_after_batch(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    for number in range(5):
        await deliver_status(database, "in-progress", SequenceNumber=str(number))
    await age_callbacks(database, 31)
    await deliver_status(database, "completed", SequenceNumber="9")
    forgetful = retention_for(database, twilio, client, batches=BatchSizes(expire=2), callback_days=30)
    await forgetful.forget()
    assert [callback.parameters is None for callback in await callbacks(database)] == [True] * 5 + [False]
    assert forgotten(forgetful, "callback") == 5


@pytest.mark.parametrize("mode", ["hash", "drop"])
async def test_the_number_policy_is_applied_to_old_rows(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient, mode: str
) -> None:
    for number in range(5):
        await deliver_status(database, "in-progress", CallSid=f"CA{number:032x}")
    forgetful = retention_for(
        database, twilio, client, batches=BatchSizes(backfill=2), phone_numbers=mode, phone_number_key="k" * 16
    )
    await forgetful.forget()
    assert await plain(database) == 0
    assert forgotten(forgetful, "numbers") == 10
    # A process with the old settings stores another row.
    await deliver_status(database, "in-progress", CallSid=f"CA{9:032x}")
    await forgetful.forget()
    assert (await plain(database), forgotten(forgetful, "numbers")) == (0, 12)


async def plain(database: Database) -> int:
    """The number of rows that still contain a plain number."""
    async with database.transaction() as session:
        calls = "select count(*) from call_log where call_log::text like '%500555%'"
        told = "select count(*) from callback where callback::text like '%500555%'"
        return int(await session.scalar(text(calls)) or 0) + int(await session.scalar(text(told)) or 0)


async def test_an_interrupted_scan_continues_at_its_cursor(
    database: Database, twilio: SimulatedTwilio, client: httpx2.AsyncClient
) -> None:
    for number in range(3):
        await deliver_status(database, "in-progress", CallSid=f"CA{number:032x}")
    seen, (backfill, start) = [], BACKFILLS[0]

    async def losing_the_database(session: AsyncSession, numbers: NumberPolicy, after: Cursor, limit: int) -> ScanStep:
        seen.append(after.key)
        if len(seen) == 3:
            raise DatabaseUnavailable("for a moment")
        return await backfill(session, numbers, after, limit)

    forgetful = retention_for(
        database,
        twilio,
        client,
        batches=BatchSizes(backfill=1),
        backfills=[(losing_the_database, start), BACKFILLS[1]],
        phone_numbers="drop",
    )
    with pytest.raises(DatabaseUnavailable):
        await forgetful.forget()
    await forgetful.forget()
    assert seen[3] == seen[2]
    assert (await plain(database), forgotten(forgetful, "numbers")) == (0, 6)
