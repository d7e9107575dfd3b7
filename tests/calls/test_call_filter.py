"""A filter of calls is a query string, and selects calls in the database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from amd_service.calls.call_filter import (
    REASONS,
    CallFilter,
    FilterRules,
    conditions,
    filter_query,
    parse_filter,
    search_fault,
)
from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.strata import LowConfidence
from amd_service.calls.tables import CallLog, Recording, Review
from amd_service.database.pool import Database
from amd_service.domain import AnalysisState, CallStatus, Failure, Label, Reason
from amd_service.errors import InvalidFilter
from tests.support.call_rows import BEGAN, call, store
from tests.support.sids import ACCOUNT, RECORDING

pytestmark = pytest.mark.anyio

HASH = NumberPolicy("hash", b"k" * 16)
KEEP = NumberPolicy("keep")
DROP = NumberPolicy("drop")
NUMBER = "+15005550006"
LOW_CONFIDENCE = LowConfidence(human=0.8, voicemail=0.9)


def parse(query: str) -> CallFilter:
    return parse_filter([tuple(pair.split("=", 1)) for pair in query.split("&") if pair])  # type: ignore[misc]


async def found(database: Database, query: str, numbers: NumberPolicy = KEEP) -> list[int]:
    """The numbers of the calls that a query string selects."""
    rules = FilterRules(numbers, LOW_CONFIDENCE)
    async with database.transaction() as session:
        sids = await session.scalars(
            select(CallLog.call_sid).where(*conditions(parse(query), rules)).order_by(CallLog.created_at)
        )
        return [int(sid[2:], 16) for sid in sids]


def some_of(enum: Any) -> st.SearchStrategy[Any]:
    members = list(enum)
    return st.sets(st.sampled_from(members)).map(lambda chosen: tuple(sorted(chosen, key=members.index)))


TEXT = st.text(min_size=1, max_size=200).filter(lambda text: text == text.strip() and "\0" not in text)
TEXT = TEXT.filter(lambda text: text.encode("utf-8", "ignore").decode() == text)
MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001

FILTERS = st.builds(
    CallFilter,
    search=st.none() | TEXT,
    labels=some_of(Label),
    reasons=some_of(REASONS.values()),
    states=some_of(AnalysisState),
    statuses=some_of(CallStatus),
    last=st.none() | st.integers(1, 9999).map(lambda hours: timedelta(hours=hours)),
    since=st.none() | MOMENTS,
    until=st.none() | MOMENTS,
    campaign=st.none() | TEXT,
    tags=st.sets(TEXT, max_size=3).map(lambda tags: tuple(sorted(tags))),
    disagreement=st.booleans(),
    low_confidence=st.booleans(),
    reviewed=st.none() | st.booleans(),
)


@given(FILTERS)
def test_a_filter_is_the_same_after_its_query_string(chosen: CallFilter) -> None:
    from_query = parse_filter(parse_qsl(filter_query(chosen)))
    assert from_query == chosen
    assert filter_query(from_query) == filter_query(chosen)


def test_equal_filters_have_one_query_string() -> None:
    written = "tag=b&reason=gave_up&label=voicemail&reason=low_confidence&label=human&tag=a&last=24h&q= &page=3"
    assert filter_query(parse(written)) == (
        "label=human&label=voicemail&reason=low_confidence&reason=gave_up&last=1d&tag=a&tag=b"
    )


def test_an_empty_filter_has_an_empty_query_string() -> None:
    assert filter_query(CallFilter()) == ""
    assert parse("") == CallFilter()


@pytest.mark.parametrize(
    ("query", "cure"),
    [
        ("label=humans", "label='humans' is unknown: use human, voicemail, undecided"),
        ("reason=bored", "use confident, beep, low_confidence"),
        ("state=done", "use waiting, queued"),
        ("status=ended", "use queued, initiated"),
        ("last=week", "use for example 90m, 24h or 7d"),
        ("last=0d", "use for example 90m, 24h or 7d"),
        ("since=yesterday", "use for example 2026-11-28 or"),
        ("until=0001-01-01T00:00+23:00", "use for example 2026-11-28 or"),
        ("reviewed=maybe", "use yes or no"),
        ("disagreement=1", "use yes or no"),
        (f"campaign={'a' * 201}", "use at most 200"),
        (f"tag={'a' * 201}", "use at most 200"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_a_cure(query: str, cure: str) -> None:
    with pytest.raises(InvalidFilter, match=cure):
        parse(query)


def test_a_time_without_a_zone_is_in_utc() -> None:
    assert parse("since=2026-11-28").since == datetime(2026, 11, 28, tzinfo=UTC)
    assert parse("since=2026-11-28T10:00+02:00").since == datetime(2026, 11, 28, 8, tzinfo=UTC)


async def test_calls_are_selected_by_verdict_state_and_status(database: Database) -> None:
    await store(
        database,
        call(1, label=Label.HUMAN),
        call(2, label=Label.VOICEMAIL),
        call(3, label=Label.UNDECIDED),
        call(4, analysis_state="failed", reason=Failure.GAVE_UP),
        call(5, analysis_state="not_applicable", call_status="busy"),
    )
    assert await found(database, "") == [1, 2, 3, 4, 5]
    assert await found(database, "label=human&label=undecided") == [1, 3]
    assert await found(database, f"reason={Reason.LOW_CONFIDENCE}&reason={Failure.GAVE_UP}") == [3, 4]
    assert await found(database, "state=failed&state=not_applicable") == [4, 5]
    assert await found(database, "status=busy") == [5]
    assert await found(database, "label=human&status=busy") == []


async def test_calls_are_selected_by_time(database: Database) -> None:
    recent = datetime.now(UTC) - timedelta(minutes=30)
    await store(database, call(1), call(2), call(3), call(4, created_at=recent))
    second, third = (BEGAN + timedelta(minutes=number) for number in (2, 3))
    assert await found(database, f"since={second:%Y-%m-%dT%H:%M}&until={third:%Y-%m-%dT%H:%M}") == [2]
    assert await found(database, "last=1h") == [4]


async def test_calls_are_selected_by_campaign_and_by_all_tags(database: Database) -> None:
    await store(
        database,
        call(1, campaign="spring", tags=["a", "b"]),
        call(2, campaign="autumn", tags=["a"]),
        call(3),
    )
    assert await found(database, "campaign=spring") == [1]
    assert await found(database, "tag=a") == [1, 2]
    assert await found(database, "tag=a&tag=b") == [1]


async def test_calls_are_selected_by_disagreement_and_low_confidence(database: Database) -> None:
    await store(
        database,
        call(1, label=Label.HUMAN, twilio_answered_by="human"),
        call(2, label=Label.HUMAN, twilio_answered_by="machine_start"),
        call(3, label=Label.VOICEMAIL, twilio_answered_by="human"),
        call(4, label=Label.UNDECIDED, twilio_answered_by="human"),
        call(5, label=Label.HUMAN, confidence=0.75),
        call(6, label=Label.VOICEMAIL, confidence=0.85),
        call(7, label=Label.HUMAN, confidence=0.85),
    )
    assert await found(database, "disagreement=yes") == [2, 3]
    assert await found(database, "low_confidence=yes") == [5, 6]


async def test_calls_are_selected_by_whether_somebody_reviewed_them(database: Database) -> None:
    await store(database, call(1), call(2))
    await store(
        database,
        Review(call_sid=call(2).call_sid, reviewer="ada", answer="human"),
        Review(call_sid=call(2).call_sid, reviewer="bob", answer="human"),
    )
    assert await found(database, "reviewed=yes") == [2]
    assert await found(database, "reviewed=no") == [1]


async def test_a_call_is_found_by_its_sid_and_by_the_sid_of_its_recording(database: Database) -> None:
    await store(database, call(1), call(2))
    await store(
        database,
        Recording(recording_sid=RECORDING, call_sid=call(2).call_sid, account_sid=ACCOUNT, state="queued"),
    )
    assert await found(database, f"q={call(1).call_sid}") == [1]
    assert await found(database, f"q={RECORDING}") == [2]
    assert await found(database, f"q=RE{'f' * 32}") == []
    assert await found(database, "q=nonsense") == []


@pytest.mark.parametrize("numbers", [KEEP, HASH], ids=["keep", "hash"])
@pytest.mark.parametrize(
    "written",
    ["+15005550006", "1 500 555 0006", "+1 (500) 555-0006", "0015005550006", "(500) 555-0006", "500.555.0006"],
)
async def test_a_number_is_found_in_every_spelling(database: Database, numbers: NumberPolicy, written: str) -> None:
    await store(
        database,
        call(1, to_number=numbers.redact_number(NUMBER)),
        call(2, to_number=numbers.redact_number("+15005550007")),
        call(3),
    )
    assert await found(database, f"q={written}", numbers) == [1]


async def test_a_hash_and_a_sip_address_are_found_as_they_are_stored(database: Database) -> None:
    hashed = HASH.redact_number(NUMBER)
    await store(database, call(1, to_number=hashed), call(2, to_number=HASH.redact_number("sip:ada@example.com")))
    assert await found(database, f"q={hashed}", HASH) == [1]
    assert await found(database, "q=sip:ada@example.com", HASH) == [2]


async def test_a_search_that_cannot_match_says_why(database: Database) -> None:
    assert search_fault(None, KEEP) is None
    assert search_fault(NUMBER, HASH) is None
    assert search_fault(call(1).call_sid, DROP) is None
    assert "neither a CallSid" in str(search_fault("hello", KEEP))
    assert "AMD_PHONE_NUMBERS=drop" in str(search_fault(NUMBER, DROP))
    await store(database, call(1))
    assert await found(database, f"q={NUMBER}", DROP) == []
