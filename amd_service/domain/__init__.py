"""Domain types: identifiers, enumerations and data classes that other packages share."""

from amd_service.domain.actions import Action, ActionKind, ActionState
from amd_service.domain.analysis import VERDICT_SOURCES, AnalysisState, Failure, Job, ShadowOutcome, Source
from amd_service.domain.annotations import ANSWERED_BY, AnnotationJob, AnsweredBy
from amd_service.domain.audio import Anchor, Waveform, Window
from amd_service.domain.callbacks import (
    REST_ROUTE,
    STREAM_ROUTE,
    AmdCallback,
    RawCallback,
    RecordingCallback,
    RecordingSource,
    StatusCallback,
)
from amd_service.domain.deliveries import (
    DELIVERY_URLS,
    EVENT_OF_STATE,
    DeliveryJob,
    DeliveryState,
    EventType,
    event_id,
)
from amd_service.domain.identifiers import (
    AccountSid,
    CallSid,
    ConferenceSid,
    RecordingSid,
    StreamSid,
    is_sid,
    sid_pattern,
)
from amd_service.domain.people import ALL_SCOPES, SCOPES_OF_ROLE, AccessScope, Principal, Role
from amd_service.domain.reviews import ReviewAnswer, ReviewQueue, Stratum
from amd_service.domain.statuses import (
    TERMINAL_CALL_STATUSES,
    TERMINAL_RECORDING_STATUSES,
    CallStatus,
    RecordingStatus,
)
from amd_service.domain.tagging import MAX_TAGS, NAME, NAME_RULE, UNTAGGED, Tagging, is_name, read_tagging
from amd_service.domain.verdicts import Heard, Label, ModelIdentity, ModelRun, Reason, Scores, Verdict

__all__ = [
    "ALL_SCOPES",
    "ANSWERED_BY",
    "DELIVERY_URLS",
    "EVENT_OF_STATE",
    "MAX_TAGS",
    "NAME",
    "NAME_RULE",
    "REST_ROUTE",
    "SCOPES_OF_ROLE",
    "STREAM_ROUTE",
    "TERMINAL_CALL_STATUSES",
    "TERMINAL_RECORDING_STATUSES",
    "UNTAGGED",
    "VERDICT_SOURCES",
    "AccessScope",
    "AccountSid",
    "Action",
    "ActionKind",
    "ActionState",
    "AmdCallback",
    "AnalysisState",
    "Anchor",
    "AnnotationJob",
    "AnsweredBy",
    "CallSid",
    "CallStatus",
    "ConferenceSid",
    "DeliveryJob",
    "DeliveryState",
    "EventType",
    "Failure",
    "Heard",
    "Job",
    "Label",
    "ModelIdentity",
    "ModelRun",
    "Principal",
    "RawCallback",
    "Reason",
    "RecordingCallback",
    "RecordingSid",
    "RecordingSource",
    "RecordingStatus",
    "ReviewAnswer",
    "ReviewQueue",
    "Role",
    "Scores",
    "ShadowOutcome",
    "Source",
    "StatusCallback",
    "Stratum",
    "StreamSid",
    "Tagging",
    "Verdict",
    "Waveform",
    "Window",
    "event_id",
    "is_name",
    "is_sid",
    "read_tagging",
    "sid_pattern",
]
