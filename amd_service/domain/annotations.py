"""Call Annotations of Twilio: whether a human or a machine answered a call, as a person has heard it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from amd_service.domain.identifiers import AccountSid, CallSid
from amd_service.domain.reviews import ReviewAnswer


class AnsweredBy(StrEnum):
    """Value of `AnsweredBy` in Twilio's OpenAPI description of Call Annotations (twilio_insights_v1)."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown_answered_by"
    """Withdraws an earlier annotation."""


# Other answers have no value at Twilio: they only withdraw an earlier annotation of the call.
ANSWERED_BY: Mapping[ReviewAnswer, AnsweredBy] = {
    ReviewAnswer.HUMAN: AnsweredBy.HUMAN,
    ReviewAnswer.VOICEMAIL: AnsweredBy.MACHINE,
}


@dataclass(frozen=True, slots=True)
class AnnotationJob:
    """A claimed annotation.

    `version`: number of the change that is sent. `left_s`: seconds until retries end. `locked_by`: token of the claim.
    """

    call_sid: CallSid
    account_sid: AccountSid
    answered_by: AnsweredBy
    version: int
    attempts: int
    left_s: float
    locked_by: str

    @property
    def log_fields(self) -> dict[str, object]:
        """Fields of every log line about this job."""
        return {"call_sid": self.call_sid, "account_sid": self.account_sid, "attempt": self.attempts}
