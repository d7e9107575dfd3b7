"""JSON schemas of the events that backends get. They are derived from the columns in a payload and their comments."""

from typing import Any

from amd_service.calls.outbox import COLUMNS
from amd_service.calls.row_schemas import Json, column_schema
from amd_service.calls.tables import Base
from amd_service.domain import EVENT_OF_STATE

COMPONENT = "CallEvent"


def event_schemas() -> dict[str, Json]:
    """OpenAPI component of an event, for all types of events."""
    columns = Base.metadata.tables["call_log"].columns
    properties: dict[str, Any] = {
        "sequence": {"type": "integer", "minimum": 1, "description": "Number of the event in its call, from 1."}
    }
    properties |= {name: column_schema(columns[name]) for name in COLUMNS}
    data = {"type": "object", "properties": properties, "required": list(properties)}
    event = {
        "type": "object",
        "description": "A new or changed result of a call. New versions may add members.",
        "properties": {
            "type": {"type": "string", "enum": [str(each) for each in EVENT_OF_STATE.values()]},
            "timestamp": {"type": "string", "format": "date-time", "description": "Time of the event."},
            "data": data,
        },
        "required": ["type", "timestamp", "data"],
    }
    return {COMPONENT: event}
