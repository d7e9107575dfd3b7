"""The conclusion about a call from its recordings."""

import pytest

from amd_service.calls import queue
from amd_service.database.pool import Database
from amd_service.domain import Failure, Label, Verdict
from tests.support.deliveries import call_row, claim, deliver, recording, settle, snapshot, status
from tests.support.sids import RECORDING, SECOND_RECORDING
from tests.support.verdicts import no_speech, verdict

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (verdict(Label.HUMAN), verdict(Label.VOICEMAIL, human=0.1), "human"),
        (verdict(Label.UNDECIDED, human=0.6), verdict(Label.VOICEMAIL, human=0.1), "voicemail"),
        (verdict(Label.VOICEMAIL, human=0.1), no_speech(), "voicemail"),
        (no_speech(), verdict(Label.UNDECIDED, human=0.6), "undecided"),
    ],
)
async def test_the_earliest_decided_recording_gives_the_calls_verdict(
    database: Database, first: Verdict, second: Verdict, expected: str, order: int
) -> None:
    await deliver(database, recording("completed", SECOND_RECORDING), recording("completed", RECORDING))
    jobs = {job.recording_sid: job for job in await claim(database)}
    for sid, given in [(RECORDING, first), (SECOND_RECORDING, second)][::order]:
        await settle(database, jobs[sid], given)
    call = await call_row(database)
    assert (call.analysis_state, call.label) == ("judged", expected)
    if first == no_speech() and expected == "undecided":
        assert call.reason == "no_speech"


async def test_a_failed_recording_does_not_hide_the_verdict_on_another_recording(database: Database) -> None:
    await deliver(database, recording("completed", RECORDING), recording("completed", SECOND_RECORDING))
    jobs = {job.recording_sid: job for job in await claim(database)}
    async with database.transaction() as session:
        await queue.give_up(session, jobs[RECORDING], Failure.UNDECODABLE, "XML")
    assert (await call_row(database)).analysis_state == "running"
    await settle(database, jobs[SECOND_RECORDING], verdict(Label.HUMAN))
    assert (await call_row(database)).label == "human"


async def test_callbacks_after_the_verdict_do_not_change_it(database: Database) -> None:
    await deliver(database, recording("completed"))
    (job,) = await claim(database)
    await settle(database, job, verdict(Label.HUMAN))
    before = await snapshot(database)
    await deliver(database, recording("absent"), recording("in-progress"))
    after = await snapshot(database)
    assert after["call_log"] == before["call_log"]
    assert after["recording"][0]["state"] == "done"
    await deliver(database, status("completed", duration_s=9))
    assert (await call_row(database)).label == "human"


async def test_the_calls_row_names_the_recording_behind_its_verdict(database: Database) -> None:
    await deliver(database, recording("completed", RECORDING), recording("completed", SECOND_RECORDING))
    assert (await call_row(database)).recording_sid is None
    jobs = {job.recording_sid: job for job in await claim(database)}
    await settle(database, jobs[SECOND_RECORDING], verdict(Label.HUMAN))
    assert (await call_row(database)).recording_sid == SECOND_RECORDING
    await settle(database, jobs[RECORDING], verdict(Label.VOICEMAIL, human=0.1))
    call = await call_row(database)
    assert (call.label, call.recording_sid) == ("voicemail", RECORDING)


async def test_a_call_that_loses_its_verdict_loses_the_recording_too(database: Database) -> None:
    await deliver(database, recording("completed", RECORDING))
    (job,) = await claim(database)
    await settle(database, job, no_speech())
    assert (await call_row(database)).recording_sid == RECORDING
    await deliver(database, recording("completed", SECOND_RECORDING))
    call = await call_row(database)
    assert (call.analysis_state, call.label, call.recording_sid) == ("queued", None, None)
