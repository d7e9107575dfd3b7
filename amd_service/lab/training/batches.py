"""Batches of windows: what a training reads, and how the model gets it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from amd_service.detection.classifier.features import normalise
from amd_service.domain import Label


class LabelledWindow(Protocol):
    """One window. `samples`: float32 at 16 kHz, not normalised. `target`: probability of voicemail to learn."""

    @property
    def samples(self) -> NDArray[np.float32]: ...

    @property
    def target(self) -> float: ...


class Windows(Protocol):
    """A map-style dataset of PyTorch that returns a whole batch at once, so that its windows can have one length.

    Random draws must come from PyTorch's global generator. Checkpoints contain its state, so that a resumed training
    continues with the same windows.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> LabelledWindow: ...

    def __getitems__(self, indices: Sequence[int]) -> Sequence[LabelledWindow]: ...


@dataclass(frozen=True, slots=True)
class Collator:
    """Builds the model's input from windows, in the same way as the service.

    - `labels`: labels in the order of the model's outputs;
    - `normalises`: each window is scaled to zero mean and unit variance;
    - `masks`: the model gets an attention mask. Models with group norm are trained without a mask (transformers,
      `Wav2Vec2FeatureExtractor`), so that their shorter windows are followed by zeros.
    """

    labels: tuple[Label, Label]
    normalises: bool
    masks: bool

    def __call__(self, windows: Sequence[LabelledWindow]) -> dict[str, Tensor]:
        """Return `input_values` (windows, samples), `labels` (windows, 2) as probabilities, and `attention_mask`."""
        clips = [self.clip(each.samples) for each in windows]
        voicemail = torch.tensor([each.target for each in windows], dtype=torch.float32)
        of_label = {Label.HUMAN: 1 - voicemail, Label.VOICEMAIL: voicemail}
        batch = {
            "input_values": pad_sequence(clips, batch_first=True),
            "labels": torch.stack([of_label[label] for label in self.labels], dim=1),
        }
        if self.masks:
            lengths = torch.tensor([len(clip) for clip in clips])
            batch["attention_mask"] = (torch.arange(int(lengths.max()))[None, :] < lengths[:, None]).long()
        return batch

    def clip(self, samples: NDArray[np.float32]) -> Tensor:
        """Return one window as the model gets it, shape (samples,)."""
        return torch.from_numpy(normalise(samples) if self.normalises else samples)
