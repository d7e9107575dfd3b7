"""The TwiML of a call that is to be listened to while it is up."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from amd_service.domain import AccountSid, CallSid, is_sid
from amd_service.runtime import Runtime
from amd_service.twilio.stream_keys import stream_key, stream_url
from amd_service.twilio.twiml import stream_twiml, unheard_twiml
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of
from amd_service.web.twilio.media import MEDIA_PATH
from amd_service.web.twilio.webhooks import signed_form, signed_query


async def stream_xml(request: Request) -> Response:
    """GET and POST /twilio/stream.xml: start a stream of this call, and go on.

    While live listening is off the call goes on without a stream: Twilio would end it for an error.
    """
    runtime = runtime_of(request)
    try:
        twiml = await _twiml(request, runtime)
    except Problem as problem:
        runtime.metrics.callbacks.labels("stream", f"refused_{problem.status.value}").inc()
        raise
    runtime.metrics.callbacks.labels("stream", "answered").inc()
    # It holds the key of its call.
    return Response(twiml, media_type="text/xml", headers={"cache-control": "no-store"})


async def _twiml(request: Request, runtime: Runtime) -> str:
    pairs = await signed_form(request, runtime) if request.method == "POST" else signed_query(request, runtime)
    settings = runtime.settings
    if not settings.live:
        return unheard_twiml(settings.live_next_url)
    parameters = dict(pairs)
    call_sid = CallSid(parameters.get("CallSid", ""))
    if not is_sid(call_sid, "CA"):
        raise Problem(HTTPStatus.BAD_REQUEST, "CallSid is not CA followed by 32 hexadecimal digits")
    assert settings.public_url is not None  # without it no signature fits
    # The last one: while tokens rotate and processes restart, the one that every process knows.
    token = settings.accounts[AccountSid(parameters["AccountSid"])].auth_tokens[-1]
    url = stream_url(settings.public_url, MEDIA_PATH)
    return stream_twiml(url, stream_key(token, call_sid), settings.live_next_url)
