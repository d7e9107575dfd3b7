"""How many uploads are taken in at once."""

from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from amd_service.web.limiter import Limiter
from amd_service.web.problems import Problem, problem_response


class UploadSlots:
    """ASGI middleware: at most `limit` requests to `path` at a time, 429 to the next one before its body is read.

    An upload is held in memory until it is judged, in the process whose webhook door must stay open.
    """

    def __init__(self, app: ASGIApp, *, limit: int, path: str) -> None:
        self._app = app
        self._places = Limiter(limit)
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        with self._places.one() as is_free:
            problem = Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many uploads at once", retry_after_s=1)
            await (self._app if is_free else problem_response(problem))(scope, receive, send)
