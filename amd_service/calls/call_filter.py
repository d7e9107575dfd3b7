"""Selects calls: a filter, its query string and its SQL conditions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import BindParameter, Boolean, ColumnElement, bindparam, false, func, literal_column, select
from sqlalchemy.orm import InstrumentedAttribute

from amd_service.calls.number_policy import NumberPolicy
from amd_service.calls.number_search import is_number, stored_forms
from amd_service.calls.storable import storable
from amd_service.calls.strata import DISAGREES, LowConfidence, has_low_confidence
from amd_service.calls.tables import CallLog, Recording, Review
from amd_service.calls.tables.call_log import TAGGED
from amd_service.domain import AnalysisState, CallStatus, Failure, Label, Reason, is_sid
from amd_service.errors import InvalidFilter

E = TypeVar("E", bound=StrEnum)

REASONS: Mapping[str, Reason | Failure] = {str(reason): reason for kind in (Reason, Failure) for reason in kind}

MAX_TEXT_LENGTH = 200

_TIMESPAN = re.compile(r"([1-9]\d{0,3})([mhd])")
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to show. Each field that is set narrows the selection; an empty filter selects all calls.

    A call has one of the labels, one of the reasons, one of the states, one of the statuses, and all tags. `since`
    (inclusive), `until` (exclusive) and `last` (until now) are about `created_at`. `search`: a CallSid, a RecordingSid,
    a StreamSid or the called number. `disagreement`: Twilio's own detection has the opposite result. `low_confidence`:
    the confidence is close to the threshold.
    """

    search: str | None = None
    labels: tuple[Label, ...] = ()
    reasons: tuple[Reason | Failure, ...] = ()
    states: tuple[AnalysisState, ...] = ()
    statuses: tuple[CallStatus, ...] = ()
    last: timedelta | None = None
    since: datetime | None = None
    until: datetime | None = None
    campaign: str | None = None
    tags: tuple[str, ...] = ()
    disagreement: bool = False
    low_confidence: bool = False
    reviewed: bool | None = None


@dataclass(frozen=True, slots=True)
class FilterRules:
    """The settings that a filter depends on: how numbers are stored, and which confidence is low."""

    numbers: NumberPolicy
    low_confidence: LowConfidence


def parse_filter(pairs: Iterable[tuple[str, str]]) -> CallFilter:
    """Read a filter from the parameters of a query string. Blank and unknown parameters are ignored.

    Raises InvalidFilter for a value that cannot be read. The message names the cure.
    """
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if stripped := storable(value.strip()):
            given.setdefault(name, []).append(stripped)
    return CallFilter(
        search=_text(given, "q"),
        labels=_members(given, "label", {str(label): label for label in Label}),
        reasons=_members(given, "reason", REASONS),
        states=_members(given, "state", {str(state): state for state in AnalysisState}),
        statuses=_members(given, "status", {str(status): status for status in CallStatus}),
        last=_timespan(given, "last"),
        since=_moment(given, "since"),
        until=_moment(given, "until"),
        campaign=_text(given, "campaign"),
        tags=tuple(sorted({_checked_length("tag", tag) for tag in given.get("tag", [])})),
        disagreement=bool(_flag(given, "disagreement")),
        low_confidence=bool(_flag(given, "low_confidence")),
        reviewed=_flag(given, "reviewed"),
    )


def filter_query(call_filter: CallFilter) -> str:
    """Return the canonical query string of a filter, without `?`. Equal filters have equal query strings."""
    pairs: list[tuple[str, str | None]] = [
        ("q", call_filter.search),
        *(("label", value) for value in call_filter.labels),
        *(("reason", value) for value in call_filter.reasons),
        *(("state", value) for value in call_filter.states),
        *(("status", value) for value in call_filter.statuses),
        ("last", None if call_filter.last is None else written_timespan(call_filter.last)),
        ("since", None if call_filter.since is None else written_moment(call_filter.since)),
        ("until", None if call_filter.until is None else written_moment(call_filter.until)),
        ("campaign", call_filter.campaign),
        *(("tag", value) for value in call_filter.tags),
        ("disagreement", "yes" if call_filter.disagreement else None),
        ("low_confidence", "yes" if call_filter.low_confidence else None),
        ("reviewed", None if call_filter.reviewed is None else "yes" if call_filter.reviewed else "no"),
    ]
    return urlencode([(name, value) for name, value in pairs if value])


def conditions(call_filter: CallFilter, rules: FilterRules) -> list[ColumnElement[bool]]:
    """Return the SQL conditions of a filter, for the columns of `call_log`. All of them must hold."""
    return [
        *_search_conditions(call_filter.search, rules.numbers),
        *_verdict_conditions(call_filter, rules),
        *_time_conditions(call_filter),
        *([CallLog.campaign == call_filter.campaign] if call_filter.campaign else []),
        *([CallLog.tags.contains(list(call_filter.tags)), literal_column(TAGGED, Boolean)] if call_filter.tags else []),
        *_review_conditions(call_filter.reviewed),
    ]


