"""The model as one traceable graph with two inputs: normalised samples and a mask of real frames."""

from typing import Any

import torch
from torch import Tensor, nn

from amd_service.detection.classifier.engines.torch import load_model
from amd_service.detection.classifier.model import ModelFiles
from amd_service.errors import ModelUnusable

# Added to the attention scores of padding, so that softmax gives padding zero weight. Fits every precision.
_MASKED = -10_000.0


class FrameMasked(nn.Module):
    """A `Wav2Vec2ForSequenceClassification` that takes its frame mask as an input instead of computing it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, samples: Tensor, frame_mask: Tensor) -> Tensor:
        """Return the logits, shape (clips, 2).

        `samples`: shape (clips, n), each clip normalised separately. `frame_mask`: shape (clips, frames), 1.0 for real
        frames and 0.0 for padding.
        """
        wav2vec2, encoder = self.model.wav2vec2, self.model.wav2vec2.encoder
        stable = self.model.config.do_stable_layer_norm
        real = frame_mask.unsqueeze(-1)
        hidden, _ = wav2vec2.feature_projection(wav2vec2.feature_extractor(samples).transpose(1, 2))
        hidden = hidden * real
        hidden = hidden + encoder.pos_conv_embed(hidden)
        # The encoder has two published variants: one normalises before the layers, the other after the layers.
        hidden = hidden if stable else encoder.layer_norm(hidden)
        bias = (1.0 - frame_mask)[:, None, None, :] * _MASKED
        for layer in encoder.layers:
            hidden = layer(hidden, attention_mask=bias)
        hidden = encoder.layer_norm(hidden) if stable else hidden
        projected = self.model.projector(hidden)
        logits: Tensor = self.model.classifier((projected * real).sum(1) / real.sum(1))
        return logits


def trace_ready(files: ModelFiles) -> FrameMasked:
    """Load the model in float32 on the CPU, ready for an exporter.

    Raises ModelUnusable if the model cannot be exported.
    """
    model = load_model(files)
    if model.config.add_adapter or model.config.use_weighted_layer_sum:
        raise ModelUnusable(
            f"{files.id} uses an adapter or a weighted sum of layers, which cannot be exported: serve it with "
            "AMD_ENGINE=torch"
        )
    return FrameMasked(model).eval()


def trace_inputs(front_frames: int, samples: int) -> tuple[Tensor, Tensor]:
    """Return example inputs for tracing: two clips, so that no exporter treats the batch size as a constant."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, samples, generator=generator), torch.ones(2, front_frames)
