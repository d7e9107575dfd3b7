"""The groups from which calls are drawn for review."""

import pytest
from sqlalchemy import func, select, text

from amd_service.calls.strata import DISAGREES, has_low_confidence, is_in, stratum_of
from amd_service.calls.tables import CallLog
from amd_service.database.pool import Database
from amd_service.domain import Stratum
from tests.support.app import make_settings
from tests.support.query_plans import plans
from tests.support.sampling import make_low

pytestmark = pytest.mark.anyio

LOW = make_low(make_settings(min_confidence=0.7, min_confidence_voicemail=0.8))
# label, confidence, Twilio's result, and the expected group
CASES = [
    ("human", 0.95, "machine_start", Stratum.DISAGREEMENT),
    ("human", 0.75, "machine_end_beep", Stratum.DISAGREEMENT),
    ("voicemail", 0.95, "human", Stratum.DISAGREEMENT),
    ("undecided", 0.6, "human", Stratum.UNDECIDED),
    ("undecided", None, None, Stratum.UNDECIDED),
    ("human", 0.8, None, Stratum.LOW_CONFIDENCE),
    ("human", 0.801, None, Stratum.REST),
    ("voicemail", 0.9, "machine_start", Stratum.LOW_CONFIDENCE),
    ("voicemail", 0.91, "machine_start", Stratum.REST),
    ("voicemail", 0.99, "fax", Stratum.REST),
    ("human", 0.99, "unknown", Stratum.REST),
    ("human", 0.99, "human", Stratum.REST),
]


@pytest.fixture
async def filled(database: Database) -> Database:
    rows = [
        CallLog(
            call_sid=f"CA{number}",
            account_sid="AC1",
            analysis_state="judged",
            label=label,
            confidence=confidence,
            reason="no_speech" if confidence is None else "low_confidence" if label == "undecided" else "confident",
            verdict_at=func.now(),
            twilio_answered_by=answered_by,
        )
        for number, (label, confidence, answered_by, _) in enumerate(CASES)
    ]
    async with database.transaction() as session:
        session.add_all([*rows, CallLog(call_sid="CA-failed", account_sid="AC1", analysis_state="waiting")])
    return database


async def test_every_judged_call_belongs_to_the_first_group_that_fits(filled: Database) -> None:
    async with filled.reading() as session:
        found = await session.execute(
            select(CallLog.call_sid, stratum_of(LOW)).where(CallLog.label.is_not(None)).order_by(CallLog.call_sid)
        )
        assert {row.call_sid: row[1] for row in found} == {f"CA{n}": case[3] for n, case in enumerate(CASES)}


@pytest.mark.parametrize("stratum", Stratum)
async def test_the_condition_of_a_group_fits_its_calls_and_no_others(filled: Database, stratum: Stratum) -> None:
    async with filled.reading() as session:
        found = await session.scalars(select(CallLog.call_sid).where(is_in(stratum, LOW)))
        assert set(found) == {f"CA{number}" for number, case in enumerate(CASES) if case[3] is stratum}


async def test_disagreements_are_counted_as_in_the_view_of_agreements(filled: Database) -> None:
    counted = "select sum(calls - twilio_other - agreed) from call_log_agreement where label <> 'undecided'"
    async with filled.reading() as session:
        disagreements = await session.scalar(select(func.count()).where(DISAGREES).select_from(CallLog))
        assert disagreements == await session.scalar(text(counted)) == 3


async def test_an_index_answers_the_search_for_disagreements(filled: Database) -> None:
    statement = select(CallLog.call_sid).where(DISAGREES)
    async with filled.transaction() as session:
        await session.execute(text("set local enable_seqscan = off"))
        assert "ix_call_log_disagreement" in await plans(session, lambda session: session.execute(statement))


async def test_a_disagreement_can_have_a_low_confidence(filled: Database) -> None:
    async with filled.reading() as session:
        found = set(await session.scalars(select(CallLog.call_sid).where(has_low_confidence(LOW))))
        assert found == {"CA1", "CA5", "CA7"}
