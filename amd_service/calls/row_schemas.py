"""JSON schemas of database rows. They are derived from the columns and their comments, like docs/call_log.md."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column

from amd_service.calls.tables import Base
from amd_service.domain import AnalysisState, Failure, Heard, Label, Reason, sid_pattern

Json = dict[str, Any]

_TYPES: dict[type, Json] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    object: {"type": "object"},  # JSONB: every JSONB column of these tables holds a JSON object
    datetime: {"type": "string", "format": "date-time"},
    list: {"type": "array", "items": {"type": "string"}},  # text[]: no other array column is in these tables
}
_CLOSED: dict[str, tuple[type[StrEnum], ...]] = {
    "analysis_state": (AnalysisState,),
    "label": (Label,),
    "reason": (Reason, Failure),
    "failure": (Failure,),
    "heard": (Heard,),
}

# Prefixes of the SIDs in each column. A live stream is stored like a recording.
_SIDS = {"account_sid": ("AC",), "call_sid": ("CA",), "parent_call_sid": ("CA",), "recording_sid": ("RE", "MZ")}


def call_schemas() -> dict[str, Json]:
    """OpenAPI components for calls and for the result of `lookup.read_call`, by name."""
    call, listed = _row("call_log"), _row("call_log")
    for name, component in (("recordings", "Recording"), ("verdicts", "ModelRun"), ("shadow_runs", "ModelRun")):
        call["properties"][name] = {"type": "array", "items": {"$ref": f"#/components/schemas/{component}"}}
        call["required"].append(name)
    page = {
        "type": "object",
        "description": "A page of calls.",
        "properties": {
            "calls": {"type": "array", "items": {"$ref": "#/components/schemas/ListedCall"}},
            "next": {"type": ["string", "null"], "description": "Cursor of the next page. Null on the last page."},
        },
        "required": ["calls", "next"],
        "additionalProperties": False,
    }
    return {
        "Call": call,
        "ListedCall": listed,
        "CallPage": page,
        "Recording": _row("recording"),
        "ModelRun": _row("verdict"),
    }


def _row(name: str) -> Json:
    table = Base.metadata.tables[name]
    return {
        "type": "object",
        "description": table.comment,
        "properties": {column.name: column_schema(column) for column in table.columns},
        "required": [column.name for column in table.columns],
        "additionalProperties": False,
    }


def column_schema(column: Column[Any]) -> Json:
    """Return the JSON schema of the values of a column."""
    schema = {"description": column.comment, **_TYPES[column.type.python_type]}
    if column.name in _CLOSED:
        schema["enum"] = [str(member) for closed in _CLOSED[column.name] for member in closed]
    if column.name in _SIDS:
        schema["pattern"] = sid_pattern(*_SIDS[column.name])
    if column.nullable:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"].append(None)
    return schema
