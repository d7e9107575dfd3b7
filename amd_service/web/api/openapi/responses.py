"""How an answer is written down."""

from http import HTTPStatus
from typing import Any

from amd_service.web.api.schemas import ProblemShape, Shape

Json = dict[str, Any]

JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"

RETRY_AFTER: Json = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
HEADERS: dict[HTTPStatus, Json] = {
    HTTPStatus.UPGRADE_REQUIRED: {"Upgrade": {"schema": {"const": "websocket"}}},
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    HTTPStatus.TOO_MANY_REQUESTS: RETRY_AFTER,
    HTTPStatus.SERVICE_UNAVAILABLE: RETRY_AFTER,
}


def answer(description: str, shape: type[Shape] | str, media_type: str = JSON_TYPE) -> Json:
    """An answer of this shape, by its name in the document."""
    name = shape if isinstance(shape, str) else shape.__name__
    return {
        "description": description,
        "content": {media_type: {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }


def problems(*statuses: HTTPStatus) -> Json:
    """The errors a caller may meet, by status."""
    return {str(status.value): _problem(status) for status in statuses}


def _problem(status: HTTPStatus) -> Json:
    described = answer(status.phrase, ProblemShape, PROBLEM_TYPE)
    return described | {"headers": HEADERS[status]} if status in HEADERS else described
