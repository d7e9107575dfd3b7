import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from amd_service.detection.classifier.hub import Located
from amd_service.detection.classifier.model import check_files
from amd_service.detection.classifier.model_windows import ModelWindows
from amd_service.domain import Label, LongWindowRule
from amd_service.lab.shipped_model.drawing import Batch, Batches, make_batch, validation_batches
from amd_service.lab.shipped_model.finish import calibrate, finish, fit_offset, stated_offset, write_windows
from amd_service.lab.shipped_model.leave_out import Plan, as_table, run_recipe
from amd_service.lab.shipped_model.loop import Run, train, train_with_teachers
from amd_service.lab.shipped_model.network import FrameProduct, build_model, frame_middles
from amd_service.lab.shipped_model.recipes import RECIPES, Recipe
from amd_service.lab.shipped_model.trials import Trial
from amd_service.lab.synthesis.call_starts import SOUNDS
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.utterances import Kind
from amd_service.lab.synthesis.voices import Engine, Split

SMALL = Recipe(batch_s=12.0, width=32, layers=1)
RUN = Run(SMALL, seed=3, steps=2, check_every=1, validation_count=1, workers=0)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_into_the_package(name: str) -> None:
    recipe = RECIPES[name]
    parameters = sum(parameter.numel() for parameter in build_model(recipe).parameters())
    assert parameters * 4 < 10_000_000
    assert recipe.windows_ms[0] in [round(length * 1000) for length in recipe.lengths_s]
    assert len(recipe.lengths_s) == len(recipe.shares)
    assert sum(recipe.shares) == pytest.approx(1)


@pytest.mark.parametrize("samples", [160, 239, 240, 16_000, 16_079])
def test_the_product_of_frames_is_the_convolution(samples: int) -> None:
    torch.manual_seed(1)
    product, inputs = FrameProduct(1, 8, 160, 80), torch.randn(3, 1, samples)
    convolved = functional.conv1d(inputs, product.weight, product.bias, stride=80)
    assert torch.allclose(product(inputs), convolved, atol=1e-5)
    (expected,) = torch.autograd.grad(convolved.square().sum(), product.weight)
    (found,) = torch.autograd.grad(product(inputs).square().sum(), product.weight)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_the_product_of_frames_stays_in_fp32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert FrameProduct(1, 8, 160, 80)(torch.randn(2, 1, 320)).dtype == torch.float32


@pytest.mark.parametrize("name", ["present", "8s-hidden", "8s-consistent", "8s-mixed-voices", "8s-mixup"])
def test_a_batch_depends_only_on_seed_and_step(small_corpus: Corpus, name: str) -> None:
    recipe = replace(RECIPES[name], batch_s=16.0)
    whole, rest = Batches(small_corpus, recipe, 3, range(4)), Batches(small_corpus, recipe, 3, range(2, 4))
    assert torch.equal(whole[2].inputs, rest[0].inputs)
    assert not torch.equal(Batches(small_corpus, recipe, 4, range(4))[2].targets, whole[2].targets) or not torch.equal(
        Batches(small_corpus, recipe, 4, range(4))[2].inputs, whole[2].inputs
    )


def test_paired_windows_have_the_same_targets_over_different_lines(small_corpus: Corpus) -> None:
    batch = Batches(small_corpus, replace(SMALL, consistency=1.0), 1, range(1))[0]
    first, second = batch.inputs.chunk(2)
    assert torch.equal(*batch.targets.chunk(2))
    assert not torch.equal(first, second)


def test_batches_are_normalised_like_the_feature_extractor_does(small_corpus: Corpus) -> None:
    inputs = Batches(small_corpus, SMALL, 3, range(1))[0].inputs
    assert torch.allclose(inputs.mean(dim=1), torch.zeros(len(inputs)), atol=1e-3)
    assert torch.allclose(inputs.var(dim=1), torch.ones(len(inputs)), atol=1e-2)


def test_the_validation_uses_both_windows_of_the_recipe(small_corpus: Corpus) -> None:
    lengths = {batch.inputs.shape[1] for batch in validation_batches(small_corpus, SMALL, 1, 2)}
    assert lengths == {32_000, 80_000}


