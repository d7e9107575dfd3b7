"""The reference engine equals transformers and rejects mismatched weights."""

import json
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


def test_a_feature_extractor_in_the_processor_file_decides_the_normalisation(tmp_path: Path) -> None:
    folder = build_model(tmp_path / "raw", do_normalize=False)
    features = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": features}))
    (folder / "preprocessor_config.json").unlink()
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


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "model.module.", "module._orig_mod."])
def test_weight_names_with_the_prefix_of_a_wrapper_are_accepted(pristine: Path, folder: Path, prefix: str) -> None:
    rewrite(folder, lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()})
    np.testing.assert_array_equal(load(folder).logits([noise(1.0)]), load(pristine).logits([noise(1.0)]))


def test_old_weight_names_behind_a_wrapper_are_accepted(pristine: Path, folder: Path) -> None:
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}

    def rename(name: str) -> str:
        for new, older in old.items():
            name = name.replace(new, older)
        return f"module.{name}"

    rewrite(folder, lambda tensors: {rename(name): tensor for name, tensor in tensors.items()})
    np.testing.assert_array_equal(load(folder).logits([noise(1.0)]), load(pristine).logits([noise(1.0)]))


MASK = "wav2vec2.masked_spec_embed"


def without_mask(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name != MASK}


def with_heads_of_other_tasks(tensors: Tensors) -> Tensors:
    names = ("lm_head.weight", "quantizer.codevectors", "project_hid.bias", "project_q.weight", "loss.weight")
    return tensors | {name: torch.zeros(3) for name in names}


@pytest.mark.parametrize(
    "change",
    [
        without_mask,
        lambda tensors: tensors | {MASK: torch.zeros(7)},
        with_heads_of_other_tasks,
        lambda tensors: with_heads_of_other_tasks(without_mask(tensors)),
    ],
)
def test_weights_that_only_the_training_uses_may_be_missing_or_left_over(
    pristine: Path, folder: Path, change: Callable[[Tensors], Tensors]
) -> None:
    rewrite(folder, change)
    np.testing.assert_array_equal(load(folder).logits([noise(1.0)]), load(pristine).logits([noise(1.0)]))


def test_a_mask_without_masking_in_the_config_is_ignored(pristine: Path, folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}))
    np.testing.assert_array_equal(load(folder).logits([noise(1.0)]), load(pristine).logits([noise(1.0)]))


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def without_head(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name.startswith("wav2vec2.")}


def other_shape(tensors: Tensors) -> Tensors:
    return tensors | {"classifier.weight": torch.zeros(3, 16)}


def with_adapter(tensors: Tensors) -> Tensors:
    return tensors | {"wav2vec2.adapter.layers.0.conv.weight": torch.zeros(3)}


def with_more_layers(tensors: Tensors) -> Tensors:
    return tensors | {"wav2vec2.encoder.layers.2.layer_norm.weight": torch.zeros(32)}


def speech_recognition(tensors: Tensors) -> Tensors:
    return without_head(tensors) | {"lm_head.weight": torch.zeros(3), "lm_head.bias": torch.zeros(3)}


def without_weight_norm(tensors: Tensors) -> Tensors:
    tensors.pop(POS_CONV + "parametrizations.weight.original0")
    tensors[POS_CONV + "weight"] = tensors.pop(POS_CONV + "parametrizations.weight.original1")
    return tensors


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_head, "4 missing (classifier.bias, classifier.weight, projector.bias, …)"),
        (other_shape, "1 of another shape (classifier.weight)"),
        (
            speech_recognition,
            "…); 2 unexpected and harmless (lm_head.bias, lm_head.weight). The model's scores would be",
        ),
        (with_adapter, "1 unexpected (wav2vec2.adapter.layers.0.conv.weight). The model's scores would be wrong"),
        (with_more_layers, "1 unexpected (wav2vec2.encoder.layers.2.layer_norm.weight)"),
        (without_weight_norm, f"1 unexpected ({POS_CONV}weight)"),
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
