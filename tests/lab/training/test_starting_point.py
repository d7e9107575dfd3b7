import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import Wav2Vec2Model

from amd_service.detection.classifier.hub import Located
from amd_service.domain import Label
from amd_service.errors import ModelUnusable
from amd_service.lab.training.starting_point import Masking, StartingPoint, start_from_checkpoint
from tests.support.models import build_model


def start(folder: Path, **options: Any) -> StartingPoint:
    return start_from_checkpoint(Located(str(folder), folder, None), masking=Masking(), **options)


def change(file: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_a_classifier_for_other_labels_needs_a_new_head(tmp_path: Path) -> None:
    folder = build_model(tmp_path, names=("happy", "sad", "angry"))
    with pytest.raises(ModelUnusable, match=r"classifies into other labels \(happy, sad, angry\): add --new-head"):
        start(folder)
    point = start(folder, new_head=True)
    assert (point.has_new_head, point.model.config.id2label) == (True, {0: "human", 1: "voicemail"})
    assert point.model.classifier.weight.shape[0] == 2


def test_a_base_checkpoint_gets_a_head(tmp_path: Path) -> None:
    folder = build_model(tmp_path / "classifier")
    base = Wav2Vec2Model.from_pretrained(folder)
    base.save_pretrained(folder)
    point = start(folder)
    assert point.has_new_head
    assert point.labels == (Label.HUMAN, Label.VOICEMAIL)
    assert (
        point.model.wav2vec2.feature_projection.projection.weight == base.feature_projection.projection.weight
    ).all()


def test_a_classifier_without_its_weights_is_refused(tmp_path: Path) -> None:
    folder = build_model(tmp_path)
    Wav2Vec2Model.from_pretrained(folder).save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(ModelUnusable, match="weights are missing or have another shape"):
        start(folder)


def test_a_model_for_another_sample_rate_is_refused(tmp_path: Path) -> None:
    folder = build_model(tmp_path)
    change(folder / "preprocessor_config.json", lambda content: content.update(sampling_rate=8000))
    with pytest.raises(ModelUnusable, match=r"expects audio at 8000 Hz; the service gives its models 16000 Hz"):
        start(folder)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = build_model(tmp_path)
    change(folder / "config.json", lambda content: content.update(model_type="whisper"))
    with pytest.raises(ModelUnusable, match="type 'whisper': only wav2vec2 can be trained"):
        start(folder)


def test_a_folder_without_feature_extractor_is_refused(tmp_path: Path) -> None:
    folder = build_model(tmp_path)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelUnusable, match=r"has no preprocessor_config\.json and no processor_config\.json"):
        start(folder)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = build_model(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelUnusable, match=r"weights must be model\.safetensors"):
        start(folder)


def test_a_mask_covers_a_fifth_of_a_second() -> None:
    class Config:
        inputs_to_logits_ratio, mask_feature_length, hidden_size = 320, 10, 32

    config: Any = Config()
    Masking(time=0.1).apply(config)
    assert (config.apply_spec_augment, config.mask_time_prob, config.mask_time_length) == (True, 0.1, 10)
    Masking(time=0.0).apply(config)
    assert not config.apply_spec_augment
