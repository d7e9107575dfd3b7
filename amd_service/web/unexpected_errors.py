"""Responds to errors that are bugs of this service, and counts them."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service.web.problems import Problem, problem_response
from amd_service.web.state import runtime_of


async def handle_bug(request: Request, _error: Exception) -> JSONResponse:
    """Exception handler for all exceptions that have no other handler.

    uvicorn logs the traceback. The client does not get the traceback.
    """
    endpoint = request.scope.get("endpoint")
    # The path of the route and not of the request, because Prometheus keeps a time series for each value.
    known = [(getattr(route, "endpoint", None), route.path) for route in request.app.routes]
    paths = [path for each, path in known if endpoint is not None and each is endpoint]
    runtime_of(request).metrics.internal_errors.labels(paths[0] if paths else "other").inc()
    return problem_response(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; see the log of the service"))
