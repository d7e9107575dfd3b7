"""All figures of one model on the judged clips."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from amd_service.detection.decision import Policy
from amd_service.domain import Label, ModelIdentity
from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.evaluation.curves import Calibration, RiskCoverage, Roc, calibrate, risk_coverage, roc
from amd_service.lab.evaluation.judged_clips import ClipTimes, JudgedClip, sample_from
from amd_service.lab.evaluation.rates import Clusters, Rate, rate
from amd_service.lab.evaluation.sample import Code, Sample
from amd_service.lab.evaluation.thresholds import Costs, Recommendation, Thresholds, recommend

WORST = 20
# Names for people of the windows in `Measurement.roc`.
WINDOW_NAMES = {"first": "first window", "long": "longer window", "service": "window of the verdict"}
# Names for people of the figures of a label, in the order of `ClassFigures`.
FIGURE_NAMES = {
    "recall": "found (recall)",
    "lost": "called the opposite",
    "undecided": "undecided",
    "precision": "right if called so (precision)",
}


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Figures of one label.

    - `recall`: share of the clips with this true label that got it. `lost`: share that got the opposite label.
      `undecided`: share that got none;
    - `precision`: share of the clips that got this label whose true label it is. It depends on the mix of labels.
    """

    recall: Rate
    lost: Rate
    undecided: Rate
    precision: Rate


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a set of clips. `right`: share of all clips. `right_of_decided`: share of the clips with a label."""

    clips: int
    human: ClassFigures
    voicemail: ClassFigures
    right: Rate
    right_of_decided: Rate
    undecided: Rate


@dataclass(frozen=True, slots=True)
class OtherLabel:
    """How often clips with another true label, such as `music`, got each label of the detector."""

    human: Rate
    voicemail: Rate
    undecided: Rate


@dataclass(frozen=True, slots=True)
class WorstError:
    """A clip that got the opposite label. `confidence`: of the wrong label."""

    file: LabelledFile
    called: Label
    confidence: float | None
    reason: str
    onset_ms: int | None


@dataclass(frozen=True, slots=True)
class Measurement:
    """All figures of one model.

    - `confusion`: number of clips by true label, then by the label they got;
    - `roc`: by window: `first`, `long`, and `service` (the scores that the verdict is based on);
    - `groups`: figures by column of the metadata, then by its value;
    - `others`: labels that the detector does not decide between.
    """

    model: ModelIdentity
    policy: dict[str, object]
    figures: Figures
    confusion: dict[str, dict[str, int]]
    roc: dict[str, Roc]
    calibration: Calibration
    risk_coverage: RiskCoverage
    recommendation: Recommendation
    groups: dict[str, dict[str, Figures]]
    others: dict[str, OtherLabel]
    worst: list[WorstError]
    times: ClipTimes | None
    clips_per_s: float


@dataclass(frozen=True, slots=True)
class Question:
    """Choices of the user.

    `cluster`: column whose equal values make clips dependent. `by`: columns to split the figures by.
    """

    costs: Costs = field(default_factory=Costs)
    cluster: str | None = None
    by: Sequence[str] = ()

    @classmethod
    def about(cls, files: Iterable[LabelledFile]) -> Self:
        """Return the usual question: clips of one group are dependent, if the files have groups."""
        return cls(cluster="group" if any(file.group for file in files) else None)


def measure(
    clips: Sequence[JudgedClip],
    question: Question,
    *,
    model: ModelIdentity,
    policy: Policy,
    times: ClipTimes | None = None,
    clips_per_s: float = 0.0,
) -> Measurement:
    """Compute all figures. Raises DatasetUnusable if no judged clip is human, or none is voicemail."""
    detected = [clip for clip in clips if clip.is_measured]
    clusters = cluster_numbers([clip.file for clip in detected], question.cluster)
    sample = sample_from(detected, clusters, policy.long_window)
    _raise_if_label_missing(sample)
    thresholds = Thresholds(policy.min_confidence_human, policy.min_confidence_voicemail)
    windows = {"first": sample.first, "long": sample.long, "service": sample.final}
    return Measurement(
        model=model,
        policy=policy.as_dict(),
        figures=figures(sample),
        confusion=_confusion(sample),
        roc={name: roc(sample.truth, scores, sample.clusters) for name, scores in windows.items()},
        calibration=calibrate(sample),
        risk_coverage=risk_coverage(sample),
        recommendation=recommend(sample, thresholds, question.costs),
        groups={column: group_figures([clip.file for clip in detected], sample, column) for column in question.by},
        others=_other_labels(clips, question.cluster),
        worst=_worst(detected),
        times=times,
        clips_per_s=clips_per_s,
    )


def value_of(file: LabelledFile, column: str) -> str:
    """Return the value of a column of the metadata, or "" if it has none."""
    if column in ("group", "language", "split", "label"):
        return str(getattr(file, column) or "")
    return file.columns.get(column, "")


def raise_if_column_missing(files: Sequence[LabelledFile], columns: Sequence[str]) -> None:
    """Raise DatasetUnusable if no file has a value in one of the columns."""
    for column in columns:
        if not any(value_of(file, column) for file in files):
            known = sorted({"group", "language", *(name for file in files for name in file.columns)})
            has_value = [name for name in known if any(value_of(file, name) for file in files)]
            cure = f"choose one of {', '.join(has_value)}" if has_value else "add it to metadata.csv"
            raise DatasetUnusable(f"no clip has a value in the column {column!r}: {cure}")


def cluster_numbers(files: Sequence[LabelledFile], column: str | None) -> Clusters | None:
    """Number the values of the column. A file without a value is a cluster of its own."""
    if column is None:
        return None
    names = [value_of(file, column) or file.path.as_posix() for file in files]
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def figures(sample: Sample) -> Figures:
    """Compute the rates of a sample."""
    everything = np.ones(len(sample), bool)
    human, voicemail = (_class_figures(sample, code) for code in (Code.HUMAN, Code.VOICEMAIL))
    return Figures(
        len(sample),
        human,
        voicemail,
        rate(sample.is_right, everything, sample.clusters),
        rate(sample.is_right, sample.is_decided, sample.clusters),
        rate(~sample.is_decided, everything, sample.clusters),
    )


def _class_figures(sample: Sample, code: Code) -> ClassFigures:
    of_label = np.asarray(sample.truth == code)
    return ClassFigures(
        recall=rate(sample.is_right, of_label, sample.clusters),
        lost=rate(sample.is_wrong, of_label, sample.clusters),
        undecided=rate(~sample.is_decided, of_label, sample.clusters),
        precision=rate(of_label, np.asarray(sample.called == code), sample.clusters),
    )


def _confusion(sample: Sample) -> dict[str, dict[str, int]]:
    return {
        truth.name.lower(): {
            called.name.lower(): int(np.count_nonzero((sample.truth == truth) & (sample.called == called)))
            for called in Code
        }
        for truth in (Code.HUMAN, Code.VOICEMAIL)
    }


def group_figures(files: Sequence[LabelledFile], sample: Sample, column: str) -> dict[str, Figures]:
    """Compute the figures for each value of a column. `files`: the files of the sample, in its order."""
    values = np.array([value_of(file, column) or "(none)" for file in files])
    return {str(value): figures(sample.only(values == value)) for value in np.unique(values)}


def _other_labels(clips: Sequence[JudgedClip], cluster: str | None) -> dict[str, OtherLabel]:
    by_label: defaultdict[str, list[JudgedClip]] = defaultdict(list)
    for clip in clips:
        if clip.verdict is not None and not clip.file.is_detected:
            by_label[clip.file.label].append(clip)
    return {label: _other_label(found, cluster) for label, found in sorted(by_label.items())}


def _other_label(clips: Sequence[JudgedClip], cluster: str | None) -> OtherLabel:
    called = np.array([clip.verdict.label if clip.verdict else "" for clip in clips])
    numbers = cluster_numbers([clip.file for clip in clips], cluster)
    human, voicemail, undecided = (rate(called == label, np.ones(len(clips), bool), numbers) for label in Label)
    return OtherLabel(human, voicemail, undecided)


def _worst(clips: Sequence[JudgedClip]) -> list[WorstError]:
    """Return the wrong verdicts, the most confident first."""
    errors = [
        WorstError(clip.file, verdict.label, verdict.confidence, str(verdict.reason), verdict.onset_ms)
        for clip in clips
        if (verdict := clip.verdict) and verdict.label not in (Label.UNDECIDED, clip.file.label)
    ]
    return sorted(errors, key=lambda error: (-(error.confidence or 0), error.file.path))[:WORST]


def _raise_if_label_missing(sample: Sample) -> None:
    for code in (Code.HUMAN, Code.VOICEMAIL):
        if not np.any(sample.truth == code):
            raise DatasetUnusable(
                f"none of the {len(sample)} readable clips has the label {code.name.lower()}: add some, or choose "
                "another split with --split"
            )
