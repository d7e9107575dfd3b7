"""Events of a call, and the job of delivering one to a backend."""

from dataclasses import dataclass
from enum import StrEnum

from amd_service.domain.analysis import AnalysisState
from amd_service.domain.identifiers import CallSid

# Key of `session.info` under which the pool puts AMD_DELIVERY_URL. Every transaction of a process has the same URLs, so
# they are part of its sessions and not an argument of each function that may change the state of a call.
DELIVERY_URLS = "delivery_urls"


class EventType(StrEnum):
    """Type of an event: the final state that the analysis of a call has reached."""

    JUDGED = "call.judged"
    FAILED = "call.failed"
    NOT_APPLICABLE = "call.not_applicable"


EVENT_OF_STATE = {
    AnalysisState.JUDGED: EventType.JUDGED,
    AnalysisState.FAILED: EventType.FAILED,
    AnalysisState.NOT_APPLICABLE: EventType.NOT_APPLICABLE,
}


class DeliveryState(StrEnum):
    """State of a delivery. `DONE`: the backend accepted it. `DEAD`: it was given up."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


def event_id(call_sid: str, sequence: int) -> str:
    """Return the `webhook-id` of an event. It is the same in every attempt, and for every backend."""
    return f"evt_{call_sid}_{sequence}"


@dataclass(frozen=True, slots=True)
class DeliveryJob:
    """A claimed delivery.

    `payload`: the body as it is sent. `left_s`: seconds until retries end. `locked_by`: token of the claim.
    `traceparent`: span of the callback that led to the verdict, or None.
    """

    id: int
    call_sid: CallSid
    sequence: int
    url: str
    payload: str
    attempts: int
    left_s: float
    locked_by: str
    traceparent: str | None = None

    @property
    def log_fields(self) -> dict[str, object]:
        """Fields of every log line about this job. The URL is missing, because it may contain a secret."""
        return {"call_sid": self.call_sid, "event": event_id(self.call_sid, self.sequence), "attempt": self.attempts}
