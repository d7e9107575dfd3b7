"""Answers requests for a part of a body (RFC 9110, section 14)."""

import re
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Protocol

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from amd_service.web.problems import Problem

_ONE_RANGE = re.compile(r"bytes=(?!-$)(\d{0,18})-(\d{0,18})", re.ASCII)

# Bytes of a body that exist for each response at once, however many clients read slowly.
CHUNK_BYTES = 64 * 1024


class Body(Protocol):
    """A body of known size that can be read from any place."""

    size: int

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, which is not included."""


def ranged_response(
    request_headers: Headers, body: Body, *, media_type: str, etag: str, headers: Mapping[str, str]
) -> Response:
    """Return the whole body, or the part that the request's Range header names.

    A request for several parts gets the whole body, which the RFC allows. Raises Problem 416 for a part outside it.
    """
    shared = {"accept-ranges": "bytes", "etag": etag, **headers}
    found = _wanted(request_headers, body.size, etag)
    part = range(body.size) if found is None else found
    shared["content-length"] = str(len(part))
    if found is not None:
        shared["content-range"] = f"bytes {part.start}-{part.stop - 1}/{body.size}"
    return StreamingResponse(
        read_in_chunks(body, part),
        status_code=HTTPStatus.OK if found is None else HTTPStatus.PARTIAL_CONTENT,
        media_type=media_type,
        headers=shared,
    )


async def read_in_chunks(body: Body, part: range) -> AsyncIterator[bytes]:
    """Yield a part of the body."""
    for start in range(part.start, part.stop, CHUNK_BYTES):
        yield body.read(start, min(start + CHUNK_BYTES, part.stop))


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
