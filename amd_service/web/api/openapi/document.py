"""The OpenAPI document and its route."""

from collections.abc import Sequence

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from amd_service import __version__
from amd_service.calls.row_schemas import call_schemas
from amd_service.twilio.call_request import CallRequest
from amd_service.web.api.openapi.responses import Json, problems
from amd_service.web.api.openapi.route import KEY_REQUIRED, NO_ACCESS, DescribedRoute
from amd_service.web.api.schemas import ANSWERS
from amd_service.web.media_types import JSON

DESCRIPTION = """\
Did a human answer, or a voicemail? Twilio reports calls and recordings to `/twilio/…`; verdicts are read from
`/api/calls/{sid}` and from the table `call_log`. `/predict` judges an upload at once.

`undecided` is a valid answer: do not convert it into one of the other two. Errors are problem details (RFC 9457) whose
`detail` says what to change."""


def describe(routes: Sequence[BaseRoute]) -> Json:
    """The OpenAPI 3.1 document of the described routes."""
    _, schemas = models_json_schema(
        [*((shape, "serialization") for shape in ANSWERS), (CallRequest, "validation")],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "amd-service", "version": __version__, "description": DESCRIPTION},
        "paths": {route.path: route.operations for route in routes if isinstance(route, DescribedRoute)},
        "components": {
            "schemas": schemas["$defs"] | call_schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "One of AMD_API_KEYS, where there are any."},
                "signature": {"type": "apiKey", "in": "header", "name": "X-Twilio-Signature"},
            },
        },
    }


async def openapi(request: Request) -> JSONResponse:
    """GET /openapi.json: the document of the app's own routes."""
    return JSONResponse(describe(request.app.routes))


ROUTE = DescribedRoute(
    "/openapi.json",
    openapi,
    get={
        **KEY_REQUIRED,
        "summary": "This document",
        "responses": {
            "200": {"description": "OpenAPI 3.1.", "content": {JSON: {"schema": {"type": "object"}}}},
            **problems(*NO_ACCESS),
        },
    },
)
