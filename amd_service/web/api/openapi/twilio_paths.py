"""What Twilio asks for."""

from http import HTTPStatus

from amd_service.web.api.openapi.responses import Json, problems
from amd_service.web.twilio.webhooks import FORM

SIGNED: Json = {"security": [{"signature": []}]}
OPEN: Json = {"security": []}

CALLBACK_REFUSED = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def twilio_paths() -> Json:
    """What stands under `/twilio/` and speaks HTTP."""
    return {
        "/twilio/status": {"post": _callback("A call changed its state", ["AccountSid", "CallSid", "CallStatus"])},
        "/twilio/recording": {
            "post": _callback(
                "A recording changed its state; one of a conference may name no call",
                ["AccountSid", "RecordingSid", "RecordingStatus"],
            )
        },
        "/twilio/amd": {
            "post": _callback(
                "A result of Twilio's own asynchronous detection", ["AccountSid", "CallSid", "AnsweredBy"]
            )
        },
        "/twilio/stream.xml": {"get": _twiml(with_body=False), "post": _twiml(with_body=True)},
        "/twilio/media": {
            "get": {
                **OPEN,
                "summary": "Streams, over a WebSocket; without its upgrade nothing is served here",
                "responses": problems(HTTPStatus.NOT_FOUND, HTTPStatus.UPGRADE_REQUIRED),
            }
        },
    }


def _twiml(*, with_body: bool) -> Json:
    body = {"required": True, "content": {FORM: {"schema": {"type": "object", "required": ["AccountSid"]}}}}
    query = {"name": "AccountSid", "in": "query", "required": True, "schema": {"type": "string"}}
    refused = CALLBACK_REFUSED if with_body else (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
    return {
        **SIGNED,
        "summary": "TwiML that streams the called party to this service",
        "description": "Asked for by Twilio, signed. While AMD_LIVE is off the call goes on without a stream.",
        **({"requestBody": body} if with_body else {"parameters": [query]}),
        "responses": {
            "200": {"description": "TwiML.", "content": {"text/xml": {"schema": {"type": "string"}}}},
            **problems(*refused),
        },
    }


def _callback(summary: str, required: list[str]) -> Json:
    text = {"type": "string"}
    form = {"type": "object", "required": required, "properties": dict.fromkeys(required, text)}
    return {
        **SIGNED,
        "summary": summary,
        "description": "Sent by Twilio, signed; give this URL to Twilio. Unknown fields are kept.",
        "requestBody": {"required": True, "content": {FORM: {"schema": form | {"additionalProperties": text}}}},
        "responses": {"204": {"description": "Stored, now or before."}, **problems(*CALLBACK_REFUSED)},
    }
