import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoFeatureExtractor, Wav2Vec2ForSequenceClassification

from amd_service.detection.audio.input import AudioInput
from amd_service.detection.classifier.request_queue import Priority
from amd_service.detection.detector import Detector
from amd_service.detection.label_check import SHIPPED_CLIPS
from amd_service.errors import ConfigurationError, DatasetUnusable, ModelUnusable
from amd_service.lab.evaluation.measurement import Question
from amd_service.lab.evaluation.run_evaluation import evaluate_files
from amd_service.lab.synthesis.voices import Split
from amd_service.lab.training import model_folder
from amd_service.lab.training.model_card import describe_rate
from amd_service.lab.training.reporting import Reporter
from amd_service.lab.training.training_options import Trained
from amd_service.settings import Settings
from amd_service.telemetry import Metrics
from tests.support.models import build_model
from tests.support.tiny_training import QUICK, SETTINGS, train_quickly


@pytest.fixture(scope="module")
def trained(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_quickly(untrained, tmp_path_factory.mktemp("trained") / "model")


def test_the_folder_has_weights_labels_features_calibration_card_and_arguments(trained: Trained) -> None:
    out = trained.options.out
    assert {path.name for path in out.iterdir()} == {
        "README.md", "calibration.json", "config.json", "model.safetensors", "preprocessor_config.json",
        "training_arguments.json", "training_audio.json", "windows.json",
    }  # fmt: skip
    config = json.loads((out / "config.json").read_text())
    assert (config["id2label"], config["architectures"]) == (
        {"0": "human", "1": "voicemail"},
        ["Wav2Vec2ForSequenceClassification"],
    )
    assert json.loads((out / "windows.json").read_text()) == {
        "window_ms": 1000, "long_window_ms": 2000, "live_window_ms": 1000,
    }  # fmt: skip
    assert json.loads((out / "calibration.json").read_text()) == {"temperature": trained.temperature}
    arguments = json.loads((out / "training_arguments.json").read_text())
    assert (arguments["fit"]["seed"], arguments["course"]["steps"]) == (QUICK.seed, trained.fit.steps)
    loaded: Any = Wav2Vec2ForSequenceClassification.from_pretrained(out, output_loading_info=True)
    _, loading = loaded
    assert not any(loading.values())
    assert AutoFeatureExtractor.from_pretrained(out).sampling_rate == 16_000  # type: ignore[no-untyped-call]


def test_the_card_states_data_scores_with_intervals_arguments_and_limits(trained: Trained) -> None:
    card = (trained.options.out / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "| validation | 2 | 1 | 1 | 2 | 0 | not stated |" in card
    assert "| validation | 2 | " in card.split("## Scores")[1]
    assert " to " in card.split("## Scores")[1]
    assert "95 % intervals by Wilson" in card
    assert trained.heard.data.digest in card
    assert '"batch_size": 4' in card
    assert "- Only 2 held-out recordings with speech choose the best weights and the temperature; 50 or more" in card
    assert "The dataset names no groups" in card
    assert "no test part" in card


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_service_judges_with_the_trained_model(trained: Trained) -> None:
    settings = Settings.model_validate({"model": str(trained.options.out), "window_ms": 1000, "long_window_ms": 2000})
    clip = next((SHIPPED_CLIPS / "human").glob("*.wav")).read_bytes()
    async with Detector.from_settings(settings, Metrics(), is_service=False) as detector:
        await detector.wait_ready_or_raise()
        assert detector.report()["labels"] == ["human", "voicemail"]
        verdict = await detector.judge(AudioInput(data=clip, one_sided=True), priority=Priority.INTERACTIVE)
    assert verdict.runs[0].window_ms == 1000
    assert verdict.runs[0].model.id == str(trained.options.out)


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_scores_of_the_card_are_those_of_an_evaluation(trained: Trained) -> None:
    files = trained.heard.data.validation
    settings = SETTINGS.with_model(str(trained.options.out)).model_copy(update={"golden": "warn"})
    measured = await evaluate_files(files, Question.about(files), settings, data="validation")
    assert measured.warnings == [
        f"{trained.options.out} was trained with 2 of these 2 recordings: its figures are too good. "
        "Evaluate recordings that it does not know."
    ]
    assert trained.figures[Split.VALIDATION] == measured.model.figures
    assert describe_rate(measured.model.figures.right) in (trained.options.out / "README.md").read_text()


@pytest.mark.slow
def test_the_order_of_the_labels_of_the_start_is_kept(tmp_path: Path) -> None:
    start = build_model(tmp_path / "start", names=("voicemail", "human"))
    trained = train_quickly(start, tmp_path / "out", fit=QUICK)
    config = json.loads((trained.options.out / "config.json").read_text())
    assert config["id2label"] == {"0": "voicemail", "1": "human"}


@pytest.mark.slow
def test_adapters_are_merged_and_leave_a_plain_model_with_a_trained_head(untrained: Path, tmp_path: Path) -> None:
    out = train_quickly(untrained, tmp_path / "out", lora_rank=2).options.out
    before, after = (Wav2Vec2ForSequenceClassification.from_pretrained(folder) for folder in (untrained, out))
    assert not any("lora" in name for name, _ in after.named_parameters())
    attention = "wav2vec2.encoder.layers.0.attention.q_proj.weight"
    for name in (attention, "classifier.weight", "projector.weight"):
        assert not np.allclose(before.state_dict()[name], after.state_dict()[name]), name
    frozen = "wav2vec2.feature_projection.projection.weight"
    assert np.allclose(before.state_dict()[frozen], after.state_dict()[frozen])


@pytest.mark.slow
def test_a_network_can_start_from_a_config_alone(untrained: Path, tmp_path: Path) -> None:
    trained = train_quickly(untrained, tmp_path / "out", scratch=untrained / "config.json")
    assert trained.start_id == "scratch: config.json"


@pytest.mark.slow
def test_a_dataset_with_a_test_split_gets_scores_that_had_no_influence(untrained: Path, tmp_path: Path) -> None:
    for label in ("human", "voicemail"):
        for index, clip in enumerate(sorted((SHIPPED_CLIPS / label).glob("*.wav"))):
            target = tmp_path / "data" / ("test" if index < 2 else "train") / label / clip.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, target)
    trained = train_quickly(untrained, tmp_path / "out", data=tmp_path / "data")
    assert trained.figures[Split.TEST].clips == 4
    card = (tmp_path / "out" / "README.md").read_text()
    assert "no test part" not in card
    assert "- Only 4 recordings with speech are in the test part" in card


@pytest.mark.slow
def test_the_head_is_compared_before_and_after_saving(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = model_folder.write_network

    def lose_the_head(out: Path, start: object) -> None:
        written(out, start)  # type: ignore[arg-type]
        build_model(out)  # the head of a network that was not trained

    monkeypatch.setattr(model_folder, "write_network", lose_the_head)
    with pytest.raises(ModelUnusable, match="the scores changed while the model was saved"):
        train_quickly(untrained, tmp_path / "out")
    assert not (tmp_path / "out" / "config.json").exists()


@pytest.mark.slow
def test_an_interrupted_training_is_resumed_only_with_the_same_data(untrained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(model_folder, "write_network", fail)
        with pytest.raises(KeyboardInterrupt):
            train_quickly(untrained, out)
    with pytest.raises(ConfigurationError, match="has checkpoints of an unfinished training: continue it with --res"):
        train_quickly(untrained, out)
    swapped = build_model(tmp_path / "swapped", names=("voicemail", "human"))
    with pytest.raises(ConfigurationError, match=r"belongs to another training .*labels human,voicemail → voicemail"):
        train_quickly(swapped, out, resume=True)
    assert train_quickly(untrained, out, resume=True).fit.ended_by == "all steps done"
    with pytest.raises(ConfigurationError, match="already holds a model"):
        train_quickly(untrained, out)


@pytest.mark.slow
def test_a_training_that_diverges_names_the_learning_rate(untrained: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelUnusable, match=r"diverged: .* Lower the learning rate \(--learning-rate\), delete .*check"
    ):
        train_quickly(untrained, tmp_path / "out", fit=replace(QUICK, learning_rate=1e9))


def test_without_a_checkpoint_there_is_nothing_to_resume(untrained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no checkpoint: run the command without --resume"):
        train_quickly(untrained, tmp_path / "out", resume=True)


@pytest.mark.parametrize("reporter", Reporter)
def test_a_reporter_that_is_not_installed_is_named_with_its_command(
    reporter: Reporter, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amd_service.lab.training.reporting.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=f"--report-to {reporter}: .* `pip install {reporter}`"):
        train_quickly(untrained, tmp_path / "out", report_to=reporter)


def test_a_disk_without_space_is_reported_before_the_training(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
    with pytest.raises(ConfigurationError, match=r"needs about .* GB .* but the disk has 0\.0 GB left: free some"):
        train_quickly(untrained, tmp_path / "out")


def test_data_of_one_label_is_refused(untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_CLIPS / "human", tmp_path / "data" / "human")
    with pytest.raises(DatasetUnusable, match="has no file with the label voicemail"):
        train_quickly(untrained, tmp_path / "out", data=tmp_path / "data")


def test_a_validation_split_of_one_label_is_refused(untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_CLIPS, tmp_path / "data" / "train")
    shutil.copytree(SHIPPED_CLIPS / "human", tmp_path / "data" / "validation" / "human")
    with pytest.raises(DatasetUnusable, match="the split validation has no file with the label voicemail"):
        train_quickly(untrained, tmp_path / "out", data=tmp_path / "data")


def test_a_file_that_is_not_audio_is_named(untrained: Path, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_CLIPS, tmp_path / "data")
    (tmp_path / "data" / "human" / "broken.wav").write_text("<Error/>")
    with pytest.raises(DatasetUnusable, match=r"broken\.wav"):
        train_quickly(untrained, tmp_path / "out", data=tmp_path / "data")
