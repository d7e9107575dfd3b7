"""Answers requests for a part of a body that is in memory (RFC 9110, section 14)."""

import re
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import Response

from amd_service.web.problems import Problem

_ONE_RANGE = re.compile(r"bytes=(?!-$)(\d{0,18})-(\d{0,18})", re.ASCII)


def ranged_response(
    request_headers: Headers, body: bytes, *, media_type: str, etag: str, headers: Mapping[str, str]
) -> Response:
    """Return the whole body, or the part that the request's Range header names.

    A request for several parts gets the whole body, which the RFC allows. Raises Problem 416 for a part outside it.
    """
    shared = {"accept-ranges": "bytes", "etag": etag, **headers}
    wanted = _wanted(request_headers, len(body), etag)
    if wanted is None:
        return Response(body, media_type=media_type, headers=shared)
    part = {"content-range": f"bytes {wanted.start}-{wanted.stop - 1}/{len(body)}"}
    return Response(
        body[wanted.start : wanted.stop],
        status_code=HTTPStatus.PARTIAL_CONTENT,
        media_type=media_type,
        headers=shared | part,
    )


def _wanted(headers: Headers, size: int, etag: str) -> range | None:
    """Return the wanted bytes. None: the whole body. If-Range names another version: the whole body."""
    match = _ONE_RANGE.fullmatch(headers.get("range", ""))
    if match is None or headers.get("if-range", etag) != etag:
        return None
    first, last = match[1], match[2]
    if first and last and int(last) < int(first):
        return None  # the RFC says to ignore an invalid header
    if first:
        wanted = range(int(first), min(size, int(last) + 1) if last else size)
    else:
        wanted = range(max(0, size - int(last)), size)
    if not wanted:
        raise Problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"the recording has {size} bytes: request a part of them",
            {"content-range": f"bytes */{size}"},
        )
    return wanted
