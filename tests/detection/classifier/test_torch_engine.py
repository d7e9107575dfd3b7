"""The reference engine equals transformers and rejects mismatched weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoFeatureExtractor, Wav2Vec2ForSequenceClassification

from amd_service.detection.classifier.engines.engine import load_engine
from amd_service.detection.classifier.features import normalise
from amd_service.detection.classifier.hub import Located
from amd_service.detection.classifier.model import check_files
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings
from tests.support.models import build_model, noise

Tensors = dict[str, torch.Tensor]
POS_CONV = "wav2vec2.encoder.pos_conv_embed.conv."


def load(folder: Path, **settings: Any) -> Any:
    return load_engine(check_files(Located("model", folder, None), None), Settings(threads=1, **settings)).engine


def plain_transformers(folder: Path, clip: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Run the model in the usual way, with transformers alone."""
    extractor: Any = AutoFeatureExtractor
    model: Any = Wav2Vec2ForSequenceClassification.from_pretrained(folder)
    inputs = extractor.from_pretrained(folder)(clip, sampling_rate=16_000, return_tensors="pt", padding=True)
    with torch.no_grad():
        return np.asarray(model(**inputs).logits.numpy()[0])


@pytest.mark.parametrize("seconds", [1.0, 1.37, 2.0, 5.0])
def test_logits_equal_those_of_transformers_at_any_length(pristine: Path, seconds: float) -> None:
    clip = noise(seconds)
    expected = plain_transformers(pristine, clip)
    assert abs(expected[0] - expected[1]) > 1e-3  # equal logits for any input would prove nothing
    np.testing.assert_allclose(load(pristine).logits([clip])[0], expected, atol=1e-6)


def test_a_model_trained_without_normalisation_gets_raw_samples(tmp_path: Path) -> None:
    folder = build_model(tmp_path / "raw", do_normalize=False)
    clip = noise(1.5) * 0.1
    np.testing.assert_allclose(load(folder).logits([clip])[0], plain_transformers(folder, clip), atol=1e-6)


def test_clips_of_one_batch_do_not_influence_each_other(pristine: Path) -> None:
    engine = load(pristine)
    clips = [noise(1.5, seed) * seed for seed in (1, 2, 3)]
    alone = np.concatenate([engine.logits([clip]) for clip in clips])
    np.testing.assert_allclose(engine.logits(clips), alone, atol=1e-6)


def test_normalisation_equals_that_of_the_feature_extractor(pristine: Path) -> None:
    extractor: Any = AutoFeatureExtractor
    for clip in (noise(1.2), np.zeros(16_000, np.float32), np.full(16_000, 0.5, np.float32)):
        expected = extractor.from_pretrained(pristine)(clip, sampling_rate=16_000)["input_values"][0]
        np.testing.assert_array_equal(normalise(clip), expected)


def test_half_precision_weights_run_in_float32(folder: Path) -> None:
    rewrite(folder, lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})
    assert load(folder).logits([noise(1.0)]).dtype == np.float32


def test_weight_names_of_older_torch_versions_are_accepted(pristine: Path, folder: Path) -> None:
    def old_names(tensors: Tensors) -> Tensors:
        tensors[POS_CONV + "weight_g"] = tensors.pop(POS_CONV + "parametrizations.weight.original0")
        tensors[POS_CONV + "weight_v"] = tensors.pop(POS_CONV + "parametrizations.weight.original1")
        return tensors

    rewrite(folder, old_names)
    np.testing.assert_array_equal(load(folder).logits([noise(1.0)]), load(pristine).logits([noise(1.0)]))


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def without_head(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name.startswith("wav2vec2.")}


def other_shape(tensors: Tensors) -> Tensors:
    return tensors | {"classifier.weight": torch.zeros(3, 16)}


def left_over(tensors: Tensors) -> Tensors:
    return tensors | {"adapter.weight": torch.zeros(3)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_head, "4 missing (classifier.bias, classifier.weight, projector.bias, …)"),
        (other_shape, "1 of another shape (classifier.weight)"),
        (left_over, "1 unexpected (adapter.weight)"),
    ],
)
def test_mismatched_weights_are_rejected_in_one_line(
    folder: Path, capfd: pytest.CaptureFixture[str], change: Callable[[Tensors], Tensors], said: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(ModelUnusable) as refused:
        load(folder)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "AMD_MODEL=demo" in str(refused.value)
    assert_quiet(capfd)


def assert_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    said = "".join(capfd.readouterr())
    assert "LOAD REPORT" not in said
    assert "Loading weights" not in said


def test_progress_bars_and_tables_of_transformers_are_suppressed(
    pristine: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load(pristine)
    assert_quiet(capfd)


def test_an_unknown_engine_is_rejected_by_name(pristine: Path) -> None:
    with pytest.raises(ModelUnusable, match="AMD_ENGINE=abacus is not one of auto, torch"):
        load(pristine, engine="abacus")
