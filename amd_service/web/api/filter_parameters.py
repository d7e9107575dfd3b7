"""Query parameters that select calls: the same as those of the page of calls."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request

from amd_service.calls.call_filter import MAX_TEXT_LENGTH, REASONS, CallFilter, parse_filter, search_fault
from amd_service.domain import AnalysisState, CallStatus, Label
from amd_service.errors import InvalidFilter
from amd_service.web.api.openapi.responses import Json
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of

_YES_OR_NO: Json = {"type": "string", "enum": ["yes", "no"]}
_TEXT: Json = {"type": "string", "maxLength": MAX_TEXT_LENGTH}


def parameter(name: str, description: str, schema: Json, example: object | None = None) -> Json:
    """Build an OpenAPI parameter of the query string."""
    described: Json = {"name": name, "in": "query", "description": description, "schema": schema}
    return described if example is None else described | {"example": example}


def _several(values: Sequence[str]) -> Json:
    return {"type": "array", "items": {"type": "string", "enum": [str(value) for value in values]}}


FILTER_PARAMETERS = (
    parameter("q", "A CallSid, a RecordingSid, a StreamSid or the called number.", _TEXT, "+15005550010"),
    parameter("label", "Calls with one of these labels. May be repeated.", _several(tuple(Label)), ["undecided"]),
    parameter("reason", "Calls with one of these reasons. May be repeated.", _several(tuple(REASONS))),
    parameter("state", "Calls with one of these analysis states. May be repeated.", _several(tuple(AnalysisState))),
    parameter("status", "Calls with one of these statuses. May be repeated.", _several(tuple(CallStatus))),
    parameter(
        "last",
        "Calls that began in the last minutes (`m`), hours (`h`) or days (`d`), by `created_at`.",
        {"type": "string", "pattern": "^[1-9][0-9]{0,3}[mhd]$"},
        "7d",
    ),
    parameter(
        "since",
        "Calls that began since this date or time, by `created_at`. UTC without an offset.",
        _TEXT,
        "2026-11-28",
    ),
    parameter("until", "Calls that began before this date or time, by `created_at`.", _TEXT, "2026-11-28T10:00:00Z"),
    parameter("campaign", "Calls of this campaign.", _TEXT, "spring"),
    parameter("tag", "Calls with all of these tags. May be repeated.", {"type": "array", "items": _TEXT}, ["vip"]),
    parameter("disagreement", "`yes`: Twilio's own detection has the opposite result.", _YES_OR_NO),
    parameter("low_confidence", "`yes`: the confidence is at most 0.1 above the threshold.", _YES_OR_NO),
    parameter("reviewed", "`yes`: somebody has reviewed the call. `no`: nobody has.", _YES_OR_NO),
)


def read_filter(request: Request, *others: Json) -> CallFilter:
    """Return the filter in the query string. `others`: descriptions of the other parameters that the endpoint has.

    Raises Problem 400 for a value that cannot be read, and for an unknown parameter: without the error, a misspelt
    filter would select all calls.
    """
    known = [each["name"] for each in (*FILTER_PARAMETERS, *others)]
    for name in request.query_params:
        if name not in known:
            detail = f"the parameter {name[:50]!r} is unknown: use {', '.join(known)}"
            raise Problem(HTTPStatus.BAD_REQUEST, detail)
    try:
        call_filter = parse_filter(request.query_params.multi_items())
    except InvalidFilter as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error
    rules = runtime_of(request).rules
    if fault := search_fault(call_filter.search, rules.numbers):
        raise Problem(HTTPStatus.BAD_REQUEST, fault)
    return call_filter
