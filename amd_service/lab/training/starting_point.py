"""Loads the network from which a training starts: a classifier, a base checkpoint, or random weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from amd_service.detection.classifier.hub import Located
from amd_service.detection.classifier.labels import order_labels
from amd_service.detection.classifier.model import ARCHITECTURE, FEATURE_FILES, RATE_HZ
from amd_service.domain import Label
from amd_service.errors import ModelUnusable
from amd_service.lab.training.batches import Collator

# The head, which a base checkpoint lacks.
_HEAD = ("projector.", "classifier.", "layer_weights")
# Present only in a network that is trained with SpecAugment.
_MASK = "wav2vec2.masked_spec_embed"
_MASKED_S = 0.2
_IN_ORDER = (Label.HUMAN, Label.VOICEMAIL)


@dataclass(frozen=True, slots=True)
class Masking:
    """SpecAugment: share of the frames, and of the features, that are hidden from the network while it trains."""

    time: float = 0.05
    features: float = 0.0

    def apply(self, config: Any) -> None:
        """Write the settings into a config. A mask of time covers 0.2 s."""
        config.apply_spec_augment = self.time > 0 or self.features > 0
        config.mask_time_prob, config.mask_feature_prob = self.time, self.features
        config.mask_time_length = max(1, round(_MASKED_S * RATE_HZ / config.inputs_to_logits_ratio))
        config.mask_feature_length = min(config.mask_feature_length, max(1, config.hidden_size // 10))


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """A network with the input that it expects. `id`: name for the model card. `has_new_head`: it never classified."""

    id: str
    model: Any
    extractor: Any
    labels: tuple[Label, Label]
    has_new_head: bool

    @property
    def collator(self) -> Collator:
        # Only networks with layer norm were pretrained with a mask (transformers, feature_extraction_wav2vec2.py).
        masks = self.model.config.feat_extract_norm == "layer"
        return Collator(self.labels, normalises=self.extractor.do_normalize, masks=masks)


def start_from_checkpoint(
    located: Located, *, masking: Masking, new_head: bool = False, stated_labels: str | None = None
) -> StartingPoint:
    """Load a checkpoint. A base checkpoint gets a head with random weights, from PyTorch's generator.

    `new_head`: replace the head of a classifier for other labels. Raises ModelUnusable: another architecture, other
    labels, other sample rate, weights that are missing or not safetensors.
    """
    folder = located.folder
    content = _read_config(folder / "config.json")
    config = Wav2Vec2Config.from_dict(dict(content))
    is_classifier = content.get("architectures") == [ARCHITECTURE] and not new_head
    labels = _read_labels(content, folder, stated_labels) if is_classifier else _IN_ORDER
    _state_labels(config, labels)
    masking.apply(config)
    extractor = _read_extractor(folder)
    model = _load(folder, config, has_head=is_classifier)
    if not is_classifier:
        model.projector.reset_parameters()
        model.classifier.reset_parameters()
    return StartingPoint(located.id, model, extractor, labels, has_new_head=not is_classifier)


def start_from_scratch(path: Path, *, masking: Masking) -> StartingPoint:
    """Build a network with random weights from a `config.json`, or from a folder with one. Raises ModelUnusable."""
    file = path / "config.json" if path.is_dir() else path
    config = Wav2Vec2Config.from_dict(dict(_read_config(file)))
    _state_labels(config, _IN_ORDER)
    masking.apply(config)
    untyped: Any = Wav2Vec2FeatureExtractor
    extractor = untyped(sampling_rate=RATE_HZ, do_normalize=True, return_attention_mask=True)
    model = Wav2Vec2ForSequenceClassification(config)
    return StartingPoint(f"scratch: {path.name}", model, extractor, _IN_ORDER, has_new_head=True)


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{path} cannot be read ({error}): name a folder or a hub id of a Wav2Vec2") from error
    if not isinstance(content, dict) or content.get("model_type") != "wav2vec2":
        found = content.get("model_type") if isinstance(content, dict) else None
        raise ModelUnusable(f"{path} describes a model of the type {found!r}: only wav2vec2 can be trained")
    return content


def _read_labels(content: Mapping[str, Any], folder: Path, stated: str | None) -> tuple[Label, Label]:
    names = content.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    try:
        return order_labels({str(key): str(name) for key, name in names.items()}, stated).labels
    except ModelUnusable as error:
        raise ModelUnusable(
            f"{folder} classifies into other labels ({', '.join(map(str, names.values()))}): add --new-head to replace "
            "its head and keep the rest of the network, or choose a human/voicemail classifier"
        ) from error


def _state_labels(config: Any, labels: tuple[Label, Label]) -> None:
    config.id2label = {index: str(label) for index, label in enumerate(labels)}
    config.label2id = {str(label): index for index, label in enumerate(labels)}


def _read_extractor(folder: Path) -> Any:
    if not any((folder / name).exists() for name in FEATURE_FILES):
        raise ModelUnusable(
            f"{folder} has no {' and no '.join(FEATURE_FILES)}: the normalisation of its audio is unknown. Copy the "
            "file from the model that was fine-tuned"
        )
    untyped: Any = Wav2Vec2FeatureExtractor
    try:
        extractor = untyped.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelUnusable(f"{folder}: its feature extractor cannot be read ({error}): copy it again") from error
    if extractor.sampling_rate != RATE_HZ:
        raise ModelUnusable(
            f"{folder} expects audio at {extractor.sampling_rate} Hz; the service gives its models {RATE_HZ} Hz. "
            f"Choose a checkpoint for {RATE_HZ} Hz"
        )
    return extractor


def _load(folder: Path, config: Any, *, has_head: bool) -> Any:
    try:
        loaded: Any = Wav2Vec2ForSequenceClassification.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelUnusable(
            f"{folder} cannot be loaded ({str(error).splitlines()[0]}): weights must be model.safetensors; convert "
            "trusted weights with save_pretrained()"
        ) from error
    model, report = loaded
    absent = [*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])]
    lost = sorted(name for name in absent if name != _MASK and (has_head or not name.startswith(_HEAD)))
    if lost:
        raise ModelUnusable(
            f"{folder}: {len(lost)} weights are missing or have another shape ({', '.join(lost[:3])}): its config.json "
            "belongs to other weights. Copy both from one checkpoint"
        )
    return model
