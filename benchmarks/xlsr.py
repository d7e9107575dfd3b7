"""A model of the production model's shape with random weights, to measure speed and deviation without a download.

`python -m benchmarks.xlsr` writes the model to `.cache/xlsr-random`. The hyperparameters are those of
facebook/wav2vec2-xls-r-300m. Unlike trained weights, random weights have no outlier channels, so the int8 deviation of
this model is too small.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from amd_service.detection.classifier.features import normalise
from amd_service.detection.decision import Policy
from amd_service.lab.export.check_windows import draw_windows
from amd_service.settings import Settings
from benchmarks.clips import Clip

FOLDER = Path(".cache/xlsr-random")
_SPREAD = 2.0  # standard deviation of the logit difference over clips, so that probabilities fill the range 0 to 1


def ensure(folder: Path = FOLDER, *, seed: int = 11) -> Path:
    """Return the model folder. A missing folder is built first, which takes a minute."""
    if not (folder / "preprocessor_config.json").exists():
        save(build(seed), folder)
    return folder


def build(seed: int) -> Wav2Vec2ForSequenceClassification:
    """Build XLS-R-300M with random weights. Its head spreads the probabilities of varied clips over 0 to 1."""
    torch.manual_seed(seed)
    model = Wav2Vec2ForSequenceClassification(
        Wav2Vec2Config(
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            intermediate_size=4096,
            feat_extract_norm="layer",
            conv_bias=True,
            do_stable_layer_norm=True,
            classifier_proj_size=256,
            layerdrop=0.0,
            apply_spec_augment=False,
            id2label={0: "human", 1: "voicemail"},
            label2id={"human": 0, "voicemail": 1},
        )
    ).eval()
    _spread_head(model)
    return model


def save(model: Wav2Vec2ForSequenceClassification, folder: Path) -> None:
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16_000, padding_value=0.0, do_normalize=True, return_attention_mask=True
    ).save_pretrained(folder)


def _spread_head(model: Wav2Vec2ForSequenceClassification) -> None:
    """Set the classifier to the direction in which the windows' features differ most, scaled and centred.

    A trained head uses the direction in which the classes differ. Windows differ so little in a random direction that
    the necessary scale would magnify every rounding error.
    """
    features = np.array([_pooled(model, normalise(samples)) for samples in _windows()])
    centre = features.mean(axis=0)
    direction = np.linalg.svd(features - centre, full_matrices=False)[2][0]
    direction *= _SPREAD / float(((features - centre) @ direction).std())
    with torch.no_grad():
        # The two logits become +gap / 2 and -gap / 2.
        model.classifier.weight.copy_(torch.tensor(np.stack([-direction, direction]) / 2))
        gap = float(centre @ direction)
        model.classifier.bias.copy_(torch.tensor([gap / 2, -gap / 2]))


def _windows() -> list[Clip]:
    """Return windows of the shipped recordings, unchanged and varied."""
    return draw_windows(
        Policy.from_settings(Settings(long_window_ms=2000)), None, check=48, calibration=0, seed=5
    ).check


def _pooled(model: Wav2Vec2ForSequenceClassification, samples: Clip) -> NDArray[np.float32]:
    with torch.inference_mode():
        hidden = model.wav2vec2(torch.from_numpy(samples)[None]).last_hidden_state
        return np.asarray(model.projector(hidden).mean(dim=1)[0].numpy())


if __name__ == "__main__":
    print(ensure())
