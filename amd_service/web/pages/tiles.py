"""GET /calls/tiles and /calls/over-time: counts of the calls that a filter selects."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from amd_service.calls.call_totals import MOST_CALLS, MOST_DUE, OUTCOMES, Totals
from amd_service.domain import AccessScope
from amd_service.web.authentication import with_scope
from amd_service.web.pages.filter_form import call_filter_of
from amd_service.web.pages.rendering import HEADERS, templates_of
from amd_service.web.state import state_of


async def show_tiles(request: Request) -> Response:
    """GET /calls/tiles: the tiles, as a part of the list of calls."""
    totals = await state_of(request).statistics.read(call_filter_of(request))
    judged = sum(totals.labels.values())
    return templates_of(request).page(
        request,
        "tiles.html",
        totals=totals,
        judged=judged,
        failed=sum(totals.failures.values()),
        most_calls=MOST_CALLS,
        most_due=MOST_DUE,
    )


async def show_over_time(request: Request) -> Response:
    """GET /calls/over-time: calls by time and outcome, for the chart."""
    totals = await state_of(request).statistics.read(call_filter_of(request))
    return JSONResponse(_columns(totals), headers=HEADERS)


def _columns(totals: Totals) -> dict[str, object]:
    """Return the columns that uPlot draws: starts of the buckets in Unix seconds, and the counts of each outcome."""
    return {
        "starts": [start.timestamp() for start in totals.over_time],
        "counts": {outcome: [counts[outcome] for counts in totals.over_time.values()] for outcome in OUTCOMES},
    }


ROUTES = (
    Route("/calls/tiles", with_scope(AccessScope.READ, show_tiles), methods=["GET"]),
    Route("/calls/over-time", with_scope(AccessScope.READ, show_over_time), methods=["GET"]),
)
