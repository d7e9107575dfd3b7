import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.train import Batches, Recipe, build_model, train

RECIPE = Recipe(seed=3, steps=2, check_every=1, batch_s=12.0, validation_batches=1)


def test_the_model_is_small() -> None:
    assert sum(parameter.numel() for parameter in build_model().parameters()) <= 2_400_000


def test_a_batch_depends_only_on_seed_and_step(small_corpus: Corpus) -> None:
    first, second = Batches(small_corpus, RECIPE), Batches(small_corpus, RECIPE)
    second[0]
    assert torch.equal(first[1].inputs, second[1].inputs)
    assert not torch.equal(first[0].targets, first[1].targets)


def test_batches_are_normalised_like_the_feature_extractor_does(small_corpus: Corpus) -> None:
    inputs = Batches(small_corpus, RECIPE)[0].inputs
    assert torch.allclose(inputs.mean(dim=1), torch.zeros(len(inputs)), atol=1e-3)
    assert torch.allclose(inputs.var(dim=1), torch.ones(len(inputs)), atol=1e-2)


@pytest.mark.slow
def test_two_steps_leave_a_folder_that_transformers_loads(small_corpus: Corpus, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    out = train(small_corpus, tmp_path / "model", RECIPE, workers=0)
    model, loading = AutoModelForAudioClassification.from_pretrained(out, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert model.config.id2label == {0: "human", 1: "voicemail"}
    extractor = AutoFeatureExtractor.from_pretrained(out)  # type: ignore[no-untyped-call]
    assert (extractor.sampling_rate, extractor.do_normalize, extractor.return_attention_mask) == (16_000, True, True)
    inputs = extractor(np.zeros(32_000, np.float32), sampling_rate=16_000, return_tensors="pt")
    assert torch.isfinite(model(**inputs).logits).all()
    assert json.loads((out / "training.json").read_text())["seed"] == 3
    assert not list(out.glob("*.bin"))


@pytest.mark.parametrize("seconds", [1.0, 2.0, 5.0])
def test_the_first_convolution_gives_25_frames_a_second(seconds: float) -> None:
    frames = build_model().wav2vec2.feature_extractor(torch.randn(1, round(seconds * 16_000)))
    assert frames.shape[1] == 160
    assert frames.shape[2] == pytest.approx(seconds * 25, abs=2)
