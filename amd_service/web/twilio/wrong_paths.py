"""Refuses requests from Twilio that arrive at a wrong path or with a wrong method, and names the cure.

Without this check, access control would ask Twilio for an API key, and no log line would show the lost callback.
"""

import re
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from amd_service.operations.judge_stream import StreamOutcome
from amd_service.telemetry import Metrics, get_logger
from amd_service.web.problems import Problem, problem_response

log = get_logger(__name__)

# Label of `amd_callbacks_total` for each path. A Media Stream is counted in `amd_streams_total`.
_ROUTES = {"status": "status", "recording": "recording", "amd": "amd", "stream.xml": "stream", "media": None}
_PATH = re.compile(r"(?P<prefix>.*)/twilio/(?P<name>status|recording|amd|stream\.xml|media)(?P<slash>/*)", re.DOTALL)


class WrongPaths:
    """ASGI middleware: counts, logs and refuses requests whose path only ends like a path for Twilio."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _PATH.fullmatch(scope["path"]) if scope["type"] in ("http", "websocket") else None
        problem = None if match is None else _problem(scope, match)
        if match is None or problem is None:
            await self._app(scope, receive, send)
            return
        log.warning("request from Twilio refused", path=scope["path"], reason=problem.detail)
        route = _ROUTES[match["name"]]
        if route is None:
            self._metrics.streams.labels(StreamOutcome.REFUSED).inc()
        else:
            self._metrics.callbacks.labels(route, f"refused_{problem.status.value}").inc()
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before `accept`: rejects the handshake with 403
            return
        await problem_response(problem)(scope, receive, send)


def _problem(scope: Scope, match: re.Match[str]) -> Problem | None:
    """Return the problem of a request whose path ends like a path for Twilio; None if path and method are right."""
    path = f"/twilio/{match['name']}"
    if match["prefix"]:
        detail = f"the proxy must strip the prefix {match['prefix']!r}, so that the path is {path}"
        return Problem(HTTPStatus.NOT_FOUND, detail)
    if match["slash"]:
        return Problem(HTTPStatus.NOT_FOUND, f"the path must be {path}, without a slash at its end")
    if match["name"] in ("status", "recording", "amd") and scope.get("method") != "POST":
        detail = f"{path} accepts only POST: set the method of the callback to POST, also for redirects of a proxy"
        return Problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"allow": "POST"})
    return None
