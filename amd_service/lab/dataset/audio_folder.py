"""Reads and writes dataset folders in the AudioFolder layout of Hugging Face `datasets`.

`read_folder` understands three layouts, with audio files of every format that the service decodes:

- `DATA/train/metadata.csv`, `DATA/validation/metadata.csv`, `DATA/test/metadata.csv`: a dataset with splits;
- `DATA/metadata.csv`: a dataset without splits, or with the split in the column `split`;
- no `metadata.csv`: one sub-folder per label, `DATA/human/…` and `DATA/voicemail/…`, or `DATA/train/human/…`.

A `metadata.csv` needs the columns `file_name` (relative to the csv) and `label`. The optional columns `group`,
`language`, `split`, `channel` and `sha256` are fields of `LabelledFile`. Other columns are kept in its `columns`.

    dataset = read_folder(Path("DATA"))      # DatasetUnusable names the cure
    dataset.files                            # human and voicemail
    dataset.others                           # other labels, with `keep_other=True`; otherwise they are an error
    dataset.of(Split.TEST)                   # files of one split
    write_metadata(Path("DATA"), files)      # a metadata.csv per split, or one for files without a split

Layout: https://huggingface.co/docs/datasets/audio_dataset#audiofolder
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.errors import DatasetUnusable
from amd_service.lab.dataset.labelled_files import (
    DETECTED_LABELS,
    MOST_NAMES,
    LabelledFile,
    raise_if_group_in_two_splits,
)
from amd_service.lab.dataset.metadata import METADATA, SPLIT_NAMES, read_metadata, write_rows
from amd_service.lab.dataset.whole_files import write_text
from amd_service.lab.synthesis.voices import Split

MANIFEST = "dataset.json"


@dataclass(frozen=True, slots=True)
class Dataset:
    """The labelled files of a folder. `others`: files with labels that the detector does not decide between.

    `manifest`: content of `dataset.json`, empty if the folder has none.
    """

    folder: Path
    files: tuple[LabelledFile, ...]
    others: tuple[LabelledFile, ...]
    manifest: Mapping[str, object]

    @property
    def has_splits(self) -> bool:
        """Whether every file belongs to a split."""
        return all(file.split is not None for file in self.files)

    def of(self, split: Split) -> tuple[LabelledFile, ...]:
        """Return the human and voicemail files of one split."""
        return tuple(file for file in self.files if file.split is split)


def read_folder(folder: Path, *, keep_other: bool = False) -> Dataset:
    """Read the labels of a dataset folder, without decoding its audio.

    Raises DatasetUnusable: no folder, no files, missing or repeated files, a name that is not UTF-8, a column that is
    missing, a label that is neither human nor voicemail (unless `keep_other`), or a group in two splits.
    """
    if not folder.is_dir():
        raise DatasetUnusable(f"{folder} is not a folder: name a dataset folder, see docs/datasets.md")
    found = list(_labelled(folder))
    if not found:
        suffixes = ", ".join(CONTENT_TYPES)
        cure = f"add {METADATA} with the columns file_name and label, or put audio into folders human and voicemail"
        raise DatasetUnusable(f"{folder} has no labelled audio: {cure} (suffixes: {suffixes})")
    _raise_if_not_utf8(folder, found)
    _raise_if_repeated(folder, found)
    if not keep_other:
        _raise_if_other_labels(folder, found)
    raise_if_group_in_two_splits(found)
    files = tuple(file for file in found if file.is_detected)
    others = tuple(file for file in found if not file.is_detected)
    return Dataset(folder, files, others, read_manifest(folder))


def read_manifest(folder: Path) -> dict[str, object]:
    """Return the content of `dataset.json`, or an empty dictionary if there is none. Raises DatasetUnusable."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetUnusable(f"{path} is damaged: build the dataset again, or delete this file") from error
    if not isinstance(content, dict):
        raise DatasetUnusable(f"{path} is not a JSON object: build the dataset again, or delete this file")
    return content


def write_metadata(folder: Path, files: Sequence[LabelledFile]) -> None:
    """Write `metadata.csv` into `folder`, or into the folder of each split. The files must already be below it.

    Raises DatasetUnusable if the disk is full.
    """
    by_split = sorted(files, key=lambda file: (file.split or "", file.path.as_posix()))
    for split, rows in groupby(by_split, key=lambda file: file.split):
        below = folder / split if split else folder
        write_text(below / METADATA, partial(write_rows, files=list(rows), below=below))


def write_manifest(folder: Path, manifest: Mapping[str, object]) -> None:
    """Write `dataset.json`. Raises DatasetUnusable if the disk is full."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    write_text(folder / MANIFEST, lambda out: out.write(text))


def _labelled(folder: Path) -> Iterator[LabelledFile]:
    """Yield the files of the top folder and of the split folders."""
    splits = {path: SPLIT_NAMES.get(path.name.casefold()) for path in _folders(folder)}
    if (folder / METADATA).is_file():
        if any((path / METADATA).is_file() for path, split in splits.items() if split):
            raise DatasetUnusable(f"{folder} has {METADATA} at the top and in the splits: remove one of them")
        yield from read_metadata(folder / METADATA, None)
        return
    for path, split in splits.items():
        if split is None:
            yield from _of_label(path, None)
        elif (path / METADATA).is_file():
            yield from read_metadata(path / METADATA, split)
        else:
            for label in _folders(path):
                yield from _of_label(label, split)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _of_label(folder: Path, split: Split | None) -> Iterator[LabelledFile]:
    """Yield the audio files of a folder whose name is their label."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in CONTENT_TYPES and path.is_file() and not path.name.startswith("."):
            yield LabelledFile(path, folder.name.casefold(), split=split)


def _raise_if_not_utf8(folder: Path, files: Sequence[LabelledFile]) -> None:
    """The tables, reports and JSON documents are UTF-8, so they cannot contain a name in another encoding."""
    names = [
        ascii(file.path.name) for file in files if file.path.as_posix().encode(errors="ignore") != bytes(file.path)
    ]
    if names:
        raise DatasetUnusable(
            f"{folder} has {len(names)} files whose names are not UTF-8 ({', '.join(names[:MOST_NAMES])}): rename them"
        )


def _raise_if_repeated(folder: Path, files: Sequence[LabelledFile]) -> None:
    repeated = [path for path, count in Counter(file.path for file in files).items() if count > 1]
    if repeated:
        names = ", ".join(path.relative_to(folder).as_posix() for path in repeated[:MOST_NAMES])
        raise DatasetUnusable(f"{folder} names {len(repeated)} files twice ({names}): keep one row of each")


def _raise_if_other_labels(folder: Path, files: Sequence[LabelledFile]) -> None:
    counts = Counter(file.label for file in files if not file.is_detected)
    if counts:
        found = ", ".join(f"{count} {label}" for label, count in sorted(counts.items()))
        allowed = " and ".join(DETECTED_LABELS)
        raise DatasetUnusable(f"{folder} has files with other labels ({found}): use only {allowed}, or remove them")
