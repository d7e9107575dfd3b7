"""Models of the what-if in the response of `/api/stats`, which `amd-service whatif --json` prints too."""

from dataclasses import asdict
from typing import Self

from pydantic import Field

from amd_service.calls.call_filter import filter_query
from amd_service.domain import Label, LongWindowRule, ReviewAnswer
from amd_service.operations.review.error_rates import ErrorRate, ErrorRates
from amd_service.operations.what_if import WhatIf
from amd_service.web.api.schemas import Shape


class ErrorRateShape(Shape):
    """An error rate of all calls with its 95 % interval, estimated from the reviewed calls."""

    rate: float | None = Field(ge=0, le=1, description="Null if no review counts.")
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    reviews: int = Field(description="Number of reviewed calls.")
    more_reviews: int = Field(description="Further reviews until the interval is about ±1 %, at most the calls left.")

    @classmethod
    def of(cls, rate: ErrorRate) -> Self:
        return cls(rate=rate.rate, low=rate.low, high=rate.high, reviews=rate.reviews, more_reviews=rate.more_reviews)


class ThresholdsShape(Shape):
    """Minimum confidence of each label."""

    human: float
    voicemail: float


class ChangeShape(Shape):
    """Calls with one label now and one label then."""

    before: Label
    after: Label | None = Field(description="Null if the label cannot be known without the audio.")
    calls: int
    reviewed: dict[ReviewAnswer, int] = Field(description="Reviewed calls by answer.")


class RatesShape(Shape):
    """Error rates of all calls, estimated from the reviewed calls."""

    humans_called_voicemail: ErrorRateShape
    voicemails_called_human: ErrorRateShape

    @classmethod
    def of(cls, rates: ErrorRates) -> Self:
        return cls(
            humans_called_voicemail=ErrorRateShape.of(rates.humans_called_voicemail),
            voicemails_called_human=ErrorRateShape.of(rates.voicemails_called_human),
        )


class JudgedWithShape(Shape):
    """Calls whose scores come from one model and one pair of windows. Null if no model ran."""

    model_id: str | None
    window_ms: int | None
    long_window_ms: int | None
    long_window: LongWindowRule | None
    calls: int


class WhatIfShape(Shape):
    """The verdicts that the calls would have with other thresholds, computed from the stored scores."""

    selection: str = Field(description="Query string of these calls.")
    min_confidence: ThresholdsShape
    calls: int
    is_cut: bool = Field(description="True if only the newest `calls` calls were decided again.")
    changed: int = Field(description="Calls that would have another label.")
    unknown: int = Field(description="Calls whose label cannot be known without the audio.")
    changes: list[ChangeShape] = Field(description="Most calls first, also those whose label stays.")
    error_rates_before: RatesShape = Field(description="Of the present verdicts.")
    error_rates_at_least: RatesShape = Field(description="If no call whose label cannot be known were an error.")
    error_rates_at_most: RatesShape = Field(description="If every call whose label cannot be known were an error.")
    highest_scores: dict[Label, float | None] = Field(description="A threshold above it is reached by no call.")
    judged_with: list[JudgedWithShape] = Field(description="Most calls first.")

    @classmethod
    def of(cls, result: WhatIf) -> Self:
        return cls(
            selection=filter_query(result.selection),
            min_confidence=ThresholdsShape(human=result.thresholds.human, voicemail=result.thresholds.voicemail),
            calls=result.calls,
            is_cut=result.is_cut,
            changed=result.changed,
            unknown=result.unknown,
            changes=[
                ChangeShape(before=each.before, after=each.after, calls=each.calls, reviewed=dict(each.answers))
                for each in result.changes
            ],
            error_rates_before=RatesShape.of(result.before),
            error_rates_at_least=RatesShape.of(result.at_least),
            error_rates_at_most=RatesShape.of(result.at_most),
            highest_scores=dict(result.highest),
            judged_with=[
                JudgedWithShape.model_validate(asdict(each) | {"calls": calls}) for each, calls in result.judged_with
            ],
        )
