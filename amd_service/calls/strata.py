"""SQL conditions of the groups from which calls are drawn for review.

A judged call belongs to the first group that fits: disagreement, undecided, low confidence, rest. The low confidence
depends on thresholds. They are the present ones and not those of the policy stored with each verdict: the policy is in
another table, so no index on `call_log` could answer the question. After a change of the thresholds, old calls can
therefore move to another group.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Boolean, ColumnElement, and_, case, literal_column, or_

from amd_service.calls.tables import CallLog
from amd_service.calls.tables.call_log import DISAGREEMENT
from amd_service.domain import Label, Stratum

# A confidence is low if it exceeds the threshold of its label by at most this much.
LOW_CONFIDENCE_MARGIN = 0.1

# The same condition as in the index, with constants instead of parameters, so that Postgres can use the index.
DISAGREES: ColumnElement[bool] = literal_column(DISAGREEMENT, Boolean)
UNDECIDED: ColumnElement[bool] = literal_column(f"call_log.label = '{Label.UNDECIDED}'", Boolean)


@dataclass(frozen=True, slots=True)
class LowConfidence:
    """The highest confidence that counts as low, for each label."""

    human: float
    voicemail: float

    @classmethod
    def above(cls, *, human: float, voicemail: float) -> Self:
        """Add the margin to the thresholds of the service: those of the settings, else of the model, else 0.7."""
        # Rounded, because 0.7 + 0.1 is less than 0.8.
        return cls(round(human + LOW_CONFIDENCE_MARGIN, 6), round(voicemail + LOW_CONFIDENCE_MARGIN, 6))


def has_low_confidence(low: LowConfidence) -> ColumnElement[bool]:
    """Return the condition of a call that is labelled human or voicemail with a low confidence.

    The index on label and confidence answers it. Such a call can be a disagreement, too.
    """
    return or_(
        and_(literal_column(f"call_log.label = '{Label.HUMAN}'", Boolean), CallLog.confidence <= low.human),
        and_(literal_column(f"call_log.label = '{Label.VOICEMAIL}'", Boolean), CallLog.confidence <= low.voicemail),
    )


def is_in(stratum: Stratum, low: LowConfidence) -> ColumnElement[bool]:
    """Return the condition of the judged calls in one group. No call is in two groups."""
    conditions: Mapping[Stratum, ColumnElement[bool]] = {
        Stratum.DISAGREEMENT: DISAGREES,
        # Our label `undecided` never counts as a disagreement.
        Stratum.UNDECIDED: UNDECIDED,
        Stratum.LOW_CONFIDENCE: and_(has_low_confidence(low), DISAGREES.is_not(True)),
        Stratum.REST: and_(
            CallLog.label.is_not(None),
            UNDECIDED.is_not(True),
            has_low_confidence(low).is_not(True),
            DISAGREES.is_not(True),
        ),
    }
    return conditions[stratum]


def stratum_of(low: LowConfidence) -> ColumnElement[str]:
    """Return the group of a judged call as a SQL expression."""
    return case(
        (DISAGREES, Stratum.DISAGREEMENT.value),
        (UNDECIDED, Stratum.UNDECIDED.value),
        (has_low_confidence(low), Stratum.LOW_CONFIDENCE.value),
        else_=Stratum.REST.value,
    )
