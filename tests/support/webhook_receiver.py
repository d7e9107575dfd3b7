"""A backend on loopback that records signed events and answers as a test wants."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.simulator.twilio.loopback_server import serve_on_loopback

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_" + "b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQg"

Answer = Callable[[Request], Awaitable[Response]]


async def accept(_request: Request) -> Response:
    return Response(status_code=204)


@dataclass(slots=True)
class WebhookReceiver:
    """`requests`: headers and body of every request. `accepted`: the verified events that were answered with 2xx."""

    url: str = ""
    answer: Answer = accept
    requests: list[tuple[dict[str, str], str]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self, request: Request) -> Response:
        body, headers = (await request.body()).decode(), dict(request.headers)
        self.requests.append((headers, body))
        event = Webhook(SECRET).verify(body, headers)
        response = await self.answer(request)
        if response.status_code < 300:
            self.accepted.append(event)
        return response

    def sequences(self, call_sid: str) -> list[int]:
        """The accepted events of a call in order of arrival, by their first arrival."""
        arrived = [event["data"]["sequence"] for event in self.accepted if event["data"]["call_sid"] == call_sid]
        return list(dict.fromkeys(arrived))


@asynccontextmanager
async def webhook_receiver(answer: Answer = accept) -> AsyncIterator[WebhookReceiver]:
    receiver = WebhookReceiver(answer=answer)
    async with serving(receiver):
        yield receiver


@asynccontextmanager
async def serving(receiver: WebhookReceiver) -> AsyncIterator[None]:
    """Serve a receiver: at its port if it was served before, else at any free port."""
    app = Starlette(routes=[Route("/{path:path}", receiver.receive, methods=["POST"])])
    async with serve_on_loopback(app, port=urlsplit(receiver.url).port or 0) as url:
        receiver.url = f"{url}/amd"
        yield
