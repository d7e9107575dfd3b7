"""GET /openapi.json: the document, and what our own callers ask for."""

from http import HTTPStatus

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse

from amd_service import __version__
from amd_service.web.api.idempotency import HEADER as IDEMPOTENCY_HEADER
from amd_service.web.api.openapi.responses import JSON_TYPE, Json, answer, problems
from amd_service.web.api.openapi.rows import call_schemas
from amd_service.web.api.openapi.twilio_paths import twilio_paths
from amd_service.web.api.predict import MULTIPART
from amd_service.web.api.predict_stream import NDJSON
from amd_service.web.api.schemas import (
    ClassifierShape,
    HealthAnswer,
    ModelInfoAnswer,
    OrderShape,
    PredictAnswer,
    ProblemShape,
    ReadyAnswer,
    StartedAnswer,
    StreamLine,
)

SHAPES = (
    PredictAnswer,
    StreamLine,
    ModelInfoAnswer,
    ClassifierShape,
    HealthAnswer,
    ReadyAnswer,
    ProblemShape,
    StartedAnswer,
)

GUARDED: Json = {"security": [{"key": []}]}
OPEN: Json = {"security": []}

DESCRIPTION = """\
Did a human pick up, or a voicemail? Twilio reports calls and recordings to `/twilio/…`; verdicts are read from
`/api/calls/{sid}` and from the table `call_log`. `/predict` judges an upload at once.

`undecided` is an answer of its own and must stay one. Errors are problem details (RFC 9457) whose `detail` says what
to change."""

# What a caller may meet on every guarded path.
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
UPLOAD_REFUSED = (
    *REFUSED,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
ORDER_REFUSED = (
    *REFUSED,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
AUDIO: Json = {"schema": {"type": "string", "format": "binary"}}
AUDIO_BODIES: Json = dict.fromkeys(
    ("audio/wav", "audio/mpeg", "audio/x-mulaw", "audio/x-alaw", "audio/l16", "audio/basic"), AUDIO
)
RAW_RATE = "Audio without a header needs its rate in the content type: `audio/x-mulaw;rate=8000`."
CHANNEL: Json = {
    "name": "channel",
    "in": "query",
    "description": "Channel of the called party in dual-channel audio. Absent: the channels are mixed.",
    "schema": {"type": "integer", "enum": [1, 2]},
}
CALL_SID: Json = {
    "name": "sid",
    "in": "path",
    "required": True,
    "description": "Twilio's CallSid.",
    "schema": {"type": "string", "pattern": "^CA[0-9a-fA-F]{32}$"},
}

IDEMPOTENCY_KEY: Json = {
    "name": IDEMPOTENCY_HEADER,
    "in": "header",
    "description": "Of your making, one for each call. The same request with the same key places no second call and is "
    "answered with the first one; with another request it is refused. A key is remembered for a week. Without one "
    "every request places a call.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


async def openapi(_request: Request) -> JSONResponse:
    """The document; the same for everyone who may read it."""
    return JSONResponse(describe())


def describe() -> Json:
    """The API as an OpenAPI 3.1 document."""
    _, schemas = models_json_schema(
        [*((shape, "serialization") for shape in SHAPES), (OrderShape, "validation")],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "amd-service", "version": __version__, "description": DESCRIPTION},
        "paths": {**_verdict_paths(), **_call_paths(), **twilio_paths(), **_health_paths()},
        "components": {
            "schemas": schemas["$defs"] | call_schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "One of AMD_API_KEYS, where there are any."},
                "signature": {"type": "apiKey", "in": "header", "name": "X-Twilio-Signature"},
            },
        },
    }


def _verdict_paths() -> Json:
    upload = {
        MULTIPART: {
            "schema": {"type": "object", "required": ["audio"], "properties": {"audio": AUDIO["schema"]}},
        },
        **AUDIO_BODIES,
        "application/octet-stream": AUDIO,
    }
    return {
        "/predict": {
            "post": {
                **GUARDED,
                "summary": "The verdict on a recording",
                "description": f"WAV, MP3 or raw audio as the field `audio` or as the body itself. {RAW_RATE}",
                "parameters": [CHANNEL],
                "requestBody": {"required": True, "content": upload},
                "responses": {"200": answer("The verdict.", PredictAnswer), **problems(*UPLOAD_REFUSED)},
            }
        },
        "/predict-stream": {
            "post": {
                **GUARDED,
                "summary": "Verdicts on audio while it arrives",
                "description": f"Audio in a body that may be chunked; the answer is sent meanwhile. {RAW_RATE}",
                "parameters": [CHANNEL],
                "requestBody": {"required": True, "content": AUDIO_BODIES},
                "responses": {
                    "200": answer(
                        "One object a line: provisional verdicts at 1, 2 and 5 s of speech, then the final one. "
                        "What goes wrong after the first line ends the answer with a problem as its last.",
                        StreamLine,
                        NDJSON,
                    ),
                    **problems(*UPLOAD_REFUSED),
                },
            }
        },
        "/model-info": {
            "get": {
                **GUARDED,
                "summary": "Which model answers, and how it is used",
                "responses": {"200": answer("The model.", ModelInfoAnswer), **problems(*REFUSED)},
            }
        },
    }


def _call_paths() -> Json:
    unknown = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
    placed = answer("The call was placed.", StartedAnswer) | {
        "headers": {"Location": {"schema": {"type": "string"}, "description": "Where the call can be followed."}}
    }
    return {
        "/api/calls": {
            "post": {
                **GUARDED,
                "summary": "Place a call",
                "description": "To allowed numbers (AMD_DIAL_PREFIXES), recorded and reported to this service. Needs a "
                "key always. 504: the call may have been placed; do not ask again before you have looked.",
                "parameters": [IDEMPOTENCY_KEY],
                "requestBody": {
                    "required": True,
                    "content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/OrderShape"}}},
                },
                "responses": {
                    "201": placed,
                    "200": placed | {"description": "It was placed by an earlier request with the same key."},
                    **problems(*ORDER_REFUSED),
                },
            }
        },
        "/api/calls/{sid}": {
            "get": {
                **GUARDED,
                "summary": "What is known about a call",
                "parameters": [CALL_SID],
                "responses": {"200": answer("The call.", "Call"), **problems(*REFUSED, *unknown)},
            }
        },
        "/openapi.json": {
            "get": {
                **GUARDED,
                "summary": "This document",
                "responses": {
                    "200": {"description": "OpenAPI 3.1.", "content": {JSON_TYPE: {"schema": {"type": "object"}}}},
                    **problems(*REFUSED),
                },
            }
        },
    }


def _health_paths() -> Json:
    classifier = answer("The model is loaded and warm.", ClassifierShape)
    metrics = {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "/health": {
            "get": {**OPEN, "summary": "Alive?", "responses": {"200": answer("The process is alive.", HealthAnswer)}}
        },
        "/ready": {
            "get": {
                **OPEN,
                "summary": "Able to take callbacks?",
                "responses": {"200": answer("Yes.", ReadyAnswer), "503": answer("No, and why.", ReadyAnswer)},
            }
        },
        "/ready/classifier": {
            "get": {
                **GUARDED,
                "summary": "Able to judge?",
                "responses": {
                    "200": classifier,
                    "503": classifier | {"description": "Not yet, or not at all: `reason` says what to do."},
                    **problems(*REFUSED),
                },
            }
        },
        "/metrics": {"get": {**GUARDED, "summary": "Figures", "responses": {"200": metrics, **problems(*REFUSED)}}},
    }
