"""A viewer sees no phone number in full: on no page, in no part of a page and in no response of the API."""

import pytest
from sqlalchemy import update
from starlette.routing import Route

from amd_service.calls.tables import CallLog, Recording, Review
from amd_service.domain import Role
from amd_service.web.app import SERVICE_ROUTES
from tests.support.app import RECORDED, STATUS, App
from tests.support.sids import CALL
from tests.support.signed_in import sign_in

pytestmark = pytest.mark.anyio

NUMBERS = ("5005550006", "5005550010", "555-0006")
# The stream of events does not end; its rows are those of the list. The document contains examples. The others need
# Twilio or a model.
ELSEWHERE = ("/calls/events", "/openapi.json", "/calls/{sid}/audio/{recording_sid}", "/metrics")


async def responses(service: App) -> dict[str, str]:
    """The text of every response to a GET, by path."""
    await service.callback("/twilio/status", [*STATUS, ("SipHeader_X-Customer", "+15005550010")])
    await service.callback("/twilio/recording", RECORDED)
    async with service.runtime.database.transaction() as session:
        note = "Twilio: the number +15005550010 is busy"
        await session.execute(update(CallLog).values(action="hang_up", action_state="refused", action_note=note))
        await session.execute(update(Recording).values(last_error="GET /Calls?To=%2B15005550010 responded 500"))
        session.add(Review(call_sid=CALL, reviewer="ada", answer="other", note="call back at +1 (500) 555-0006"))
    found = {}
    for route in SERVICE_ROUTES:
        if isinstance(route, Route) and "GET" in (route.methods or ()) and route.path not in ELSEWHERE:
            path = route.path.replace("{sid}", CALL).replace("{name}", "x")
            for accept in ("text/html", "application/json"):
                found[f"{path} {accept}"] = (await service.client.get(path, headers={"accept": accept})).text
    return found


async def test_a_viewer_sees_no_number_in_full(service: App) -> None:
    await sign_in(service, Role.VIEWER)
    texts = await responses(service)
    assert [path for path, text in texts.items() if any(number in text for number in NUMBERS)] == []
    assert "+15•••10" in texts["/calls text/html"]


async def test_a_viewer_with_permission_and_a_key_see_numbers(service: App) -> None:
    with_key = await responses(service)
    assert NUMBERS[1] in with_key[f"/api/calls/{CALL} application/json"]
    await sign_in(service, Role.VIEWER, sees_numbers=True)
    texts = await responses(service)
    assert NUMBERS[1] in texts["/calls text/html"]
    assert NUMBERS[1] in texts[f"/api/calls/{CALL} application/json"]
