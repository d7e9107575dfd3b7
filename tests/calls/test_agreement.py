"""The view `call_log_agreement` compares our verdicts with Twilio's, by day and label."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from amd_service.calls.tables.agreement import COLUMNS, CREATE_VIEW
from amd_service.database.pool import Database
from amd_service.domain import CallSid, Label, RecordingSid, Tagging, Verdict
from tests.support.deliveries import Tagged, amd, call_row, claim, deliver, recording, settle, status
from tests.support.verdicts import verdict

pytestmark = pytest.mark.anyio

HUMAN, VOICEMAIL = verdict(Label.HUMAN), verdict(Label.VOICEMAIL, human=0.1)
UNDECIDED = verdict(Label.UNDECIDED, human=0.55)
# One hour before midnight in UTC. In time zones east of UTC, this is the next day.
LATE = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)


async def _judge(
    database: Database, number: int, our_verdict: Verdict, twilio: str | None, answered_at: datetime
) -> CallSid:
    call_sid = CallSid(f"CA{number:032x}")
    await deliver(
        database,
        status("in-progress", timestamp=answered_at, call_sid=call_sid),
        recording("completed", RecordingSid(f"RE{number:032x}"), call_sid=call_sid),
        *([] if twilio is None else [amd(twilio, 3000, call_sid=call_sid)]),
    )
    (job,) = await claim(database)
    assert await settle(database, job, our_verdict)
    return call_sid


async def _view(database: Database) -> list[tuple[object, ...]]:
    async with database.transaction() as session:
        await session.execute(text("set local time zone 'Asia/Tokyo'"))
        rows = await session.execute(text("select * from call_log_agreement order by day, label, campaign"))
        return [tuple(row) for row in rows]


async def test_agreement_is_counted_by_day_in_utc_and_by_label(database: Database) -> None:
    results = [
        (HUMAN, "human"),
        (HUMAN, "human"),
        (HUMAN, "machine_start"),
        (HUMAN, "fax"),
        (HUMAN, "unknown"),
        (HUMAN, None),
        (VOICEMAIL, "machine_end_beep"),
        (VOICEMAIL, "machine_end_silence"),
        (VOICEMAIL, "machine_end_other"),
        (VOICEMAIL, "human"),
        (UNDECIDED, "human"),
        (UNDECIDED, "machine_start"),
    ]
    for number, (ours, twilios) in enumerate(results):
        await _judge(database, number, ours, twilios, LATE)
    await _judge(database, 99, HUMAN, "fax", LATE + timedelta(hours=2))
    today, tomorrow = LATE.date(), LATE.date() + timedelta(days=1)
    assert await _view(database) == [
        # day, label, calls, twilio_human, twilio_machine, twilio_other, agreed, agreement, campaign
        (today, "human", 5, 2, 1, 2, 2, pytest.approx(2 / 3), None),
        (today, "undecided", 2, 1, 1, 0, 0, None, None),
        (today, "voicemail", 4, 1, 3, 0, 3, pytest.approx(0.75), None),
        (tomorrow, "human", 1, 0, 0, 1, 0, None, None),
    ]


async def test_each_campaign_has_its_own_agreement(database: Database) -> None:
    for number, (campaign, twilios) in enumerate([("autumn", "human"), ("spring", "machine_start"), (None, "human")]):
        call_sid = await _judge(database, number, HUMAN, twilios, LATE)
        await deliver(database, Tagged(status("completed", call_sid=call_sid), Tagging(campaign)))
    rows = [(row[-1], row[-2]) for row in await _view(database)]
    assert rows == [("autumn", 1.0), ("spring", 0.0), (None, 1.0)]


async def test_every_column_of_the_view_has_its_documented_type_and_comment(database: Database) -> None:
    async with database.transaction() as session:
        columns = await session.execute(
            text(
                "select attname, format_type(atttypid, atttypmod) from pg_attribute"
                " where attrelid = 'call_log_agreement'::regclass order by attnum"
            )
        )
        migrated = await session.scalar(text("select pg_get_viewdef('call_log_agreement'::regclass)"))
        await session.execute(text("drop view call_log_agreement"))
        await session.execute(text(CREATE_VIEW))
        declared = await session.scalar(text("select pg_get_viewdef('call_log_agreement'::regclass)"))
        await session.rollback()
    assert [tuple(column) for column in columns] == [(name, kind) for name, (kind, _) in COLUMNS.items()]
    assert declared == migrated


async def test_twilios_detection_never_changes_our_verdict(database: Database) -> None:
    call_sid = await _judge(database, 1, HUMAN, None, LATE)
    before = await call_row(database, call_sid)
    await deliver(database, amd("machine_end_beep", 8000, call_sid=call_sid))
    after = await call_row(database, call_sid)
    assert (after.label, after.confidence, after.reason) == (before.label, before.confidence, before.reason)
    assert (after.verdict_at, after.verdict_ms) == (before.verdict_at, before.verdict_ms)
    assert (after.twilio_answered_by, after.twilio_amd_ms) == ("machine_end_beep", 8000)
