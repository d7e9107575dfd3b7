"""Writes an evaluation into a folder: `evaluation.json`, `clips.csv` and `report.html`."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO

from amd_service.lab.dataset.whole_files import write_text
from amd_service.lab.evaluation.html_report import render_report
from amd_service.lab.evaluation.judged_clips import JudgedClip
from amd_service.lab.evaluation.run_evaluation import Evaluation

REPORT = "report.html"


def as_json(evaluation: Evaluation) -> str:
    """Return all figures as a JSON document, without the single clips."""
    found = asdict(replace(evaluation, clips=[]))
    del found["clips"]
    return json.dumps(found, indent=2, ensure_ascii=False, default=str, allow_nan=False)


def write_results(folder: Path, evaluation: Evaluation, *, max_audio_bytes: int) -> None:
    """Write the three files. Raises DatasetUnusable if the folder cannot be written or the disk is full.

    `max_audio_bytes`: size of all recordings in the report.
    """
    write_text(folder / "evaluation.json", lambda out: out.write(as_json(evaluation) + "\n"))
    write_text(folder / "clips.csv", lambda out: _write_clips(out, evaluation.clips))
    report = render_report(evaluation, max_audio_bytes=max_audio_bytes)
    write_text(folder / REPORT, lambda out: out.write(report))


def _write_clips(out: TextIO, clips: Sequence[JudgedClip]) -> None:
    columns = ("file", "label", "called", "confidence", "reason", "onset_ms", "first_voicemail", "long_voicemail")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*columns, "error"))
    for clip in clips:
        row: tuple[object, ...] = ("",) * 6
        if (verdict := clip.verdict) is not None:
            first = verdict.runs[0].scores.voicemail if verdict.runs else ""
            long = clip.long_run.scores.voicemail if clip.long_run else ""
            row = (verdict.label, verdict.confidence, verdict.reason, verdict.onset_ms, first, long)
        writer.writerow((clip.file.path, clip.file.label, *row, clip.error or ""))
