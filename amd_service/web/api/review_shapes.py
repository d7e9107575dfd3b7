"""Models of the requests and responses about reviews, and about judging a call again."""

from datetime import datetime
from typing import Self

from pydantic import Field
from pydantic.config import JsonDict

from amd_service.calls.tables import Review
from amd_service.domain import ReviewAnswer, Stratum, sid_pattern
from amd_service.operations.review.answer import MAX_NOTE_LENGTH
from amd_service.web.api.schemas import Shape


def without_default(schema: JsonDict) -> None:
    """Remove the default from a JSON schema: openapi-typescript requires a value for each member with a default."""
    del schema["default"]


class ReviewRequest(Shape):
    """The answer of a person who listened to a call."""

    answer: ReviewAnswer = Field(
        description="`screening`: an assistant asks who is calling. `other`: fax, tone, music, announcement or menu."
    )
    note: str = Field(default="", max_length=MAX_NOTE_LENGTH, json_schema_extra=without_default)


class ReviewShape(Shape):
    """An answer of a person about a call. A correction is a further review; verdicts are never changed."""

    id: int = Field(description="Increases with every review.")
    call_sid: str = Field(pattern=sid_pattern("CA"))
    reviewer: str = Field(description="Name of the person, or of the API key.")
    answer: ReviewAnswer
    note: str | None
    stratum: Stratum | None = Field(description="Group from which the call was drawn; null if the reviewer chose it.")
    probability: float | None = Field(
        description="Probability with which the call was drawn. Without it, the review counts for no error rate."
    )
    created_at: datetime

    @classmethod
    def of(cls, review: Review) -> Self:
        return cls.model_validate({name: getattr(review, name) for name in cls.model_fields})


class ReviewsAnswer(Shape):
    """All reviews of a call, oldest first. The latest answer of each reviewer counts."""

    reviews: list[ReviewShape]


class AnalysisAnswer(Shape):
    """The recordings that a worker will judge again."""

    requeued: int = Field(ge=1, description="Number of recordings.")
    deleted: int = Field(ge=0, description="Recordings that were skipped, because they were deleted at Twilio.")
    streams: int = Field(ge=0, description="Live streams that were skipped, because their audio is not stored.")
