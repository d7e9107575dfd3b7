"""GET /review/report: error rates of all calls, estimated from the reviewed calls, and the agreement of reviewers."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.calls.call_filter import written_timespan
from amd_service.domain import AccessScope, Stratum
from amd_service.operations.review.error_report import select_for_report
from amd_service.operations.review.reviewer_agreement import MIN_PAIRS
from amd_service.web.authentication import with_scope
from amd_service.web.pages.filter_form import call_filter_of
from amd_service.web.pages.rendering import templates_of
from amd_service.web.pages.review_page import ANSWERS
from amd_service.web.state import state_of

PERIODS = (("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("365d", "1 year"))
STRATA = (
    (Stratum.DISAGREEMENT, "Twilio disagrees"),
    (Stratum.UNDECIDED, "Undecided"),
    (Stratum.LOW_CONFIDENCE, "Low confidence"),
    (Stratum.REST, "All other calls"),
)


async def show_report(request: Request) -> Response:
    """GET /review/report: parameters `last`, `since`, `until`, `campaign` and `tag`, as on the page of calls.

    Without a period: the calls of the last 30 days.
    """
    call_filter = select_for_report(call_filter_of(request))
    report = await state_of(request).error_reports.read(call_filter)
    return templates_of(request).page(
        request,
        "review_report.html",
        report=report,
        call_filter=call_filter,
        last=written_timespan(call_filter.last) if call_filter.last else "",
        periods=PERIODS,
        answers=ANSWERS,
        strata=dict(STRATA),
        min_pairs=MIN_PAIRS,
    )


ROUTE = Route("/review/report", with_scope(AccessScope.READ, show_report), methods=["GET"])
