"""The page at the root of a simulated Twilio: its recordings, its calls, and what was sent, as indented JSON."""

import json

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from amd_service.simulator.call_library import CallLibrary, dialled_number
from amd_service.simulator.journal import Journal
from amd_service.simulator.twilio.resources import SimulatedCall
from amd_service.simulator.twilio.rest_api import RestApi


def status_route(rest: RestApi, library: CallLibrary, journal: Journal) -> Route:
    """Return the route of the page."""

    async def respond(_request: Request) -> Response:
        return Response(
            json.dumps(_page(rest, library, journal), indent=2, ensure_ascii=False), media_type="application/json"
        )

    return Route("/", respond)


def _page(rest: RestApi, library: CallLibrary, journal: Journal) -> dict[str, JsonValue]:
    return {
        "simulates": "Twilio",
        "recorded_calls": [{"name": call.name, "number": dialled_number(call)} for call in library.calls],
        "calls": [
            {
                **_describe(rest.calls[sid]),
                "recorded_call": journal.recorded_calls[sid],
                "events": [entry.as_json() for entry in entries],
            }
            for sid, entries in journal.newest_first()
        ],
        "credentials_sent_elsewhere": list(rest.media.violations),
    }


def _describe(call: SimulatedCall) -> dict[str, JsonValue]:
    return {
        "sid": call.sid,
        "account_sid": call.account_sid,
        "from": call.from_number,
        "to": call.to_number,
        "status": call.status,
        "answered_by": call.answered_by,
        "parameters": [list(pair) for pair in call.form],
        "updates": [[list(pair) for pair in update] for update in call.updates],
        "recordings": [
            {"sid": each.sid, "status": each.status, "track": each.track, "channels": each.channels}
            for each in call.recordings
        ],
    }
