"""Receives the results of calls with Starlette. Run `uvicorn starlette_receiver:app --port 9000`.

Set AMD_DELIVERY_URL of the service to https://…/amd-events, and AMD_DELIVERY_SECRET in both places.
"""

import os

from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# Replace this by a table with a unique column: an event may arrive twice.
EVENTS: dict[str, dict[str, object]] = {}


async def receive(request: Request) -> Response:
    """POST /amd-events: verify and store an event. An error becomes a 500, and the event is sent again."""
    # The signature covers the bytes of the body, so verify it before it is parsed.
    body = await request.body()
    try:
        event = Webhook(os.environ["AMD_DELIVERY_SECRET"]).verify(body, dict(request.headers))
    except WebhookVerificationError:
        return Response("invalid signature", status_code=401)
    EVENTS.setdefault(request.headers["webhook-id"], event)
    return Response(status_code=204)


app = Starlette(routes=[Route("/amd-events", receive, methods=["POST"])])
