"""Runs the detector over labelled files, in batches, exactly as the service runs it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import LongWindowRule, ModelRun, Verdict
from amd_service.errors import DatasetUnusable, ModelFailed, Undecodable
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.evaluation.rates import Clusters, Floats
from amd_service.lab.evaluation.sample import Code, Sample

# Clips that are judged one after the other to measure the time per clip.
TIMED_CLIPS = 20


@dataclass(frozen=True, slots=True)
class JudgedClip:
    """A labelled file with its verdict, or with the `error` why it has none.

    `long_run`: run on the longer window, also if the first window was enough for the verdict. None if the clip has no
    longer window.
    """

    file: LabelledFile
    verdict: Verdict | None = None
    long_run: ModelRun | None = None
    error: str | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the clip is in the figures of human and voicemail."""
        return self.file.is_detected and self.verdict is not None


@dataclass(frozen=True, slots=True)
class ClipTimes:
    """Milliseconds from reading a file to its verdict, for `clips` files that were judged one after the other."""

    clips: int
    median_ms: float
    p95_ms: float


async def judge_files(
    files: Sequence[LabelledFile], detector: Detector, *, judged: Callable[[], None] = lambda: None
) -> list[JudgedClip]:
    """Judge the files with as many at once as keep the engine busy. Calls `judged` after each file.

    A file that cannot be read, decoded or scored has an `error`. Raises ClassifierUnavailable.
    """
    waiting: Iterator[int] = iter(range(len(files)))
    done: list[JudgedClip] = [JudgedClip(file) for file in files]

    async def judge_waiting() -> None:
        for number in waiting:
            done[number] = await _judge(files[number], detector)
            judged()

    async with asyncio.TaskGroup() as group:
        for _ in range(detector.windows_at_once):
            group.create_task(judge_waiting())
    return done


async def measure_times(clips: Sequence[JudgedClip], detector: Detector) -> ClipTimes | None:
    """Judge some of the clips again, one after the other. Returns None if no clip was judged."""
    files = [clip.file for clip in clips if clip.verdict is not None][:TIMED_CLIPS]
    times = []
    for file in files:
        started = perf_counter()
        await detector.judge(await asyncio.to_thread(file.audio_input), priority=Priority.INTERACTIVE)
        times.append((perf_counter() - started) * 1000)
    if not times:
        return None
    return ClipTimes(len(times), float(np.median(times)), float(np.quantile(times, 0.95)))


async def _judge(file: LabelledFile, detector: Detector) -> JudgedClip:
    try:
        audio = await asyncio.to_thread(file.audio_input)
        verdict = await detector.judge(audio, priority=Priority.INTERACTIVE)
        if verdict.channels_mixed:
            cure = "add the column `channel` to metadata.csv with the called party's channel, 1 or 2"
            return JudgedClip(file, error=f"{file.path} has two channels: {cure}")
        longer = verdict.runs[1] if len(verdict.runs) > 1 else None
        if len(verdict.runs) == 1:
            longer = await detector.score_longer_window(audio, verdict.runs[0], Priority.INTERACTIVE)
    except DatasetUnusable as error:
        return JudgedClip(file, error=str(error))
    except (Undecodable, ModelFailed) as error:
        return JudgedClip(file, error=f"{file.path}: {error}")
    return JudgedClip(file, verdict, longer)


def sample_from(
    clips: Sequence[JudgedClip],
    clusters: Clusters | None = None,
    long_window: LongWindowRule = LongWindowRule.UNSURE,
) -> Sample:
    """Collect clips with the true label human or voicemail. Every clip must have a verdict.

    `long_window`: rule by which the verdicts used the longer window.
    """
    verdicts = [clip.verdict for clip in clips if clip.verdict is not None]
    first = [verdict.runs[0] if verdict.runs else None for verdict in verdicts]
    long = [clip.long_run or run for clip, run in zip(clips, first, strict=True)]
    final = [verdict.runs[-1] if verdict.runs else None for verdict in verdicts]
    return Sample(
        np.array([Code[clip.file.label.upper()] for clip in clips], np.int8),
        np.array([Code[verdict.label.name] for verdict in verdicts], np.int8),
        _scores(first),
        _scores(long),
        _scores(final),
        clusters,
        long_window,
    )


def _scores(runs: Sequence[ModelRun | None]) -> Floats:
    """Return one row per run, in the order of `Code`."""
    rows = [(run.scores.human, run.scores.voicemail) if run else (np.nan, np.nan) for run in runs]
    return np.array(rows, np.float64).reshape(-1, 2)
