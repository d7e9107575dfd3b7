"""The tables, and a view. Every column has a comment, which `docs/call_log.md` and psql's `\\d+` show."""

from amd_service.calls.tables import agreement
from amd_service.calls.tables.base import Base
from amd_service.calls.tables.call_log import CallLog
from amd_service.calls.tables.call_request_row import CallRequestRow, RequestOutcome
from amd_service.calls.tables.callback import Callback
from amd_service.calls.tables.recording import (
    AGAIN,
    BROKEN_OFF,
    FIRST,
    GIVEN_UP,
    MEDIA_STREAM,
    Recording,
    RecordingState,
)
from amd_service.calls.tables.sweep import Sweep
from amd_service.calls.tables.verdict import VerdictRow

__all__ = [
    "AGAIN",
    "BROKEN_OFF",
    "FIRST",
    "GIVEN_UP",
    "MEDIA_STREAM",
    "Base",
    "CallLog",
    "CallRequestRow",
    "Callback",
    "Recording",
    "RecordingState",
    "RequestOutcome",
    "Sweep",
    "VerdictRow",
    "agreement",
]
