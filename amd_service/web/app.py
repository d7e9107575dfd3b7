"""Builds the ASGI app from lists of routes, middleware and exception handlers."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route, WebSocketRoute

from amd_service.errors import DatabaseUnavailable
from amd_service.runtime import Runtime
from amd_service.web.access import AccessControl
from amd_service.web.api import call_reviews, calls, health, listed_calls, model_info, predict, predict_stream, stats
from amd_service.web.api.openapi import document
from amd_service.web.limiter import UploadLimiter
from amd_service.web.pages import (
    account,
    banner,
    call_audio,
    call_list,
    call_page,
    campaigns_page,
    csv_export,
    events,
    review_page,
    review_report,
    sign_in,
    start,
    tiles,
    try_it,
    view_actions,
)
from amd_service.web.pages.problem_page import handle_database_outage, handle_http_exception, handle_problem
from amd_service.web.pages.static_files import PageFiles
from amd_service.web.problems import Problem
from amd_service.web.response_headers import ResponseHeaders
from amd_service.web.state import create_state
from amd_service.web.time_limits import DEFAULT_TIME_LIMITS, TimeLimits
from amd_service.web.twilio import media, stream_xml, webhooks
from amd_service.web.twilio.wrong_paths import WrongPaths
from amd_service.web.unexpected_errors import handle_bug

Routes = Sequence[Route | WebSocketRoute | Mount]

PUBLIC_PATHS = ("/", "/health", "/ready", "/sign-in", "/static/")
# Paths whose handlers read the CSRF token from the form.
FORM_PATHS = ("/sign-out", account.PASSWORD_PATH, view_actions.PATH)

HEALTH_ROUTES: Routes = health.ROUTES

SERVICE_ROUTES: Routes = (
    *webhooks.ROUTES,  # first, because the router tries one route after the other, and most requests are callbacks
    start.ROUTE,
    banner.ROUTE,
    predict.ROUTE,
    predict_stream.ROUTE,
    model_info.ROUTE,
    listed_calls.ROUTE,
    *calls.ROUTES,
    *call_reviews.ROUTES,
    stats.ROUTE,
    document.ROUTE,
    stream_xml.ROUTE,
    *media.ROUTES,
    *HEALTH_ROUTES,
    # Before the page of one call, whose path would match `/calls/events` too.
    *call_list.ROUTES,
    csv_export.ROUTE,
    view_actions.ROUTE,
    *events.ROUTES,
    *tiles.ROUTES,
    *call_audio.ROUTES,
    campaigns_page.ROUTE,
    *call_page.ROUTES,
    *review_page.ROUTES,
    review_report.ROUTE,
    *sign_in.ROUTES,
    *account.ROUTES,
    *try_it.ROUTES,
    Mount("/static", PageFiles()),
)


def create_app(
    runtime: Runtime, routes: Routes = SERVICE_ROUTES, *, time_limits: TimeLimits = DEFAULT_TIME_LIMITS
) -> Starlette:
    """Build the ASGI app.

    `runtime`: an open runtime. `routes`: HEALTH_ROUTES for a process that only runs a worker.
    """
    upload_limit = runtime.settings.inference_queue
    state = create_state(runtime, time_limits)
    app = Starlette(
        routes=list(routes),
        middleware=[
            Middleware(ResponseHeaders),
            Middleware(WrongPaths, metrics=runtime.metrics),
            Middleware(
                AccessControl, authentication=state.authentication, public_paths=PUBLIC_PATHS, form_paths=FORM_PATHS
            ),
            # Streams have a separate limiter, because a stream lasts as long as a call and must not block uploads.
            Middleware(UploadLimiter, limit=upload_limit, path=predict.ROUTE.path),
            Middleware(UploadLimiter, limit=upload_limit, path=predict_stream.ROUTE.path),
        ],
        exception_handlers={
            Problem: handle_problem,
            DatabaseUnavailable: handle_database_outage,
            HTTPException: handle_http_exception,
            Exception: handle_bug,
        },
    )
    # Redirects are off: a redirect loses the body of a POST, and the Host header of the request determines the target.
    app.router.redirect_slashes = False
    for route in routes:
        # Without a value of 0 at the start, `increase()` in Prometheus would not count the first error.
        runtime.metrics.internal_errors.labels(route.path)
    app.state.service = state
    return app
