"""Every method of the REST client, with arguments for the simulated Twilio."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from amd_service.domain import AccountSid, AnsweredBy, CallSid, RecordingSid
from amd_service.settings import Account, Settings
from amd_service.twilio.call_request import CallRequest
from amd_service.twilio.rest import RestClient

AC = AccountSid("AC" + "a" * 32)
CA = CallSid("CA" + "1" * 32)
RE = RecordingSid("RE" + "2" * 32)
ACCOUNT = Account.model_validate({"account_sid": AC, "auth_tokens": ["token"], "api_key": "SKkey", "api_secret": "shh"})
CALL_REQUEST = CallRequest(to="+12125550100", from_number="+15005550006", twiml="<Response><Pause/></Response>")
PUBLIC = "https://amd.example.org/base"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
Use = Callable[[RestClient], Awaitable[object]]


async def listed_calls(rest: RestClient) -> list[str]:
    return [listed.event.call_sid async for listed in rest.list_calls(ACCOUNT, LONG_AGO)]


async def listed_recordings(rest: RestClient) -> list[tuple[str, str]]:
    return [pair async for pair in rest.list_recorded_calls(ACCOUNT, LONG_AGO)]


CHANGES: dict[str, Use] = {
    "place_call": lambda rest: rest.place_call(ACCOUNT, CALL_REQUEST),
    "hang_up": lambda rest: rest.hang_up(ACCOUNT, CA),
    "annotate_call": lambda rest: rest.annotate_call(ACCOUNT, CA, AnsweredBy.HUMAN),
    "redirect": lambda rest: rest.redirect(ACCOUNT, CA, "https://example.org/twiml?x=1&y=2"),
}


REPEATABLE: dict[str, Use] = {
    "check_credentials": lambda rest: rest.check_credentials(ACCOUNT),
    "get_call": lambda rest: rest.get_call(ACCOUNT, CA),
    "list_calls": listed_calls,
    "list_recorded_calls": listed_recordings,
    "list_call_recordings": lambda rest: rest.list_call_recordings(ACCOUNT, CA),
    # Deleting a deleted recording succeeds, so the request may be repeated.
    "delete_recording": lambda rest: rest.delete_recording(ACCOUNT, RE),
}


EVERYTHING = CHANGES | REPEATABLE


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **{"public_url": PUBLIC, **given})