@pytest.mark.parametrize("seconds", [1.0, 8.0])
def test_the_first_convolution_gives_25_frames_a_second(seconds: float) -> None:
    frames = build_model(SMALL).wav2vec2.feature_extractor(torch.randn(1, round(seconds * 16_000)))
    assert frames.shape[1] == 160
    assert frames.shape[2] == pytest.approx(seconds * 25, abs=2)


@pytest.mark.parametrize("samples", [16_000, 80_000, 128_000])
def test_a_frame_hears_most_of_the_samples_around_its_middle(samples: int) -> None:
    middles = frame_middles(samples)
    extract = build_model(SMALL).wav2vec2.feature_extractor.eval()
    inputs = torch.randn(1, samples, requires_grad=True)
    frames = extract(inputs)
    assert frames.shape[2] == len(middles)
    for frame in (0, 7, len(middles) - 1):
        (gradient,) = torch.autograd.grad(frames[0, :, frame].square().sum(), inputs, retain_graph=True)
        heard = torch.nonzero(gradient[0]).flatten()
        assert abs((int(heard[0]) + int(heard[-1])) / 2 - middles[frame]) <= 2


def test_only_voicemails_have_frames_of_a_greeting(small_corpus: Corpus) -> None:
    batch = make_batch(small_corpus, Split.TRAIN, RECIPES["8s-sounds"], 8.0, 24, Random(1))
    assert batch.sounds.shape == (24, len(frame_middles(128_000)))
    greeting = (batch.sounds == SOUNDS.index(Kind.GREETING)).any(dim=1)
    assert torch.equal(greeting, batch.targets > 0.5)


