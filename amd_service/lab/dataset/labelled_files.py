"""Labelled recordings of a dataset folder, and the checks before a model is trained or measured with them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amd_service.detection.audio.channels import called_party
from amd_service.detection.audio.decode import decode
from amd_service.detection.audio.file_suffixes import CONTENT_TYPES
from amd_service.detection.audio.input import AudioInput
from amd_service.domain import Label, Waveform
from amd_service.errors import DatasetUnusable, Undecodable
from amd_service.lab.synthesis.voices import Split

# The labels that the detector decides between. Every other label of a folder is an "other" label.
DETECTED_LABELS = (Label.HUMAN, Label.VOICEMAIL)
# Names that an error message lists before it only counts.
MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """One recording with the label that a person, or the user's folder, gave it.

    - `group`: caller, voice or day. Files of one group must be in one split. Without a group, a file is its own group;
    - `channel`: the called party's channel of a two-channel file, from 1. Files of `dataset build` have one channel;
    - `sha256`: hex digest of the decoded samples, from the metadata;
    - `columns`: the remaining columns of the metadata, such as `call_sid`.
    """

    path: Path
    label: str
    group: str | None = None
    language: str | None = None
    split: Split | None = None
    channel: int | None = None
    sha256: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_detected(self) -> bool:
        """Whether the label is human or voicemail."""
        return self.label in DETECTED_LABELS

    @property
    def group_or_path(self) -> str:
        """Return the group, or the path of a file without a group."""
        return self.path.as_posix() if self.group is None else self.group

    def audio_input(self) -> AudioInput:
        """Read the file for `Detector.judge` and `prepare_audio`. Raises DatasetUnusable if the file cannot be read."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise DatasetUnusable(f"{self.path} cannot be read: {error.strerror}") from error
        content_type = CONTENT_TYPES.get(self.path.suffix.lower())
        return AudioInput(data=data, content_type=content_type, channel=self.channel, one_sided=True)

    def waveform(self, *, max_ms: int) -> Waveform:
        """Decode the first `max_ms` of the called party's channel.

        Raises DatasetUnusable if the file is not audio, or has two channels and the metadata names none.
        """
        audio = self.audio_input()
        try:
            tracks = decode(audio.data, content_type=audio.content_type, max_s=max_ms / 1000)
        except Undecodable as error:
            raise DatasetUnusable(f"{self.path} is not readable audio: {error}") from error
        party = called_party(tracks, channel=audio.channel, one_sided=True)
        if party.mixed:
            cure = "add the column `channel` to metadata.csv with the called party's channel, 1 or 2"
            raise DatasetUnusable(f"{self.path} has two channels: {cure}")
        return party.waveform


def raise_if_unreadable(files: Iterable[LabelledFile], *, examined: Callable[[], None] = lambda: None) -> None:
    """Decode the first 100 ms of every file. Calls `examined` after each file, for a progress bar.

    Raises DatasetUnusable with the reasons of the first files that cannot be decoded.
    """
    reasons = []
    for file in files:
        try:
            file.waveform(max_ms=100)
        except DatasetUnusable as error:
            reasons.append(str(error))
        examined()
    if reasons:
        shown = "\n".join(reasons[:MOST_NAMES])
        raise DatasetUnusable(f"{len(reasons)} files cannot be used; remove or replace them:\n{shown}")


def raise_if_label_missing(
    files: Iterable[LabelledFile], labels: Sequence[str] = DETECTED_LABELS, *, where: str = "the dataset"
) -> None:
    """Raise DatasetUnusable if a label has no file. `where`: the part of the dataset, for the message."""
    counts = Counter(file.label for file in files)
    missing = [label for label in labels if not counts[label]]
    if missing:
        found = ", ".join(f"{count} {label}" for label, count in sorted(counts.items())) or "no files"
        raise DatasetUnusable(f"{where} has no file with the label {' or '.join(missing)} ({found}): add some")


def raise_if_one_sided(files: Sequence[LabelledFile], splits: Iterable[Split] = tuple(Split)) -> None:
    """Raise DatasetUnusable if one of `splits` is empty or has only one of the two detected labels."""
    for split in splits:
        raise_if_label_missing([file for file in files if file.split is split], where=f"the split {split}")


def raise_if_group_in_two_splits(files: Iterable[LabelledFile]) -> None:
    """Raise DatasetUnusable if a group has files in two splits: its voice would be in training and in the test."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for file in files:
        if file.group is not None and file.split is not None:
            splits[file.group].add(file.split)
    mixed = sorted(group for group, found in splits.items() if len(found) > 1)
    if mixed:
        names = ", ".join(mixed[:MOST_NAMES])
        cure = "move all files of a group to one split, or build the splits again with `amd-service dataset build`"
        raise DatasetUnusable(f"{len(mixed)} groups have files in two splits ({names}): {cure}")
