"""GET /api/stats: counts and error rates of the calls that a filter selects."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.calls.call_filter import CallFilter
from amd_service.detection.decide_again import Thresholds
from amd_service.domain import AccessScope
from amd_service.errors import DatabaseUnavailable, InvalidThreshold
from amd_service.operations.review.error_report import select_for_report
from amd_service.telemetry import get_logger
from amd_service.web.api.example_bodies import STATS
from amd_service.web.api.filter_parameters import FILTER_PARAMETERS, parameter, read_filter
from amd_service.web.api.openapi.responses import Json, problems, response
from amd_service.web.api.openapi.route import NO_ACCESS, DescribedRoute
from amd_service.web.api.stats_shapes import ErrorRatesShape, StatsAnswer
from amd_service.web.api.what_if_shapes import WhatIfShape
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of, state_of

log = get_logger(__name__)


_THRESHOLD: Json = {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1}
_WHAT_IF = "Adds `what_if`: the verdicts with this minimum confidence"
THRESHOLDS = (
    parameter("min_confidence", f"{_WHAT_IF} of both labels.", _THRESHOLD, 0.8),
    parameter("min_confidence_human", f"{_WHAT_IF} of `human`.", _THRESHOLD),
    parameter("min_confidence_voicemail", f"{_WHAT_IF} of `voicemail`.", _THRESHOLD),
)


async def read_stats(request: Request) -> JSONResponse:
    """GET /api/stats: the figures of the tiles and the chart, and the error rates of the report on reviews."""
    call_filter, thresholds = read_filter(request, *THRESHOLDS), _read_thresholds(request)
    totals = await state_of(request).statistics.read(call_filter)
    found = None
    if thresholds is not None:
        found = WhatIfShape.of(await state_of(request).what_ifs.read((select_for_report(call_filter), thresholds)))
    answer = StatsAnswer.of(totals, await _error_rates(request, call_filter), found)
    return JSONResponse(answer.model_dump(mode="json"))


def _read_thresholds(request: Request) -> Thresholds | None:
    """Return the thresholds in the query string, or None without any. Raises Problem 400."""
    given: dict[str, float] = {}
    for name, option in zip((each["name"] for each in THRESHOLDS), ("both", "human", "voicemail"), strict=True):
        text = request.query_params.get(name, "").strip()
        if text:
            try:
                given[option] = float(text)
            except ValueError as error:
                detail = f"{name}={text[:50]!r} is not a number: use for example 0.8"
                raise Problem(HTTPStatus.BAD_REQUEST, detail) from error
    try:
        return Thresholds.changed(runtime_of(request).detector.policy, **given) if given else None
    except InvalidThreshold as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from error


async def _error_rates(request: Request, call_filter: CallFilter) -> ErrorRatesShape | None:
    selection = select_for_report(call_filter)
    try:
        return ErrorRatesShape.of(selection, await state_of(request).kept_error_reports.read(selection))
    except DatabaseUnavailable as error:
        # The estimate needs all calls of the period. The counts are useful without it.
        log.warning("error rates not counted", error=str(error))
        return None


ROUTE = DescribedRoute(
    "/api/stats",
    read_stats,
    needs=AccessScope.READ,
    get={
        "summary": "Counts and error rates of calls",
        "description": "The figures of the tiles and the chart on the page of calls, for the calls that the filter "
        "selects; without a start, for the last 24 hours. The error rates are estimated from the reviews, for the "
        "judged calls with the filter's period, campaign and tags; without a period, for the last 30 days. With a "
        "minimum confidence, `what_if` says how the verdicts on these calls would change. All readers share one "
        "result, which is kept for at least 10 seconds.",
        "parameters": [*FILTER_PARAMETERS, *THRESHOLDS],
        "responses": {
            "200": response("The figures.", StatsAnswer, example=STATS),
            **problems(*NO_ACCESS, HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE),
        },
    },
)
