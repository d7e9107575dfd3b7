"""GET /api/stats: counts and error rates of the calls that a filter selects."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.calls.call_filter import CallFilter
from amd_service.domain import AccessScope
from amd_service.errors import DatabaseUnavailable
from amd_service.operations.review.error_report import select_for_report
from amd_service.telemetry import get_logger
from amd_service.web.api.example_bodies import STATS
from amd_service.web.api.filter_parameters import FILTER_PARAMETERS, read_filter
from amd_service.web.api.openapi.responses import problems, response
from amd_service.web.api.openapi.route import NO_ACCESS, DescribedRoute
from amd_service.web.api.stats_shapes import ErrorRatesShape, StatsAnswer
from amd_service.web.state import state_of

log = get_logger(__name__)


async def read_stats(request: Request) -> JSONResponse:
    """GET /api/stats: the figures of the tiles and the chart, and the error rates of the report on reviews."""
    call_filter = read_filter(request)
    totals = await state_of(request).statistics.read(call_filter)
    answer = StatsAnswer.of(totals, await _error_rates(request, call_filter))
    return JSONResponse(answer.model_dump(mode="json"))


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
        "judged calls with the filter's period, campaign and tags; without a period, for the last 30 days. All readers "
        "share one result, which is kept for at least 10 seconds.",
        "parameters": list(FILTER_PARAMETERS),
        "responses": {
            "200": response("The figures.", StatsAnswer, example=STATS),
            **problems(*NO_ACCESS, HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE),
        },
    },
)
