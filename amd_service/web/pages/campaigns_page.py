"""GET /campaigns: calls, verdicts and error rates of each campaign."""

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.calls.call_filter import CallFilter, filter_query, written_timespan
from amd_service.calls.campaign_totals import MOST_CALLS, MOST_CAMPAIGNS
from amd_service.domain import AccessScope, AnalysisState, Label
from amd_service.web.authentication import with_scope
from amd_service.web.pages.rendering import templates_of
from amd_service.web.problems import Problem
from amd_service.web.state import state_of

# The abandoned calls of a campaign are counted over 30 days in the USA (docs/campaigns.md). Longer periods have no use
# that justifies their cost.
PERIODS = {written_timespan(timedelta(days=days)): timedelta(days=days) for days in (1, 7, 30)}
DEFAULT_PERIOD = "30d"


async def show_campaigns(request: Request) -> Response:
    """GET /campaigns: a table with one row for each campaign with calls in the period `last`."""
    chosen = request.query_params.get("last") or DEFAULT_PERIOD
    if chosen not in PERIODS:
        raise Problem(HTTPStatus.BAD_REQUEST, f"last={chosen!r} is unknown: use {', '.join(PERIODS)}")
    report = await state_of(request).campaign_reports.read(PERIODS[chosen])
    return templates_of(request).page(
        request,
        "campaigns.html",
        report=report,
        chosen=chosen,
        periods=[(name, "24 hours" if span.days == 1 else f"{span.days} days") for name, span in PERIODS.items()],
        calls_url=_calls_url(PERIODS[chosen]),
        most_calls=MOST_CALLS,
        most_campaigns=MOST_CAMPAIGNS,
    )


def _calls_url(last: timedelta) -> Callable[..., str]:
    """Return a function that makes the URL of the list of a campaign's calls, with one outcome or with all."""

    def calls_url(campaign: str, outcome: str | None = None) -> str:
        selected = CallFilter(
            campaign=campaign,
            last=last,
            labels=(Label(outcome),) if outcome in list(Label) else (),
            states=(AnalysisState.FAILED,) if outcome == AnalysisState.FAILED else (),
        )
        return f"/calls?{filter_query(selected)}"

    return calls_url


ROUTE = Route("/campaigns", with_scope(AccessScope.READ, show_campaigns), methods=["GET"])
