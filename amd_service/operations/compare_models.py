"""Compares a shadow model with the verdicts of the calls."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb

from amd_service.calls.review_sample import SamplingPlan
from amd_service.calls.shadow_comparison import (
    CallPeriod,
    ChangedCall,
    PairGroup,
    ShadowModel,
    count_pairs,
    list_changed,
    list_shadow_models,
)
from amd_service.database.pool import Database
from amd_service.domain import Label, ReviewAnswer
from amd_service.errors import NothingToCompare
from amd_service.operations.review.error_rates import Cell, ErrorRates, estimate_error_rates


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """A shadow model against the verdicts of the same calls.

    - `period`: the time in which the calls began;
    - `labels`: number of calls by present label and label of the shadow model;
    - `present`, `shadow`: error rates of all these calls, estimated from calls that were drawn for review;
    - `only_present_right`, `only_shadow_right`: reviewed calls, drawn or chosen, on which only one model is right. An
      undecided call is not right;
    - `p_value`: exact McNemar test of whether both models are right equally often on the reviewed calls;
    - `changed`: calls whose label would change, at most as many as were asked for.
    """

    model: ShadowModel
    period: CallPeriod
    labels: Counter[tuple[Label, Label]]
    reviewed: int
    only_present_right: int
    only_shadow_right: int
    p_value: float
    present: ErrorRates
    shadow: ErrorRates
    changed: list[ChangedCall]

    @property
    def calls(self) -> int:
        return self.labels.total()

    @property
    def agreeing(self) -> int:
        """Number of calls whose label stays."""
        return sum(count for (present, shadow), count in self.labels.items() if present == shadow)


async def compare_models(
    database: Database, period: CallPeriod, plan: SamplingPlan, *, model: str | None, limit: int
) -> ModelComparison:
    """Compare the verdicts on calls of a period with those of a shadow model. `model`: its id; None chooses the newest.

    Raises NothingToCompare without shadow runs.
    """
    async with database.reading() as session:
        found = await list_shadow_models(session, period)
        chosen = next((each for each in found if model in (None, each.id)), None)
        if chosen is None:
            raise NothingToCompare(_what_is_missing(model, period, found))
        groups = await count_pairs(session, chosen, period, plan)
        changed = await list_changed(session, chosen, period, limit)
    return _comparison(chosen, period, groups, changed)


def _what_is_missing(model: str | None, period: CallPeriod, found: Sequence[ShadowModel]) -> str:
    which = f" of {model}" if model else ""
    others = f"; there are runs of {', '.join(sorted({each.id for each in found}))}" if found else ""
    return (
        f"no shadow runs{which} on calls that began {period}{others}. Set AMD_SHADOW_MODEL and restart the workers, "
        "or judge past calls with `amd-service rejudge --model`"
    )


def _comparison(
    model: ShadowModel, period: CallPeriod, groups: Sequence[PairGroup], changed: list[ChangedCall]
) -> ModelComparison:
    labels: Counter[tuple[Label, Label]] = Counter()
    only_present, only_shadow, reviewed = 0, 0, 0
    for group in groups:
        labels[group.present, group.shadow] += group.calls
        if group.answer in (ReviewAnswer.HUMAN, ReviewAnswer.VOICEMAIL):
            truth = Label(group.answer)
            reviewed += group.calls
            only_present += group.calls * (group.present is truth and group.shadow is not truth)
            only_shadow += group.calls * (group.shadow is truth and group.present is not truth)
    return ModelComparison(
        model=model,
        period=period,
        labels=labels,
        reviewed=reviewed,
        only_present_right=only_present,
        only_shadow_right=only_shadow,
        p_value=mcnemar(only_present, only_shadow),
        present=estimate_error_rates(_cells(groups, lambda group: group.present)),
        shadow=estimate_error_rates(_cells(groups, lambda group: group.shadow)),
        changed=changed,
    )


def _cells(groups: Sequence[PairGroup], label_of: Callable[[PairGroup], Label]) -> list[Cell]:
    """Return one cell for each stratum and pair of labels. All calls of a cell are drawn for review equally often."""
    cells: dict[tuple[str, Label, Label], Counter[str]] = {}
    labels: dict[tuple[str, Label, Label], Label] = {}
    for group in groups:
        key = (group.stratum, group.present, group.shadow)
        counts = cells.setdefault(key, Counter())
        counts["calls"] += group.calls
        labels[key] = label_of(group)
        if group.is_sampled and group.answer not in (None, ReviewAnswer.CANNOT_TELL):
            is_kind = group.answer in (ReviewAnswer.HUMAN, ReviewAnswer.VOICEMAIL)
            counts[str(group.answer) if is_kind else "neither"] += group.calls
    return [Cell(label=labels[key], **counts) for key, counts in cells.items()]


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p value of the exact McNemar test."""
    differing = only_first + only_second
    tail = sum(comb(differing, count) for count in range(min(only_first, only_second) + 1))
    return min(1.0, tail / 2 ** (differing - 1)) if differing else 1.0
