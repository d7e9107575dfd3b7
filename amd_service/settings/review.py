"""Settings of the review of verdicts by people."""

from pydantic import BaseModel, Field


class ReviewSettings(BaseModel):
    """Shares of the calls that people are asked to listen to."""

    review_sample: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of all judged calls that are drawn at random for review on the page `/review`. People may "
        "stop at any time: error rates stay honest, and their intervals get wider.",
    )
    review_difficult: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the calls that are drawn for review if Twilio's own detection disagrees, if the label is "
        "`undecided`, or if the confidence is at most 0.1 above the threshold. At least `AMD_REVIEW_SAMPLE` of these "
        "calls are drawn.",
    )
    review_second_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the reviewed calls that a second person is asked to review too, to measure how well "
        "people agree.",
    )
    annotate_calls: bool = Field(
        False,
        description="Whether reviews are written to Twilio as Call Annotations (`AnsweredBy`), without notes. Twilio "
        "uses them as feedback on its own detection. Set it for every process of the service. See docs/review.md.",
    )
