"""Live verdicts of calls that also have callbacks and recordings."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from amd_service.calls import actions
from amd_service.calls.analysis import lock_call, refresh_call
from amd_service.calls.streams import Stream, settle_stream
from amd_service.calls.tables import MEDIA_STREAM
from amd_service.database.pool import Database
from amd_service.domain import AccountSid, Action, ActionKind, Label, RecordingSid, StreamSid, Tagging, Verdict
from tests.support.deliveries import (
    Tagged,
    call_row,
    claim,
    deliver,
    recording,
    recording_row,
    settle,
    snapshot,
    status,
    verdict_rows,
)
from tests.support.sids import ACCOUNT, CALL
from tests.support.verdicts import no_speech, verdict

pytestmark = pytest.mark.anyio

STREAM = Stream(ACCOUNT, CALL, StreamSid("MZ" + "1" * 32), lasted_s=2.5, whole=True)
VOICEMAIL = verdict(Label.VOICEMAIL, human=0.1)
UNSURE = verdict(Label.UNDECIDED, human=0.6)


async def settle_live(database: Database, live_verdict: Verdict, stream: Stream = STREAM, **wanted: Action) -> bool:
    async with database.transaction() as session:
        actions_by_label = {Label(label): action for label, action in wanted.items()}
        return await settle_stream(session, stream, live_verdict, actions_by_label) is not None


async def test_a_live_verdict_is_written_to_the_calls_row(database: Database) -> None:
    await deliver(database, status("in-progress"))
    assert await settle_live(database, verdict(Label.HUMAN, runs=2))
    call = await call_row(database)
    assert (call.analysis_state, call.label, call.reason, call.verdict_source) == (
        "judged", "human", "confident", "stream",
    )  # fmt: skip
    assert call.recording_sid == STREAM.stream_sid
    assert call.answer_to_verdict_ms is not None
    assert call.verdict_ms == pytest.approx(2500, abs=500)
    row = await recording_row(database, RecordingSid(STREAM.stream_sid))
    assert (row.source, row.state, row.track, row.channels) == (MEDIA_STREAM, "done", "inbound", 1)
    assert row.started_at == row.queued_at
    runs = await verdict_rows(database)
    assert [(run.source, run.run_number, run.decided) for run in runs] == [("stream", 1, False), ("stream", 2, True)]


async def test_a_stream_before_any_callback_creates_the_call(database: Database) -> None:
    assert await settle_live(database, VOICEMAIL)
    assert (await call_row(database)).label == "voicemail"
    await deliver(database, status("in-progress"), status("completed", duration_s=9))
    call = await call_row(database)
    assert (call.label, call.call_status, call.verdict_source) == ("voicemail", "completed", "stream")


async def test_a_second_verdict_of_the_same_stream_changes_nothing(database: Database) -> None:
    assert await settle_live(database, verdict(Label.HUMAN))
    before = await snapshot(database)
    assert not await settle_live(database, VOICEMAIL)
    assert await snapshot(database) == before


async def test_a_stream_of_another_accounts_call_is_ignored(database: Database) -> None:
    await deliver(database, status("in-progress"))
    before = await snapshot(database)
    assert not await settle_live(database, VOICEMAIL, replace(STREAM, account_sid=AccountSid("AC" + "b" * 32)))
    assert await snapshot(database) == before


@pytest.mark.parametrize("live_first", [True, False])
@pytest.mark.parametrize(
    ("live", "recorded", "label", "source"),
    [
        (verdict(Label.HUMAN), VOICEMAIL, "human", "stream"),
        (UNSURE, VOICEMAIL, "voicemail", "recording"),
        (no_speech(), UNSURE, "undecided", "recording"),
        (VOICEMAIL, UNSURE, "voicemail", "stream"),
    ],
)
async def test_a_decided_live_verdict_takes_precedence_and_an_undecided_live_verdict_does_not(
    database: Database, live: Verdict, recorded: Verdict, label: str, source: str, live_first: bool
) -> None:
    if live_first:
        assert await settle_live(database, live)
    await deliver(database, recording("completed"))  # began before the stream
    (job,) = await claim(database)
    assert await settle(database, job, recorded)
    if not live_first:
        assert await settle_live(database, live)
    call = await call_row(database)
    assert (call.analysis_state, call.label, call.verdict_source) == ("judged", label, source)


async def test_an_undecided_stream_waits_for_an_unfinished_recording(database: Database) -> None:
    await deliver(database, recording("completed"))
    assert await settle_live(database, no_speech())
    assert (await call_row(database)).analysis_state == "queued"


@pytest.mark.parametrize("live_first", [True, False])
@pytest.mark.parametrize(
    ("recorded", "label", "source"),
    [(VOICEMAIL, "voicemail", "recording"), (UNSURE, "undecided", "recording"), (None, "human", "stream")],
)
async def test_the_verdict_on_a_recording_takes_precedence_over_a_broken_stream(
    database: Database, recorded: Verdict | None, label: str, source: str, live_first: bool
) -> None:
    """The connection broke off, for example because of a deployment while the call was in progress."""
    broken = replace(STREAM, whole=False)
    if live_first:
        assert await settle_live(database, verdict(Label.HUMAN), broken)
    if recorded is not None:
        await deliver(database, recording("completed"))
        assert not live_first or (await call_row(database)).analysis_state == "queued"
        (job,) = await claim(database)
        assert await settle(database, job, recorded)
    if not live_first:
        assert await settle_live(database, verdict(Label.HUMAN), broken)
    call = await call_row(database)
    assert (call.analysis_state, call.label, call.verdict_source) == ("judged", label, source)


async def test_a_broken_streams_verdict_schedules_no_action(database: Database) -> None:
    hang_up = Action(ActionKind.HANG_UP)
    await deliver(database, status("in-progress"))
    await settle_live(database, verdict(Label.HUMAN), replace(STREAM, whole=False), human=hang_up)
    second = replace(STREAM, stream_sid=StreamSid("MZ" + "2" * 32))
    await settle_live(database, no_speech(), second, human=hang_up)
    call = await call_row(database)
    assert (call.label, call.action) == ("human", None)


async def test_an_undecided_stream_waits_for_a_recording_in_progress(database: Database) -> None:
    await deliver(database, status("in-progress"), recording("in-progress"))
    await settle_live(database, no_speech())
    assert (await call_row(database)).analysis_state == "waiting"
    await deliver(database, recording("absent"))
    assert (await call_row(database)).label == "undecided"


async def test_a_verdict_with_an_action_stays_on_the_row(database: Database) -> None:
    """A longer stream that began earlier, and the recording of the call, both have another verdict."""
    await deliver(database, status("in-progress", timestamp=None))
    await settle_live(database, verdict(Label.HUMAN), human=Action(ActionKind.HANG_UP))
    earlier = replace(STREAM, stream_sid=StreamSid("MZ" + "2" * 32), lasted_s=6.0)
    assert await settle_live(database, VOICEMAIL, earlier, voicemail=Action(ActionKind.HANG_UP))
    await deliver(database, recording("completed"), status("completed"))
    (job,) = await claim(database)
    assert await settle(database, job, VOICEMAIL)
    call = await call_row(database)
    assert (call.analysis_state, call.label, call.verdict_source) == ("judged", "human", "stream")
    assert (call.action, call.action_state) == ("hang_up", "due")


async def test_a_stream_is_never_claimed_from_the_queue(database: Database) -> None:
    await settle_live(database, verdict(Label.HUMAN))
    assert await claim(database) == []


async def test_an_action_is_scheduled_with_the_verdict(database: Database) -> None:
    await deliver(database, status("in-progress"))
    await settle_live(database, VOICEMAIL, voicemail=Action(ActionKind.HANG_UP))
    call = await call_row(database)
    assert (call.action, call.action_state) == ("hang_up", "due")


async def test_a_recording_schedules_no_action_if_the_call_has_a_live_verdict(database: Database) -> None:
    """A recording that ends while the call is in progress schedules no action if the live verdict came too late."""
    hang_up = Action(ActionKind.HANG_UP)
    await deliver(database, status("in-progress"))
    await settle_live(database, verdict(Label.HUMAN))
    await deliver(database, recording("completed"))
    (job,) = await claim(database)
    assert await settle(database, job, VOICEMAIL, {Label.HUMAN: hang_up, Label.VOICEMAIL: hang_up})
    call = await call_row(database)
    assert (call.label, call.verdict_source, call.action) == ("human", "stream", None)


async def test_after_a_refused_action_a_live_verdict_may_still_schedule_one(database: Database) -> None:
    hang_up = Action(ActionKind.HANG_UP)
    await deliver(database, status("in-progress"), recording("completed"))  # answered long before
    (job,) = await claim(database)
    assert await settle(database, job, VOICEMAIL, {Label.VOICEMAIL: hang_up})
    assert (await call_row(database)).action_state == "refused"
    await settle_live(database, VOICEMAIL, voicemail=hang_up)
    call = await call_row(database)
    assert (call.verdict_source, call.action_state, call.action_note) == ("stream", "due", None)


async def test_after_a_refused_action_the_row_gets_later_verdicts(database: Database) -> None:
    """A verdict stays on the row only while its action is due, sent or done."""
    hang_up = Action(ActionKind.HANG_UP)
    await deliver(database, status("in-progress", timestamp=datetime.now(UTC)), recording("completed"))
    (job,) = await claim(database)
    assert await settle(database, job, VOICEMAIL, {Label.VOICEMAIL: hang_up})
    await settle_live(database, verdict(Label.HUMAN))
    await deliver(database, status("completed"))
    assert (await call_row(database)).label == "voicemail"
    async with database.transaction() as session:
        taken = await actions.claim_due(session, [ACCOUNT], {Label.VOICEMAIL: hang_up}, 1)
    assert [due.label for due in taken.refused] == ["voicemail"]
    call = await call_row(database)
    assert (call.label, call.verdict_source, call.action_state) == ("human", "stream", "refused")


async def test_an_undecided_live_verdict_becomes_final_after_reconciliation(database: Database) -> None:
    await deliver(database, status("in-progress"), recording("in-progress"), status("completed"))
    await settle_live(database, no_speech())
    assert (await call_row(database)).analysis_state == "waiting"
    async with database.transaction() as session:
        call = await lock_call(session, CALL)
        call.reconciled_at = call.created_at
        await refresh_call(session, call)
    assert (await call_row(database)).label == "undecided"


async def test_a_stream_alone_gives_its_campaign_and_tags_to_the_call(database: Database) -> None:
    tagged = replace(STREAM, tagging=Tagging("spring", ("vip",)))
    assert await settle_live(database, VOICEMAIL, tagged)
    call = await call_row(database)
    assert (call.label, call.campaign, call.tags) == ("voicemail", "spring", ["vip"])


@pytest.mark.parametrize("order", [1, -1])
async def test_the_status_callback_decides_between_two_campaigns_in_any_order(database: Database, order: int) -> None:
    async def stream() -> None:
        await settle_live(database, VOICEMAIL, replace(STREAM, tagging=Tagging("autumn", ("live",))))

    async def callback() -> None:
        await deliver(database, Tagged(status("in-progress"), Tagging("spring", ("vip",))))

    for step in [stream, callback][::order]:
        await step()
    call = await call_row(database)
    assert (call.campaign, call.tags) == ("spring", ["live", "vip"])
