"""Reads the filter of calls from a request, and describes it for the form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from amd_service.calls.call_filter import REASONS, CallFilter, filter_query, parse_filter, written_timespan
from amd_service.domain import AnalysisState, CallStatus, Label
from amd_service.errors import InvalidFilter
from amd_service.web.problems import Problem

TIMESPANS = (
    (timedelta(hours=1), "last hour"),
    (timedelta(hours=24), "last 24 hours"),
    (timedelta(days=7), "last 7 days"),
    (timedelta(days=30), "last 30 days"),
)


@dataclass(frozen=True, slots=True)
class Chip:
    """One value of a filter. `query`: query string of the filter without this value."""

    text: str
    query: str


@dataclass(frozen=True, slots=True)
class FilterForm:
    """Contents of the form: the filter, its query string, its values one by one, and the choices of its fields.

    `timespans`: choices of the period, as value and text. `timespan`: the chosen value. `more`: number of chosen
    values of the fields that are hidden at first.
    """

    value: CallFilter
    query: str
    chips: Sequence[Chip]
    timespans: Sequence[tuple[str, str]]
    timespan: str | None
    more: int
    labels: Sequence[str] = tuple(Label)
    reasons: Sequence[str] = tuple(REASONS)
    states: Sequence[str] = tuple(AnalysisState)
    statuses: Sequence[str] = tuple(CallStatus)


def call_filter_of(request: Request) -> CallFilter:
    """Return the filter in the query string of a request. Raises Problem 400 for a value that cannot be read."""
    try:
        return parse_filter(request.query_params.multi_items())
    except InvalidFilter as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error


def describe_form(call_filter: CallFilter) -> FilterForm:
    """Describe a filter for the form."""
    timespans = {written_timespan(timespan): text for timespan, text in TIMESPANS}
    last = None if call_filter.last is None else written_timespan(call_filter.last)
    if last is not None:
        timespans.setdefault(last, f"last {last}")
    return FilterForm(
        value=call_filter,
        query=filter_query(call_filter),
        chips=_chips(call_filter),
        timespans=tuple(timespans.items()),
        timespan=last,
        more=len(_chips(replace(call_filter, search=None, last=None, labels=()))),
    )


def _chips(chosen: CallFilter) -> list[Chip]:
    without: list[tuple[str, CallFilter]] = []
    if chosen.search is not None:
        without.append((f"“{chosen.search}”", replace(chosen, search=None)))
    for name, kind in (("labels", ""), ("reasons", ""), ("states", "state "), ("statuses", "call "), ("tags", "tag ")):
        values = getattr(chosen, name)
        for value in values:
            others: dict[str, Any] = {name: tuple(other for other in values if other != value)}
            text = value if name == "tags" else value.replace("_", " ")
            without.append((f"{kind}{text}", replace(chosen, **others)))
    if chosen.last is not None:
        known = dict(TIMESPANS)
        text = known.get(chosen.last, f"last {written_timespan(chosen.last)}")
        without.append((text, replace(chosen, last=None)))
    if chosen.since is not None:
        without.append((f"since {chosen.since:%Y-%m-%d %H:%M} UTC", replace(chosen, since=None)))
    if chosen.until is not None:
        without.append((f"until {chosen.until:%Y-%m-%d %H:%M} UTC", replace(chosen, until=None)))
    if chosen.campaign is not None:
        without.append((f"campaign {chosen.campaign}", replace(chosen, campaign=None)))
    if chosen.disagreement:
        without.append(("disagrees with Twilio", replace(chosen, disagreement=False)))
    if chosen.low_confidence:
        without.append(("low confidence", replace(chosen, low_confidence=False)))
    if chosen.reviewed is not None:
        without.append(("reviewed" if chosen.reviewed else "not reviewed", replace(chosen, reviewed=None)))
    return [Chip(text, filter_query(rest)) for text, rest in without]
