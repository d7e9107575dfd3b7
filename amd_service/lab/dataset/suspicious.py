"""Finds labels that are probably wrong: confident learning on cross-validated probabilities.

Needs the extras `train` (scikit-learn) and `cleanlab`.

C. G. Northcutt, L. Jiang and I. L. Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels (2021),
https://doi.org/10.1613/jair.1.12125
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TextIO

import numpy as np
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from amd_service.lab.dataset.hidden_states import Vector, describe
from amd_service.lab.dataset.labelled_files import DETECTED_LABELS, LabelledFile
from amd_service.lab.dataset.left_out import SUSPICIOUS
from amd_service.lab.dataset.placing import Placed
from amd_service.lab.dataset.whole_files import write_text
from amd_service.settings import Settings

# Every label needs this many groups, so that each of the five folds tests voices that the other four did not contain.
FOLDS = 5
# Dimensions that are kept of the hidden states. With more dimensions than recordings, every label would fit.
MAX_DIMENSIONS = 32


@dataclass(frozen=True, slots=True)
class SuspiciousLabel:
    """A label that other recordings contradict. `probability`: of the label, by a model that did not see its group.

    `call_sid` is empty for a file, and `source_file` (its name in the source folder) for a call. `reviewers`: number of
    people who gave the label, empty for other labels.
    """

    file_name: str
    call_sid: str
    source_file: str
    label: str
    suggested: str
    probability: float
    reviewers: str


def find_suspicious(
    placed: Sequence[Placed], settings: Settings, *, done: Callable[[], None] = lambda: None
) -> list[SuspiciousLabel] | None:
    """Return the suspicious labels, most suspicious first. None if there are too few groups for a judgement.

    Runs the model once on every recording with speech, and calls `done` after each. Raises ModelUnusable,
    ClassifierUnavailable or DatasetUnusable.
    """
    checked = can_be_checked(placed)
    groups = [{file.group_or_path for file in checked if file.label == label} for label in DETECTED_LABELS]
    if any(len(found) < FOLDS for found in groups):
        return None
    vectors = describe((file.waveform(max_ms=60_000) for file in checked), settings, done=done)
    labels = np.array([DETECTED_LABELS.index(file.label) for file in checked])
    probabilities = cross_validate(np.stack(vectors), labels, [file.group_or_path for file in checked])
    return [_entry(checked[index], float(probabilities[index, labels[index]])) for index in rank(labels, probabilities)]


def can_be_checked(placed: Sequence[Placed]) -> list[LabelledFile]:
    """Return the human and voicemail files with speech."""
    return [each.file for each in placed if each.file.is_detected and each.collected.onset_ms is not None]


def cross_validate(vectors: NDArray[np.float32], labels: NDArray[np.int64], groups: Sequence[str]) -> Vector:
    """Return the probability of each label, shape (recordings, 2), by models that did not see the group."""
    dimensions = min(MAX_DIMENSIONS, vectors.shape[1], len(vectors) // 2)
    classifier = make_pipeline(
        StandardScaler(), PCA(dimensions, random_state=0), LogisticRegression(C=0.1, max_iter=1000)
    )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(classifier, vectors, labels, groups=groups, cv=folds, method="predict_proba")
    return np.asarray(predicted, np.float32)


def rank(labels: NDArray[np.int64], probabilities: Vector) -> list[int]:
    """Return the indexes of the suspicious labels, the least probable label first."""
    found = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [int(index) for index in found]


def _entry(file: LabelledFile, probability: float) -> SuspiciousLabel:
    (other,) = (label for label in DETECTED_LABELS if label != file.label)
    columns = file.columns
    return SuspiciousLabel(
        file_name=f"{file.path.parent.name}/{file.path.name}",
        call_sid=columns.get("call_sid", ""),
        source_file=columns.get("source_file", ""),
        label=file.label,
        suggested=other,
        probability=round(probability, 3),
        reviewers=columns.get("reviewers", ""),
    )


def write_suspicious(folder: Path, found: Sequence[SuspiciousLabel]) -> None:
    """Write `suspicious.csv`. Raises DatasetUnusable if the disk is full."""

    def write(out: TextIO) -> None:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([field.name for field in fields(SuspiciousLabel)])
        writer.writerows(map(astuple, found))

    write_text(folder / SUSPICIOUS, write)
