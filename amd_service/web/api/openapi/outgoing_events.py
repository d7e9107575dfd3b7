"""The member `webhooks` of the OpenAPI document: the requests that backends get."""

from amd_service.calls.event_schemas import COMPONENT
from amd_service.domain import EventType
from amd_service.web.api.openapi.responses import Json
from amd_service.web.media_types import JSON

_SUMMARIES = {
    EventType.JUDGED: "A call has a new or changed verdict",
    EventType.FAILED: "The analysis of a call failed",
    EventType.NOT_APPLICABLE: "A call cannot be judged, because nobody answered or the parent call is judged",
}

_HEADERS = {
    "webhook-id": "Identifier of the event. It is the same in each attempt.",
    "webhook-timestamp": "Time of this attempt, in seconds since 1970.",
    "webhook-signature": "Signatures over `id.timestamp.body`, separated by spaces. See standardwebhooks.com.",
}


def webhooks() -> Json:
    """Describe one request per type of event."""
    return {event_type: {"post": _request(event_type, summary)} for event_type, summary in _SUMMARIES.items()}


def _request(event_type: EventType, summary: str) -> Json:
    parameters = [
        {"name": name, "in": "header", "required": True, "description": meaning, "schema": {"type": "string"}}
        for name, meaning in _HEADERS.items()
    ]
    return {
        "operationId": event_type.replace(".", "_"),
        "summary": summary,
        "security": [],
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{COMPONENT}"}}},
        },
        "responses": {
            "2XX": {"description": "The event is accepted, and not sent again."},
            "410": {"description": "The event is given up at once."},
            "default": {"description": "The event is sent again, for three days."},
        },
    }
