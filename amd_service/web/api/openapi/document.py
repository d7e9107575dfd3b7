"""Builds and serves the OpenAPI document."""

from collections.abc import Sequence

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from amd_service import __version__
from amd_service.calls.event_schemas import event_schemas
from amd_service.calls.row_schemas import call_schemas
from amd_service.domain import ALL_SCOPES
from amd_service.twilio.call_request import CallRequest
from amd_service.web.api.openapi.outgoing_events import webhooks
from amd_service.web.api.openapi.responses import Json, problems
from amd_service.web.api.openapi.route import NO_ACCESS, DescribedRoute
from amd_service.web.api.review_shapes import AnalysisAnswer, ReviewRequest, ReviewsAnswer
from amd_service.web.api.schemas import RESPONSE_MODELS
from amd_service.web.api.stats_shapes import StatsAnswer
from amd_service.web.media_types import JSON
from amd_service.web.state import runtime_of

DESCRIPTION = """\
Detects whether a human or a voicemail answered a phone call. Twilio reports calls and recordings to `/twilio/…`.
Verdicts are available from `/api/calls`, `/api/calls/{sid}` and in the table `call_log`. `/predict` judges an uploaded
recording at once.

`undecided` is a valid label: do not convert it to `human` or `voicemail`. Errors are problem details (RFC 9457). Their
member `detail` says what to change."""


def describe(routes: Sequence[BaseRoute], server_url: str = "/") -> Json:
    """Build the OpenAPI 3.1 document of all routes of type `DescribedRoute`. `server_url`: base URL of the service."""
    responses = (*RESPONSE_MODELS, ReviewsAnswer, AnalysisAnswer, StatsAnswer)
    requests = (CallRequest, ReviewRequest)
    _, schemas = models_json_schema(
        [*((shape, "serialization") for shape in responses), *((shape, "validation") for shape in requests)],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "amd-service",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server_url}],
        "paths": _paths([route for route in routes if isinstance(route, DescribedRoute)]),
        "webhooks": webhooks(),
        "components": {
            "schemas": schemas["$defs"] | call_schemas() | event_schemas(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of AMD_API_KEYS, which have all scopes, or a key of `amd-service key add`, "
                    "which has the scopes that were chosen for it. A request without a needed scope gets 403.",
                },
                "signature": {"type": "apiKey", "in": "header", "name": "X-Twilio-Signature"},
            },
        },
    }


def _paths(routes: Sequence[DescribedRoute]) -> Json:
    """Return the operations by path. Several routes can have one path, if each of them needs another scope."""
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {}).update(route.operations)
    return paths


async def openapi(request: Request) -> JSONResponse:
    """GET /openapi.json: the OpenAPI document of this app's routes."""
    return JSONResponse(describe(request.app.routes, runtime_of(request).settings.public_url or "/"))


ROUTE = DescribedRoute(
    "/openapi.json",
    openapi,
    needs=ALL_SCOPES,
    get={
        "summary": "This OpenAPI document",
        "responses": {
            "200": {"description": "OpenAPI 3.1.", "content": {JSON: {"schema": {"type": "object"}}}},
            **problems(*NO_ACCESS),
        },
    },
)
