"""The tables, and a view. Every column has a comment, which `docs/call_log.md` and psql's `\\d+` show."""

from amd_service.calls.tables import agreement, reviewed
from amd_service.calls.tables.annotation import Annotation
from amd_service.calls.tables.api_key import ApiKey
from amd_service.calls.tables.base import Base
from amd_service.calls.tables.call_log import CallLog
from amd_service.calls.tables.call_request_row import CallRequestRow, RequestOutcome
from amd_service.calls.tables.callback import Callback
from amd_service.calls.tables.delivery import Delivery
from amd_service.calls.tables.inbox_row import InboxRow
from amd_service.calls.tables.person import Person, PersonSession
from amd_service.calls.tables.recheck import Recheck
from amd_service.calls.tables.recording import (
    AGAIN,
    BROKEN_OFF,
    FIRST,
    GIVEN_UP,
    MEDIA_STREAM,
    Recording,
    RecordingState,
)
from amd_service.calls.tables.review import Review
from amd_service.calls.tables.saved_view import SavedView
from amd_service.calls.tables.sweep import Sweep
from amd_service.calls.tables.verdict import VerdictRow

__all__ = [
    "AGAIN",
    "BROKEN_OFF",
    "FIRST",
    "GIVEN_UP",
    "MEDIA_STREAM",
    "Annotation",
    "ApiKey",
    "Base",
    "CallLog",
    "CallRequestRow",
    "Callback",
    "Delivery",
    "InboxRow",
    "Person",
    "PersonSession",
    "Recheck",
    "Recording",
    "RecordingState",
    "RequestOutcome",
    "Review",
    "SavedView",
    "Sweep",
    "VerdictRow",
    "agreement",
    "reviewed",
]
