"""Classifies audio files on this machine and prints one line per file."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.domain import Label, ModelRun, Verdict
from amd_service.errors import AmdError
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)

Line = dict[str, object]


async def classify_and_print(files: Sequence[Path], settings: Settings, *, channel: int | None, as_json: bool) -> bool:
    """Print a line per file as soon as the file has a verdict. Returns False if a file could not be classified.

    A progress bar is shown on a terminal. With several files, the number of files by label is printed to stderr.
    """
    console, errors = Console(), Console(stderr=True)
    counts: Counter[str] = Counter()
    columns = (TextColumn("classifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    if errors.is_terminal:
        errors.print(f"loading the model {escape(settings.model)} …", highlight=False)
    is_hidden = len(files) == 1 or not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=is_hidden) as progress:
        task = progress.add_task("", total=len(files))
        async for line in classify(files, settings, channel=channel):
            counts[str(line["label"] or "error")] += 1
            if as_json:
                print(json.dumps(line), flush=True)  # noqa: T201 - the command's output
            else:
                console.print(_readable_line(line), highlight=False, soft_wrap=True)
            progress.advance(task)
    if len(files) > 1:
        summary = ", ".join(f"{counts[name]} {name}" for name in (*Label, "error"))
        errors.print(f"{len(files)} files: {summary}", highlight=False)
    return not counts["error"]


async def classify(files: Sequence[Path], settings: Settings, *, channel: int | None) -> AsyncIterator[Line]:
    """Yield a line per file, in the order of `files`. If a file could not be classified, its line has an `error`.

    A mono file is assumed to contain only the called party. `channel`: the called party's channel of a dual-channel
    file; None mixes the two channels. Raises ModelUnusable if the model cannot be loaded.
    """
    async with Detector.from_settings(settings, Metrics(), is_service=False) as detector:
        await detector.wait_ready_or_raise()
        for file in files:
            yield await _classify_file(file, detector, channel)


async def _classify_file(file: Path, detector: Detector, channel: int | None) -> Line:
    started = perf_counter()
    try:
        data = await asyncio.to_thread(file.read_bytes)
        content_type = CONTENT_TYPES.get(file.suffix.lower())
        audio = AudioInput(data=data, content_type=content_type, channel=channel, one_sided=True)
        verdict = await detector.judge(audio, priority=Priority.INTERACTIVE)
    except (AmdError, OSError) as error:
        return _line(file, None, started, str(error))
    if verdict.channels_mixed:
        log.warning("channels mixed: select the called party's channel with --channel", file=str(file))
    return _line(file, verdict, started, None)


def _readable_line(line: Line) -> str:
    if line["error"] is not None:
        return f"[red]{'error':>9}[/]  {escape(str(line['file']))}  {escape(str(line['error']))}"
    confidence = "   –" if line["confidence"] is None else f"{line['confidence']:.2f}"
    return f"{line['label']:>9}  {confidence}  {escape(str(line['file']))}  [dim]{line['reason']}[/]"


def _line(file: Path, verdict: Verdict | None, started: float, error: str | None) -> Line:
    run = verdict.runs[-1] if verdict and verdict.runs else None
    return {
        "file": str(file),
        "label": verdict.label if verdict else None,
        "confidence": verdict.confidence if verdict else None,
        "reason": verdict.reason if verdict else None,
        "onset_ms": verdict.onset_ms if verdict else None,
        "window_start_ms": run.window_start_ms if run else None,
        "window_ms": run.window_ms if run else None,
        "scores": run.scores.as_dict() if run else None,
        "runs": [_run(each) for each in verdict.runs] if verdict else [],
        "evidence": verdict.evidence if verdict else None,
        "model": run.model.id if run else None,
        "engine": run.model.engine if run else None,
        "precision": run.model.precision if run else None,
        "processing_time_ms": round((perf_counter() - started) * 1000, 1),
        "error": error,
    }


def _run(run: ModelRun) -> Line:
    return {
        "window_start_ms": run.window_start_ms,
        "window_ms": run.window_ms,
        "scores": run.scores.as_dict(),
        "inference_ms": round(run.inference_ms, 1),
    }
