"""Digests of the recordings that a model was trained with. They lie in its folder, so that an evaluation finds them."""

import json
from collections.abc import Iterable
from pathlib import Path

from amd_service.detection.prepared_audio import SEARCH_MS
from amd_service.domain import Waveform
from amd_service.errors import DatasetUnusable, ModelUnusable
from amd_service.lab.dataset.audio_store import audio_digest
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.dataset.whole_files import write_text

FILE = "training_audio.json"


def opening_digest(waveform: Waveform) -> str:
    """Return the digest of the first 15 s. A copy of the recording that is cut later has the same digest."""
    count = SEARCH_MS * waveform.rate_hz // 1000
    return audio_digest(Waveform(waveform.samples[:count], waveform.rate_hz))


def write_known_audio(folder: Path, digests: Iterable[str]) -> None:
    """Write the digests into the folder of a model."""
    text = json.dumps({"audio_ms": SEARCH_MS, "sha256": sorted(set(digests))}, indent=1) + "\n"
    write_text(folder / FILE, lambda out: out.write(text))


def count_known(files: Iterable[LabelledFile], folder: Path) -> int:
    """Return how many of the files the model in `folder` was trained with, 0 if its folder has no digests.

    Files that cannot be decoded do not count. Raises ModelUnusable if the list of digests is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return 0
    try:
        known = frozenset(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnusable(
            f"{path} is damaged ({error}): copy it from the trained model again, or delete it"
        ) from error
    return sum(_is_known(file, known) for file in files)


def _is_known(file: LabelledFile, known: frozenset[str]) -> bool:
    try:
        return opening_digest(file.waveform(max_ms=SEARCH_MS)) in known
    except DatasetUnusable:
        return False
