"""A stream's handshake that arrives as a plain GET: what the path of the WebSocket answers then."""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from amd_service.telemetry import get_logger
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of

log = get_logger(__name__)

DETAIL = "a WebSocket is expected here: does the proxy in front pass `Upgrade`?"


async def missing_upgrade(request: Request) -> Response:
    """GET /twilio/media without an upgrade: 426, and 404 as any other path while AMD_LIVE is off."""
    if not runtime_of(request).settings.live:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    log.warning("stream refused", reason=DETAIL)
    raise Problem(HTTPStatus.UPGRADE_REQUIRED, DETAIL, {"upgrade": "websocket", "connection": "upgrade"})
