"""Serves the TwiML that starts a Media Stream of a call."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from amd_service.domain import AccountSid, CallSid, Tagging, is_sid
from amd_service.settings import Settings
from amd_service.twilio.stream_keys import stream_key, stream_url
from amd_service.twilio.twiml import continue_twiml, stream_twiml
from amd_service.web.api.openapi.responses import Json, problems, sid
from amd_service.web.api.openapi.route import SIGNED, DescribedRoute
from amd_service.web.media_types import FORM
from amd_service.web.problems import Problem
from amd_service.web.state import runtime_of
from amd_service.web.twilio.media import MEDIA_PATH
from amd_service.web.twilio.signed_request import (
    FORM_PROBLEMS,
    QUERY_PROBLEMS,
    TAGGING_PARAMETERS,
    Pairs,
    measure_callback,
    read_signed_form,
    read_signed_query,
    read_url_tagging,
)


async def stream_xml(request: Request) -> Response:
    """GET and POST /twilio/stream.xml: TwiML that starts a stream of the call and then continues the call.

    While AMD_LIVE is off, the TwiML only continues the call. An error response is not used, because
    Twilio ends the call after an error.
    """
    runtime = runtime_of(request)
    with measure_callback(runtime.metrics, "stream"):
        pairs = await read_signed_form(request) if request.method == "POST" else read_signed_query(request)
        twiml = _twiml(pairs, runtime.settings, read_url_tagging(request, "stream"))
    runtime.metrics.callbacks.labels("stream", "answered").inc()
    # The TwiML contains the secret key of the call, so the response must not be cached.
    return Response(twiml, media_type="text/xml", headers={"cache-control": "no-store"})


def _twiml(pairs: Pairs, settings: Settings, tagging: Tagging) -> str:
    if not settings.live:
        return continue_twiml(settings.live_next_url)
    parameters = dict(pairs)
    call_sid = CallSid(parameters.get("CallSid", ""))
    if not is_sid(call_sid, "CA"):
        raise Problem(HTTPStatus.BAD_REQUEST, "CallSid is not CA followed by 32 hexadecimal digits")
    assert settings.public_url is not None  # a signature is valid only with a public URL
    # Use the oldest token: during a token rotation a process that has not been restarted yet has only this token.
    token = settings.accounts[AccountSid(parameters["AccountSid"])].auth_tokens[-1]
    url = stream_url(settings.public_url, MEDIA_PATH)
    return stream_twiml(url, stream_key(token, call_sid), settings.live_next_url, tagging)


def _operation(parameters: Json, statuses: tuple[HTTPStatus, ...]) -> Json:
    return {
        **SIGNED,
        "summary": "TwiML that streams the called party to this service",
        "description": "Twilio sends and signs the request. While AMD_LIVE is off, the TwiML starts no stream.",
        **parameters,
        "responses": {
            "200": {"description": "TwiML.", "content": {"text/xml": {"schema": {"type": "string"}}}},
            **problems(*statuses),
        },
    }


SIDS = {"AccountSid": sid("AC"), "CallSid": sid("CA")}
QUERY: Json = {
    "parameters": [
        *({"name": name, "in": "query", "required": True, "schema": schema} for name, schema in SIDS.items()),
        *TAGGING_PARAMETERS,
    ]
}
BODY: Json = {
    "parameters": TAGGING_PARAMETERS,
    "requestBody": {
        "required": True,
        "content": {FORM: {"schema": {"type": "object", "required": list(SIDS), "properties": SIDS}}},
    },
}

ROUTE = DescribedRoute(
    "/twilio/stream.xml", stream_xml, get=_operation(QUERY, QUERY_PROBLEMS), post=_operation(BODY, FORM_PROBLEMS)
)
