"""Removes duplicates, divides collected recordings into splits, and writes the tables of the dataset."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from amd_service.lab.dataset.audio_folder import write_metadata
from amd_service.lab.dataset.audio_store import AudioStore
from amd_service.lab.dataset.collecting import Collected
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.dataset.left_out import LeftOut
from amd_service.lab.dataset.splitting import Shares, assign_splits
from amd_service.lab.dataset.whole_files import file_errors_explained


@dataclass(frozen=True, slots=True)
class Placed:
    """A recording in its split."""

    file: LabelledFile
    collected: Collected


def without_duplicates(collected: Iterable[Collected]) -> tuple[list[Collected], list[LeftOut]]:
    """Keep the first recording of equal audio. Equal audio with two labels is left out altogether."""
    by_audio: defaultdict[str, list[Collected]] = defaultdict(list)
    for each in collected:
        by_audio[each.sha256].append(each)
    kept, left_out = [], []
    for same in by_audio.values():
        names = ", ".join(each.candidate.title for each in same)
        if len({each.candidate.label for each in same}) > 1:
            detail = f"the same audio has different labels: {names}"
            left_out += [LeftOut(each.candidate.title, "contradiction", detail) for each in same]
            continue
        kept.append(same[0])
        left_out += [
            LeftOut(each.candidate.title, "duplicate", f"the same audio as {same[0].candidate.title}")
            for each in same[1:]
        ]
    return kept, left_out


def place(
    folder: Path,
    store: AudioStore,
    collected: Sequence[Collected],
    *,
    known: Iterable[str],
    shares: Shares,
    seed: int,
) -> list[Placed]:
    """Give each recording a split, move its file there, and write the metadata.

    A recording keeps the split of its source, or of an earlier build into the same folder. `known`: names of further
    files that stay in the folder. Raises DatasetUnusable if a label has too few groups, or if a file cannot be moved or
    written.
    """
    files = assign_splits([_file(each) for each in collected], shares=shares, seed=seed)
    placed = []
    with file_errors_explained(folder):
        store.begin_placing()
        for each, file in zip(collected, files, strict=True):
            path = store.place(each.candidate.name, file.split)
            placed.append(Placed(replace(file, path=path), each))
        store.tidy(placed=[each.candidate.name for each in collected], known=known)
    write_metadata(folder, [each.file for each in placed])
    return placed


def _file(each: Collected) -> LabelledFile:
    candidate = each.candidate
    mixed = {"mixed": "yes"} if each.stored.is_mixed else {}
    return LabelledFile(
        path=each.stored.path,
        label=candidate.label,
        group=candidate.group,
        language=candidate.language,
        split=candidate.split or each.stored.split,
        sha256=each.sha256,
        columns={**candidate.columns, **mixed},
    )
