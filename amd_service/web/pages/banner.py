"""GET /banner: the notices of all pages, for a page that is already open."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from amd_service.domain import ALL_SCOPES
from amd_service.operations.health import database_fault
from amd_service.web.authentication import with_scope
from amd_service.web.pages.notices import classifier_notices, database_notices
from amd_service.web.state import runtime_of


async def send_banner(request: Request) -> JSONResponse:
    """GET /banner: the current notices. The state of the database is read at most once a second for all pages."""
    runtime = runtime_of(request)
    fault = await database_fault(runtime.database, is_logged=False)
    notices = [*classifier_notices(runtime.classifier_report()), *database_notices(fault)]
    return JSONResponse([asdict(notice) for notice in notices], headers={"cache-control": "no-store"})


ROUTE = Route("/banner", with_scope(ALL_SCOPES, send_banner), methods=["GET"])
