"""Models of the response of `/api/stats`."""

from datetime import datetime
from typing import Self

from pydantic import Field

from amd_service.calls.call_filter import CallFilter, filter_query
from amd_service.calls.call_totals import MOST_CALLS, MOST_DUE, Totals
from amd_service.operations.review.error_report import ErrorReport
from amd_service.web.api.schemas import Shape
from amd_service.web.api.what_if_shapes import ErrorRateShape, WhatIfShape


class PeriodShape(Shape):
    """The time that is counted."""

    start: datetime
    end: datetime
    is_default: bool = Field(description="True if the filter has no start.")


class LabelCounts(Shape):
    """Number of judged calls with each label."""

    human: int
    voicemail: int
    undecided: int


class BucketShape(LabelCounts):
    """Calls that began in one part of the period."""

    start: datetime
    failed: int


class VerdictTimes(Shape):
    """Seconds from the enqueueing of a recording to its verdict."""

    median_s: float
    p95_s: float


class DueShape(Shape):
    """Recordings that wait for a worker now."""

    recordings: int = Field(description=f"At most {MOST_DUE}.")
    oldest_s: float | None = Field(description="Seconds for which the oldest one has been due.")


class ErrorRatesShape(Shape):
    """Error rates of the judged calls with the filter's period, campaign and tags."""

    selection: str = Field(description="Query string of these calls. Without a period: `last=30d`.")
    humans_called_voicemail: ErrorRateShape
    voicemails_called_human: ErrorRateShape

    @classmethod
    def of(cls, selection: CallFilter, report: ErrorReport) -> Self:
        rates = report.total.rates
        return cls(
            selection=filter_query(selection),
            humans_called_voicemail=ErrorRateShape.of(rates.humans_called_voicemail),
            voicemails_called_human=ErrorRateShape.of(rates.voicemails_called_human),
        )


class StatsAnswer(Shape):
    """Counts of the calls that a filter selects, at the time `counted_at`."""

    counted_at: datetime
    period: PeriodShape
    calls: int
    is_cut: bool = Field(description=f"True if only the newest {MOST_CALLS} calls are counted.")
    labels: LabelCounts
    failures: dict[str, int] = Field(description="Failed calls by reason.")
    other: int = Field(description="Calls that are neither judged nor failed.")
    time_to_verdict: VerdictTimes | None = Field(description="Null without verdicts on recordings.")
    due: DueShape
    over_time: list[BucketShape] = Field(description="Calls by the time at which they began, oldest first.")
    error_rates: ErrorRatesShape | None = Field(description="Null if Postgres did not count the reviews in time.")
    what_if: WhatIfShape | None = Field(description="Null without a parameter that begins with `min_confidence`.")

    @classmethod
    def of(cls, totals: Totals, error_rates: ErrorRatesShape | None, what_if: WhatIfShape | None) -> Self:
        times = totals.verdict_s
        period = totals.period
        return cls(
            counted_at=totals.counted_at,
            period=PeriodShape(start=period.start, end=period.end, is_default=period.is_default),
            calls=totals.calls,
            is_cut=totals.is_cut,
            labels=LabelCounts.model_validate(totals.labels),
            failures=dict(totals.failures),
            other=totals.other,
            time_to_verdict=None if times is None else VerdictTimes(median_s=times[0], p95_s=times[1]),
            due=DueShape(recordings=totals.due, oldest_s=totals.oldest_due_s),
            over_time=[
                BucketShape.model_validate({"start": start, **counts}) for start, counts in totals.over_time.items()
            ],
            error_rates=error_rates,
            what_if=what_if,
        )
