"""The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header)."""

import re
from http import HTTPStatus

from starlette.datastructures import Headers

from amd_service.errors import RequestRefused
from amd_service.operations.dial_policy import require_valid_key
from amd_service.web.api.openapi.responses import Json
from amd_service.web.problems import Problem

HEADER = "Idempotency-Key"

_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')


def key_parameter(description: str) -> Json:
    """Build the OpenAPI parameter. `description`: what a repeated request with the same key does."""
    return {
        "name": HEADER,
        "in": "header",
        "description": description,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    }


def read_key(headers: Headers) -> str | None:
    """Return the key; None when the request has no key. Raises Problem 400 for several keys and for an invalid key.

    The draft defines the value as a quoted string, but most clients omit the quotes. A key with quotes is
    equal to the key without quotes.
    """
    sent = headers.getlist(HEADER)
    if not sent:
        return None
    if len(sent) > 1:
        raise Problem(HTTPStatus.BAD_REQUEST, f"send one {HEADER}, not {len(sent)}")
    quoted = _QUOTED.fullmatch(sent[0])
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else sent[0]
    try:
        require_valid_key(key)
    except RequestRefused as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{HEADER}: {error}") from error
    return key
