"""Concurrency limits of one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from amd_service.web.problems import Problem, problem_response


class Limiter:
    """Non-blocking concurrency limiter."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    @contextmanager
    def try_acquire(self) -> Iterator[bool]:
        """Hold one slot during the context. Yields False, without a slot, when all `limit` slots are in use."""
        if self._free <= 0:
            yield False
            return
        self._free -= 1
        try:
            yield True
        finally:
            self._free += 1


class UploadLimiter:
    """ASGI middleware: allows at most `limit` concurrent requests to `path`.

    A request above the limit gets 429 before its body is read. Every upload stays in memory until its verdict. The
    limit therefore protects the webhooks, which run in the same process.
    """

    def __init__(self, app: ASGIApp, *, limit: int, path: str) -> None:
        self._app = app
        self._limiter = Limiter(limit)
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        with self._limiter.try_acquire() as is_acquired:
            problem = Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many concurrent uploads", retry_after_s=1)
            await (self._app if is_acquired else problem_response(problem))(scope, receive, send)
