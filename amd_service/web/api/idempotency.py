"""The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header)."""

import re
from http import HTTPStatus

from starlette.datastructures import Headers

from amd_service.errors import RequestRefused
from amd_service.operations.dial_policy import require_valid_key
from amd_service.web.api.openapi.responses import Json
from amd_service.web.problems import Problem

HEADER = "Idempotency-Key"

IDEMPOTENCY_KEY: Json = {
    "name": HEADER,
    "in": "header",
    "description": "Chosen by the client, one for each call. The same request with the same key places no second call "
    "and gets the answer of the first; another request with the same key is refused. Keys are kept for a week. Without "
    "a key every request places a call.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}

_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')


def read_key(headers: Headers) -> str | None:
    """The key; None where none was sent. Raises Problem 400 for several keys and for an invalid one.

    The draft defines the value as a quoted string; most clients leave the quotes out. Both forms are the same key.
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