def test_the_second_task_changes_the_training_and_is_not_in_the_model_folder(
    small_corpus: Corpus, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    folders = {weight: tmp_path / str(weight) for weight in (0.0, 1.0)}
    for weight, folder in folders.items():
        train(small_corpus, folder, replace(RUN, recipe=replace(SMALL, sounds=weight)))
    without, with_task = (load_file(folder / "model.safetensors") for folder in folders.values())
    assert without.keys() == with_task.keys()
    assert any(not torch.equal(without[name], with_task[name]) for name in without)


def test_a_killed_run_continues_to_the_same_weights(
    small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    run = replace(RUN, steps=4, check_every=2, recipe=replace(SMALL, dropout=0.1, time_masks=0.1, sounds=1.0))
    train(small_corpus, tmp_path / "whole", run)
    draw, drawn = Batches.__getitem__, count()

    def interrupted(batches: Batches, index: int) -> Batch:
        if next(drawn) == 3:
            raise KeyboardInterrupt
        return draw(batches, index)

    monkeypatch.setattr(Batches, "__getitem__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(small_corpus, tmp_path / "killed", run)
    monkeypatch.undo()
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    assert train(small_corpus, tmp_path / "killed", run)["steps"] == 4
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]
    assert not (tmp_path / "killed" / "checkpoint.pt").exists()


def test_a_run_ends_at_its_time_limit_and_says_so(small_corpus: Corpus, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    kept = train(small_corpus, tmp_path, replace(RUN, steps=50, limit_s=0.0))
    assert (kept["steps"], kept["planned_steps"]) == (1, 50)
    assert json.loads((tmp_path / "training.json").read_text()) == kept


def test_a_trained_folder_is_one_that_transformers_and_the_service_read(small_corpus: Corpus, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    run = replace(RUN, recipe=replace(SMALL, teachers=1))
    train_with_teachers(small_corpus, tmp_path, run)
    finish(small_corpus, tmp_path, run, recipe_name="small", calls=6)
    files = check_files(Located("small", tmp_path, None), None)
    assert files.temperature == json.loads((tmp_path / "calibration.json").read_text())["temperature"] != 1
    assert files.windows.window_ms == 2000
    card = (tmp_path / "README.md").read_text()
    assert f"Temperature, fitted on\n6 calls by validation voices: {files.temperature}." in card
    assert "--recipe small --out MODEL --seed 3 --steps 2" in card
    assert "<!-- figures -->" in card
    model, loading = AutoModelForAudioClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"]
    assert model.config.id2label == {0: "human", 1: "voicemail"}
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path)  # type: ignore[no-untyped-call]
    inputs = extractor(np.zeros(32_000, np.float32), sampling_rate=16_000, return_tensors="pt")
    assert torch.isfinite(model(**inputs).logits).all()
    assert (tmp_path / "teacher-0" / "model.safetensors").exists()


def test_the_offset_is_added_to_the_voicemail_output_once(
    small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("amd_service.lab.shipped_model.finish.fit_offset", lambda *_: 0.4)
    train(small_corpus, tmp_path, RUN)
    weights = tmp_path / "model.safetensors"
    trained = load_file(weights)
    calibrate(small_corpus, tmp_path, SMALL, seed=3, count=2)
    finished = load_file(weights)
    assert [name for name in trained if not torch.equal(trained[name], finished[name])] == ["classifier.bias"]
    assert (finished["classifier.bias"] - trained["classifier.bias"]).tolist() == pytest.approx([0, 0.4], abs=1e-6)
    assert stated_offset(weights) == 0.4
    assert weights.stat().st_mode & 0o777 == 0o644
    before = weights.read_bytes()
    calibrate(small_corpus, tmp_path, SMALL, seed=3, count=2)
    assert weights.read_bytes() == before


@pytest.mark.parametrize("offset", [-0.6, 0.0, 0.6])
def test_the_offset_takes_back_a_preference_for_a_label(offset: float) -> None:
    rng = np.random.default_rng(1)
    targets = np.repeat([0.0, 1.0], 500)
    margins = rng.normal(0, 2, (1000, 2)) + np.where(targets == 1, 2, -2)[:, None] - offset
    logits = np.stack([np.zeros_like(margins), margins], axis=2)
    assert fit_offset(logits, targets.tolist()) == pytest.approx(offset, abs=0.15)


def test_a_model_that_cannot_tell_the_labels_apart_gets_no_offset() -> None:
    logits = np.zeros((4, 1, 2))
    logits[:, 0, 1] = [2, 3, -2, -3]
    assert fit_offset(logits, [0.0, 0.0, 1.0, 1.0]) == 0


def test_the_folder_states_the_windows_of_its_recipe(tmp_path: Path) -> None:
    write_windows(tmp_path, RECIPES["8s-hidden"])
    stated = ModelWindows.parse(json.loads((tmp_path / "windows.json").read_text()), tmp_path)
    assert stated == ModelWindows(5000, 8000, 5000, long_window=LongWindowRule.ALWAYS)


def test_a_left_out_engine_is_only_heard_in_the_test(
    small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr("amd_service.lab.shipped_model.leave_out.RECIPES", {"small": SMALL})
    plan = Plan(seed=1, steps=1, limit_s=60, tests=4, workers=0, calibration=6)
    trials = run_recipe(small_corpus, "small", Engine.FESTIVAL, tmp_path, plan)
    assert [trial.engine for trial in trials] == ["festival"] * 4
    (tmp_path / "small-without-festival-1" / "model.safetensors").unlink()
    assert run_recipe(small_corpus, "small", Engine.FESTIVAL, tmp_path, plan) == trials


def test_a_corpus_without_an_engine_has_no_voice_of_it(small_corpus: Corpus) -> None:
    rest = replace(small_corpus, engines=(Engine.FLITE, Engine.ESPEAK))
    rng = Random(1)
    assert {rest.speaker(Split.TRAIN, rng)[0].engine for _ in range(60)} == {Engine.FLITE, Engine.ESPEAK}


def test_the_table_counts_undecided_calls_apart_and_has_intervals() -> None:
    trials = [
        Trial(Label.HUMAN, "flite", "en", 0.1, Label.HUMAN),
        Trial(Label.HUMAN, "flite", "en", 0.9, Label.VOICEMAIL),
        Trial(Label.VOICEMAIL, "flite", "en", 0.6, Label.UNDECIDED),
        Trial(Label.VOICEMAIL, "flite", "en", None, Label.UNDECIDED),
    ]
    table = as_table({"present": {"flite": trials, "festival": trials}})
    assert "| present | flite | 4 | 0.500 | 0.500 (0.150–0.850) | 0.500 (0.095–0.905) | 0.500 (0.150–0.850) |" in table
    assert "| present | all | 8 |" in table
