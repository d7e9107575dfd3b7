"""The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header)."""

import re
from http import HTTPStatus

from starlette.datastructures import Headers

from amd_service.errors import RequestRefused
from amd_service.operations.call_request import check_key
from amd_service.web.problems import Problem

HEADER = "Idempotency-Key"

_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')


def read_key(headers: Headers) -> str | None:
    """The key, None where none was sent. Raises Problem 400 for several, and for one that is none.

    The draft writes it as a quoted string; most clients leave the quotes out. Both are the same key.
    """
    sent = headers.getlist(HEADER)
    if not sent:
        return None
    quoted = _QUOTED.fullmatch(sent[0])
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else sent[0]
    if len(sent) > 1:
        raise Problem(HTTPStatus.BAD_REQUEST, f"send one {HEADER}, not {len(sent)}")
    try:
        check_key(key)
    except RequestRefused as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{HEADER}: {error}") from error
    return key
