"""Builds OpenAPI response objects."""

from http import HTTPStatus
from typing import Any

from amd_service.domain import sid_pattern
from amd_service.web.api.schemas import ProblemShape, Shape
from amd_service.web.media_types import JSON, PROBLEM_JSON

Json = dict[str, Any]

RETRY_AFTER: Json = {
    "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until a retry."}}
}
HEADERS: dict[HTTPStatus, Json] = {
    HTTPStatus.UPGRADE_REQUIRED: {"headers": {"Upgrade": {"schema": {"const": "websocket"}}}},
    HTTPStatus.UNAUTHORIZED: {"headers": {"WWW-Authenticate": {"schema": {"type": "string"}}}},
    HTTPStatus.TOO_MANY_REQUESTS: RETRY_AFTER,
    HTTPStatus.SERVICE_UNAVAILABLE: RETRY_AFTER,
}


def sid(prefix: str) -> Json:
    """Build the OpenAPI schema of a Twilio SID with this two-letter prefix."""
    return {"type": "string", "pattern": sid_pattern(prefix)}


def response(
    description: str, shape: type[Shape] | str, media_type: str = JSON, *, example: Json | None = None
) -> Json:
    """Build an OpenAPI response object.

    `shape`: the schema of the body, as a class or as a name in the OpenAPI document.
    """
    name = shape if isinstance(shape, str) else shape.__name__
    content: Json = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    return {
        "description": description,
        "content": {media_type: content if example is None else content | {"example": example}},
    }


def problems(*statuses: HTTPStatus, shape: type[ProblemShape] = ProblemShape) -> Json:
    """Build the OpenAPI response objects for problems, keyed by status."""
    return {
        str(status.value): response(status.phrase, shape, PROBLEM_JSON) | HEADERS.get(status, {}) for status in statuses
    }
