"""Request bodies with limits on size and time."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from math import inf
from time import monotonic

from starlette.requests import ClientDisconnect, Request

from amd_service.web.media_types import JSON
from amd_service.web.problems import Problem


def media_type(request: Request) -> str:
    """Return the media type of the body in lower case, without parameters; empty without a Content-Type header."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def stream_body(
    request: Request,
    limit: int,
    *,
    setting: str | None = None,
    overhead: int = 0,
    idle_s: float | None = None,
    total_s: float = inf,
) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of the body.

    `setting`: the name of the setting that contains `limit`. `overhead`: bytes that the format of the body may add.
    Raises Problem 413 for more than `limit` + `overhead` bytes. If Content-Length exceeds them, the body is not read.
    Raises Problem 408 when no chunk arrives for `idle_s` seconds, or when a chunk arrives later than `total_s` seconds.
    Raises Problem 400 when the client disconnects before the end of the body.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit + overhead:
        raise too_large("the body", limit, setting)
    received, started = 0, monotonic()
    source = request.stream()
    try:
        while (chunk := await _next(source, idle_s)) is not None:
            received += len(chunk)
            if received > limit + overhead:
                raise too_large("the body", limit, setting)
            if monotonic() - started > total_s:
                raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body did not end within {total_s:g} s")
            yield chunk
    except ClientDisconnect as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "the connection closed before the body was complete") from error


async def _next(source: AsyncGenerator[bytes, None], idle_s: float | None) -> bytes | None:
    try:
        async with asyncio.timeout(idle_s):
            return await anext(source, None)
    except TimeoutError as error:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"no part of the body arrived for {idle_s:g} s") from error


async def read_body(request: Request, limit: int, *, setting: str | None = None, timeout_s: float) -> bytes:
    """Read the whole body. Raises Problem 413 for more than `limit` bytes and Problem 408 after `timeout_s` seconds."""
    try:
        async with asyncio.timeout(timeout_s):
            return b"".join([chunk async for chunk in stream_body(request, limit, setting=setting)])
    except TimeoutError as error:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {timeout_s:g} s") from error


async def read_json(request: Request, limit: int, *, timeout_s: float) -> bytes:
    """Read a body of JSON, which may be invalid JSON. Raises Problem 415 for another media type, and as `read_body`."""
    if media_type(request) != JSON:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send the body with the content type {JSON}")
    return await read_body(request, limit, timeout_s=timeout_s)


def too_large(what: str, limit: int, setting: str | None) -> Problem:
    """Return the problem for more than `limit` bytes. `setting`: the setting that contains the limit, if any."""
    cure = "send less" if setting is None else f"send less, or increase {setting} of the service"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{what} has more than {limit} bytes, the limit: {cure}")
