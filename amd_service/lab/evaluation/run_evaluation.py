"""Evaluates one model, or two models, on a dataset folder."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from amd_service.detection.classifier.hub import locate
from amd_service.detection.detector import Detector
from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.audio_folder import Dataset
from amd_service.lab.dataset.known_audio import count_known
from amd_service.lab.dataset.labelled_files import MOST_NAMES, LabelledFile, raise_if_label_missing
from amd_service.lab.evaluation.comparison import Comparison, compare
from amd_service.lab.evaluation.judged_clips import JudgedClip, judge_files, measure_times, sample_from
from amd_service.lab.evaluation.measurement import (
    Measurement,
    Question,
    cluster_numbers,
    measure,
    raise_if_column_missing,
)
from amd_service.lab.synthesis.voices import Split
from amd_service.settings import Settings
from amd_service.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file without a verdict, and the reason."""

    file: Path
    error: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of a model, and its differences from a second model.

    `clusters`: clusters of the measured clips, None if the clips are independent. `warnings`: sentences on figures that
    are too good. `clips`: for `clips.csv`.
    """

    data: str
    split: str | None
    question: Question
    clusters: int | None
    warnings: list[str]
    unreadable: list[Unreadable]
    model: Measurement
    against: Measurement | None
    comparison: Comparison | None
    clips: list[JudgedClip]


@dataclass(frozen=True, slots=True)
class _Run:
    clips: list[JudgedClip]
    measurement: Measurement
    warnings: list[str]


def chosen_files(dataset: Dataset, split: Split | None, question: Question) -> list[LabelledFile]:
    """Return the files of the split with both labels and all other labels. None returns all files.

    Raises DatasetUnusable if the split lacks a label, or a column of the question has no value.
    """
    if split is not None and not dataset.has_splits:
        raise DatasetUnusable(f"{dataset.folder} has no splits: leave out --split, or add the column split")
    files = [file for file in (*dataset.files, *dataset.others) if split is None or file.split is split]
    where = f"{dataset.folder}" if split is None else f"the split {split} of {dataset.folder}"
    raise_if_label_missing(files, where=where)
    raise_if_column_missing(files, [*([question.cluster] if question.cluster else []), *question.by])
    return files


async def evaluate_files(
    files: Sequence[LabelledFile],
    question: Question,
    settings: Settings,
    against: Settings | None = None,
    *,
    data: str,
    split: Split | None = None,
    judged: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Judge the files with the model of `settings`, and with the model of `against`. Calls `judged` after each file.

    Files that cannot be read are reported, and left out of both models' figures. Raises DatasetUnusable if no file can
    be read or a label has none. Raises ModelUnusable if a model cannot be loaded.
    """
    this = await _run(files, question, settings, judged)
    other = await _run(files, question, against, judged) if against else None
    numbers = cluster_numbers([each.file for each in this.clips if each.is_measured], question.cluster)
    clips = [*this.clips, *(other.clips if other else ())]
    errors = {clip.file.path: clip.error for clip in clips if clip.error}
    return Evaluation(
        data=data,
        split=str(split) if split else None,
        question=question,
        clusters=None if numbers is None else len(np.unique(numbers)),
        warnings=[*this.warnings, *(other.warnings if other else ())],
        unreadable=[Unreadable(path, error) for path, error in errors.items()],
        model=this.measurement,
        against=other.measurement if other else None,
        comparison=_compare(this.clips, other.clips, question) if other else None,
        clips=this.clips,
    )


async def _run(
    files: Sequence[LabelledFile], question: Question, settings: Settings, judged: Callable[[], None]
) -> _Run:
    async with Detector.from_settings(settings, Metrics(), is_service=False) as detector:
        await detector.wait_ready_or_raise()
        started = perf_counter()
        clips = await judge_files(files, detector, judged=judged)
        seconds = perf_counter() - started
        _raise_if_none_readable(clips)
        identity = detector.identity
        assert identity is not None, "the detector is ready"
        measurement = measure(
            clips,
            question,
            model=identity,
            policy=detector.policy,
            times=await measure_times(clips, detector),
            clips_per_s=len(clips) / seconds,
        )
    return _Run(clips, measurement, await asyncio.to_thread(_warnings, files, settings))


def _warnings(files: Sequence[LabelledFile], settings: Settings) -> list[str]:
    known = count_known(files, locate(settings.model, settings.model_revision).folder)
    if not known:
        return []
    return [
        f"{settings.model} was trained with {known} of these {len(files)} recordings: its figures are too good. "
        "Evaluate recordings that it does not know."
    ]


def _compare(this: Sequence[JudgedClip], other: Sequence[JudgedClip], question: Question) -> Comparison:
    """Compare the clips with the label human or voicemail that both models judged."""
    pairs = [
        (first, second) for first, second in zip(this, other, strict=True) if first.is_measured and second.is_measured
    ]
    clusters = cluster_numbers([first.file for first, _ in pairs], question.cluster)
    return compare(
        sample_from([first for first, _ in pairs], clusters),
        sample_from([second for _, second in pairs], clusters),
        question.costs,
    )


def _raise_if_none_readable(clips: Sequence[JudgedClip]) -> None:
    errors = [clip.error for clip in clips if clip.error]
    if len(errors) == len(clips):
        shown = "\n".join(errors[:MOST_NAMES])
        raise DatasetUnusable(f"none of the {len(clips)} files can be used:\n{shown}")