def search_fault(search: str | None, numbers: NumberPolicy) -> str | None:
    """Return why no call can match a search text, as a sentence for people. None if a call can match."""
    if search is None or any(is_sid(search, prefix) for prefix in ("CA", "RE", "MZ")):
        return None
    if not is_number(search):
        return (
            f"“{search}” is neither a CallSid (CA…), nor a RecordingSid (RE…), nor a phone number such as +15005550006."
        )
    if not stored_forms(search, numbers):
        return "Calls cannot be found by number, because this service stores no numbers (AMD_PHONE_NUMBERS=drop)."
    return None


def _search_conditions(search: str | None, numbers: NumberPolicy) -> list[ColumnElement[bool]]:
    if search is None:
        return []
    if is_sid(search, "CA"):
        return [CallLog.call_sid == search]
    if is_sid(search, "RE") or is_sid(search, "MZ"):
        return [CallLog.call_sid.in_(select(Recording.call_sid).where(Recording.recording_sid == search))]
    forms = stored_forms(search, numbers) if is_number(search) else []
    return [CallLog.to_number.in_(forms)] if forms else [false()]


def _verdict_conditions(call_filter: CallFilter, rules: FilterRules) -> list[ColumnElement[bool]]:
    chosen = (
        (CallLog.label, call_filter.labels),
        (CallLog.reason, call_filter.reasons),
        (CallLog.analysis_state, call_filter.states),
        (CallLog.call_status, call_filter.statuses),
    )
    return [
        *(_one_of(column, values) for column, values in chosen if values),
        *([DISAGREES] if call_filter.disagreement else []),
        *([has_low_confidence(rules.low_confidence)] if call_filter.low_confidence else []),
    ]


def _one_of(column: InstrumentedAttribute[Any], values: Sequence[str]) -> ColumnElement[bool]:
    # Constants instead of parameters, so that Postgres can use a partial index. They are members of enums.
    constants: BindParameter[str] = bindparam(
        None, [str(value) for value in values], expanding=True, literal_execute=True
    )
    condition: ColumnElement[bool] = column.in_(constants)
    return condition


def _time_conditions(call_filter: CallFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if call_filter.last is not None:
        found.append(CallLog.created_at >= func.now() - call_filter.last)
    if call_filter.since is not None:
        found.append(CallLog.created_at >= call_filter.since)
    if call_filter.until is not None:
        found.append(CallLog.created_at < call_filter.until)
    return found


def _review_conditions(reviewed: bool | None) -> list[ColumnElement[bool]]:
    if reviewed is None:
        return []
    if reviewed:
        # An array instead of `exists`: far fewer calls are reviewed than stored. Postgres would begin with the newest
        # calls or read the whole table.
        return [CallLog.call_sid == func.any(func.array(select(Review.call_sid).scalar_subquery()))]
    return [~select(Review.id).where(Review.call_sid == CallLog.call_sid).correlate(CallLog).exists()]


def written_timespan(timespan: timedelta) -> str:
    """Return a timespan as the query string has it, for example `7d` or `1h`."""
    minutes = int(timespan.total_seconds()) // 60
    unit = next(unit for unit in ("d", "h", "m") if minutes % _MINUTES[unit] == 0)
    return f"{minutes // _MINUTES[unit]}{unit}"


def written_moment(moment: datetime) -> str:
    """Return a time as the query string has it, for example `2026-11-28T10:00:00Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text(given: Mapping[str, list[str]], name: str) -> str | None:
    values = given.get(name, [])
    return _checked_length(name, values[-1]) if values else None


def _checked_length(name: str, value: str) -> str:
    if len(value) > MAX_TEXT_LENGTH:
        raise InvalidFilter(f"{name} has {len(value)} characters: use at most {MAX_TEXT_LENGTH}")
    return value


def _members(given: Mapping[str, list[str]], name: str, known: Mapping[str, E]) -> tuple[E, ...]:
    """Return the members of an enum in its order."""
    values = set(given.get(name, []))
    for value in sorted(values - set(known)):
        raise InvalidFilter(f"{name}={value!r} is unknown: use {', '.join(known)}")
    return tuple(member for value, member in known.items() if value in values)


def _flag(given: Mapping[str, list[str]], name: str) -> bool | None:
    value = _text(given, name)
    if value not in (None, "yes", "no"):
        raise InvalidFilter(f"{name}={value!r} is unknown: use yes or no")
    return None if value is None else value == "yes"


def _timespan(given: Mapping[str, list[str]], name: str) -> timedelta | None:
    value = _text(given, name)
    if value is None:
        return None
    match = _TIMESPAN.fullmatch(value)
    if match is None:
        raise InvalidFilter(f"{name}={value!r} is not a timespan: use for example 90m, 24h or 7d")
    return timedelta(minutes=int(match[1]) * _MINUTES[match[2]])


def _moment(given: Mapping[str, list[str]], name: str) -> datetime | None:
    """Return a time in UTC. A time without a time zone is in UTC; a date is its midnight."""
    value = _text(given, name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        cure = "use for example 2026-11-28 or 2026-11-28T10:00Z"
        raise InvalidFilter(f"{name}={value!r} is not a time: {cure}") from error
