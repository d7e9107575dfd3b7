"""Chooses the recordings for training, for early stopping and calibration, and for the final test."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from amd_service.domain import Label
from amd_service.lab.dataset.audio_folder import Dataset
from amd_service.lab.dataset.labelled_files import LabelledFile, raise_if_label_missing, raise_if_one_sided
from amd_service.lab.dataset.splitting import assign_splits
from amd_service.lab.synthesis.voices import Split
from amd_service.lab.training.recordings import Recording

# With 50 recordings, the 95 % interval of a rate around 0.9 is already 17 points wide.
FEW = 50
_HELD_OUT_SHARES = {Split.TRAIN: 0.8, Split.VALIDATION: 0.2, Split.TEST: 0.0}


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The parts of a dataset. No group is in two parts. `test` may be empty.

    `held_out_by`: origin of the validation part, for the model card. `manifest`: content of `dataset.json`.
    """

    train: tuple[LabelledFile, ...]
    validation: tuple[LabelledFile, ...]
    test: tuple[LabelledFile, ...]
    held_out_by: str
    manifest: Mapping[str, object]

    @property
    def parts(self) -> dict[Split, tuple[LabelledFile, ...]]:
        return {Split.TRAIN: self.train, Split.VALIDATION: self.validation, Split.TEST: self.test}

    @property
    def digest(self) -> str:
        """SHA-256 of names, labels and parts, which shows whether a checkpoint belongs to this data."""
        rows = [f"{split}/{each.path.name}/{each.label}" for split, files in self.parts.items() for each in files]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class HeardData:
    """The recordings of each part in which the service finds speech."""

    data: TrainingData
    recordings: Mapping[Split, Sequence[Recording]]

    def without_speech(self, split: Split) -> int:
        """Return the number of files of a part in which the service finds no speech."""
        return len(self.data.parts[split]) - len(self.recordings[split])

    @property
    def digests(self) -> list[str]:
        """Digests of the recordings that influence the model: those for training, early stopping and calibration."""
        return [each.sha256 for split in (Split.TRAIN, Split.VALIDATION) for each in self.recordings[split]]

    @property
    def warnings(self) -> list[str]:
        """Sentences on parts that are too small for their purpose."""
        held_out, test = len(self.recordings[Split.VALIDATION]), len(self.recordings[Split.TEST])
        found = []
        if held_out < FEW:
            found.append(
                f"Only {held_out} held-out recordings with speech choose the best weights and the temperature; "
                f"{FEW} or more are needed. The confidence of the model may be far from the share of right labels."
            )
        if self.data.test and test < FEW:
            found.append(
                f"Only {test} recordings with speech are in the test part; {FEW} or more are needed. Their scores say "
                "little about other calls."
            )
        return found

    def class_weights(self, labels: tuple[Label, Label]) -> tuple[float, float]:
        """Return a weight for each of `labels`, so that the training recordings of both have equal sums of weights."""
        recordings = self.recordings[Split.TRAIN]
        counts = [sum(each.file.label == label for each in recordings) for label in labels]
        first, second = (len(recordings) / (2 * max(count, 1)) for count in counts)
        return first, second


def divide(dataset: Dataset, *, seed: int) -> TrainingData:
    """Use the splits of the dataset. Without a validation split, hold out a fifth of the training groups.

    Files without a split count as training files. Raises DatasetUnusable: a label has no file, the training or the
    validation files have only one label, or a label has only one group.
    """
    raise_if_label_missing(dataset.files, where=f"{dataset.folder}")
    training = [file for file in dataset.files if file.split in (None, Split.TRAIN)]
    validation, test = dataset.of(Split.VALIDATION), dataset.of(Split.TEST)
    held_out_by = "split of the dataset"
    if not validation:
        raise_if_label_missing(training, where=f"the training part of {dataset.folder}")
        divided = assign_splits([replace(file, split=None) for file in training], shares=_HELD_OUT_SHARES, seed=seed)
        training, validation = _of(divided, Split.TRAIN), tuple(_of(divided, Split.VALIDATION))
        held_out_by = "a fifth of the training groups"
    raise_if_one_sided(
        [*(replace(file, split=Split.TRAIN) for file in training), *validation], (Split.TRAIN, Split.VALIDATION)
    )
    return TrainingData(tuple(training), validation, test, held_out_by, dataset.manifest)


def _of(files: Sequence[LabelledFile], split: Split) -> list[LabelledFile]:
    return [file for file in files if file.split is split]
