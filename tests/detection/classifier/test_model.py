"""Good and damaged model folders: each fault gives one line with the cure."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from amd_service.detection.classifier.hub import Located
from amd_service.detection.classifier.model import ModelFiles, check_files, open_model
from amd_service.detection.classifier.model_windows import ModelWindows
from amd_service.domain import Label, LongWindowRule
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings


def check(folder: Path, labels: str | None = None) -> ModelFiles:
    return check_files(Located("model", folder, None), labels)


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_bytes(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def base_checkpoint(folder: Path) -> None:
    edit(folder / "config.json", architectures=["Wav2Vec2ForPreTraining"])


def other_architecture(folder: Path) -> None:
    edit(folder / "config.json", architectures=["HubertForSequenceClassification"], model_type="hubert")


def no_preprocessor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def other_rate(folder: Path) -> None:
    edit(folder / "preprocessor_config.json", sampling_rate=8000)


def other_features(folder: Path) -> None:
    edit(folder / "preprocessor_config.json", feature_extractor_type="WhisperFeatureExtractor")


def nest(folder: Path, key: str = "feature_extractor", **values: object) -> None:
    """Move the feature extractor into processor_config.json, as transformers 5 saves a processor."""
    path = folder / "preprocessor_config.json"
    features = json.loads(path.read_text()) | values
    (folder / "processor_config.json").write_text(json.dumps({key: features, "processor_class": "Wav2Vec2Processor"}))
    path.unlink()


def other_rate_in_the_processor(folder: Path) -> None:
    nest(folder, sampling_rate=8000)


def normalisation_as_text(folder: Path) -> None:
    nest(folder, do_normalize="false")


def processor_without_features(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text('{"processor_class": "Wav2Vec2Processor"}')


def broken_processor(folder: Path) -> None:
    (folder / "processor_config.json").write_text("{")


def contradiction(folder: Path) -> None:
    original = (folder / "preprocessor_config.json").read_bytes()
    nest(folder, do_normalize=False)
    (folder / "preprocessor_config.json").write_bytes(original)


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def zero_temperature(folder: Path) -> None:
    (folder / "calibration.json").write_text('{"temperature": 0}')


def first_window_above_the_second(folder: Path) -> None:
    (folder / "windows.json").write_text('{"window_ms": 8000, "long_window_ms": 5000}')


def window_as_text(folder: Path) -> None:
    (folder / "windows.json").write_text('{"window_ms": "5 s"}')


def threshold_below_a_half(folder: Path) -> None:
    (folder / "windows.json").write_text('{"min_confidence_human": 0.4}')


def unknown_rule(folder: Path) -> None:
    (folder / "windows.json").write_text('{"long_window": "never"}')


def unknown_window(folder: Path) -> None:
    (folder / "windows.json").write_text('{"windows": 2}')


def missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00001.safetensors"}}')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (empty, "no config.json"),
        (pickle_only, "pytorch_model.bin, which can run code"),
        (truncate, "damaged or incomplete"),
        (no_bytes, "damaged or incomplete"),
        (base_checkpoint, "no trained head"),
        (other_architecture, "hubert"),
        (no_preprocessor, "no preprocessor_config.json"),
        (other_rate, "8000 Hz"),
        (other_features, "WhisperFeatureExtractor"),
        (other_rate_in_the_processor, "processor_config.json names Wav2Vec2FeatureExtractor at 8000 Hz"),
        (normalisation_as_text, "do_normalize must be true or false, not 'false'"),
        (processor_without_features, "no processor_config.json with a feature extractor"),
        (broken_processor, "processor_config.json cannot be read"),
        (
            contradiction,
            "do_normalize is true in preprocessor_config.json, false in processor_config.json. Delete the file",
        ),
        (broken_config, "cannot be read"),
        (zero_temperature, "temperature must be a number above 0"),
        (missing_shard, "damaged or incomplete"),
        (first_window_above_the_second, "window_ms=8000 is above long_window_ms"),
        (window_as_text, "window_ms must be a whole number from 1000 to 10000, not '5 s'"),
        (threshold_below_a_half, "min_confidence_human must be a number between 0.5 and 1, not 0.4"),
        (unknown_rule, 'long_window must be "unsure" or "always", not \'never\''),
        (unknown_window, "unknown key windows; the file may contain window_ms"),
    ],
)
def test_a_damaged_folder_is_rejected_in_one_line_with_the_cure(
    folder: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(folder)
    with pytest.raises(ModelUnusable) as raised:
        check(folder)
    message = str(raised.value)
    assert said in message
    assert "\n" not in message
    assert all(cure in message for cure in ("doctor", "model pull", "AMD_MODEL=demo"))


def test_a_good_folder_gives_labels_digests_and_settings(folder: Path) -> None:
    files = check(folder)
    assert files.labels.labels == (Label.HUMAN, Label.VOICEMAIL)
    assert files.weights_sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert files.config_sha256 == hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    assert (files.normalise, files.temperature) == (True, 1.0)


def test_the_temperature_is_read_from_the_model_folder(folder: Path) -> None:
    (folder / "calibration.json").write_text('{"temperature": 1.3}')
    assert check(folder).temperature == 1.3


def test_windows_and_thresholds_are_read_from_the_model_folder(folder: Path) -> None:
    assert check(folder).windows == ModelWindows()
    (folder / "windows.json").write_text('{"window_ms": 5000, "long_window": "always", "min_confidence_human": 0.8}')
    assert check(folder).windows == ModelWindows(
        window_ms=5000, long_window=LongWindowRule.ALWAYS, min_confidence_human=0.8
    )


def test_normalisation_follows_the_preprocessor_file(folder: Path) -> None:
    edit(folder / "preprocessor_config.json", do_normalize=False)
    assert not check(folder).normalise


@pytest.mark.parametrize("key", ["feature_extractor", "audio_processor"])
@pytest.mark.parametrize("normalises", [True, False])
def test_a_feature_extractor_is_read_from_the_processor_file(folder: Path, key: str, *, normalises: bool) -> None:
    nest(folder, key, do_normalize=normalises)
    assert check(folder).normalise is normalises


def test_a_processor_file_without_a_feature_extractor_is_ignored(folder: Path) -> None:
    edit(folder / "preprocessor_config.json", do_normalize=False)
    (folder / "processor_config.json").write_text('{"processor_class": "Wav2Vec2Processor"}')
    assert not check(folder).normalise


def test_two_files_may_differ_in_settings_that_do_not_change_the_model_input(folder: Path) -> None:
    original = json.loads((folder / "preprocessor_config.json").read_text())
    nest(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(original | {"return_attention_mask": False}))
    assert check(folder).normalise


def test_a_folder_needs_no_hub(folder: Path) -> None:
    files = open_model(Settings(model=str(folder)))
    assert (files.id, files.folder, files.revision) == (str(folder), folder.resolve(), None)
