"""Checks a model's files before an engine opens them."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from amd_service.detection.classifier.hub import DEMO, Located, fetch, locate
from amd_service.detection.classifier.labels import LabelOrder, order_labels
from amd_service.detection.classifier.model_windows import NO_WINDOWS, WINDOWS_FILE, ModelWindows
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings

ARCHITECTURE = "Wav2Vec2ForSequenceClassification"
FEATURE_EXTRACTOR = "Wav2Vec2FeatureExtractor"
RATE_HZ = 16_000
# Files that may contain the settings of the feature extractor.
FEATURE_FILES = ("preprocessor_config.json", "processor_config.json")

CURE = (
    "`amd-service doctor` checks the model, `amd-service model pull` downloads it again, "
    "AMD_MODEL=demo selects the demonstration model"
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A checked model folder, with all data that an engine needs to load the model.

    - `weights_sha256`: digest of the safetensors files in name order;
    - `config_sha256`: digest of config.json;
    - `normalise`: True if each clip is scaled to zero mean and unit variance;
    - `temperature`: the logits are divided by this number before the softmax. The temperature is 1 without a
      `calibration.json`;
    - `windows`: the windows and thresholds for which the model was made.
    """

    id: str
    folder: Path
    revision: str | None
    weights: tuple[Path, ...]
    weights_sha256: str
    config_sha256: str
    labels: LabelOrder
    normalise: bool
    temperature: float
    windows: ModelWindows = NO_WINDOWS

    @property
    def is_demo(self) -> bool:
        return self.id == DEMO

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all data that determines the probabilities, except the engine.

        The fingerprint is the key of cached results.
        """
        parts = (self.weights_sha256, self.config_sha256, self.normalise, self.temperature, self.labels.line)
        return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def open_model(settings: Settings) -> ModelFiles:
    """Locate the configured model and check its files. This function blocks, and may download the model.

    Raises ModelUnusable with a message of one line that names the cure. Raises ClassifierUnavailable if the hub does
    not respond.
    """
    return check_files(locate(settings.model, settings.model_revision), settings.labels)


def pull(settings: Settings) -> ModelFiles:
    """Download the configured model with a progress bar and check its files. Raises as `open_model`."""
    return check_files(fetch(settings.model, settings.model_revision), settings.labels)


def check_files(located: Located, stated_labels: str | None) -> ModelFiles:
    """Check the architecture, the weight format and the settings in a model folder, without loading the model."""
    folder = located.folder
    config = _read_json(folder, "config.json", "the folder is not a model folder")
    _check_architecture(config, folder)
    weights = _find_weights(folder)
    return ModelFiles(
        id=located.id,
        folder=folder,
        revision=located.revision,
        weights=weights,
        weights_sha256=_digest(weights),
        config_sha256=_digest((folder / "config.json",)),
        labels=order_labels(_names(config, folder), stated_labels),
        normalise=_read_normalise(folder),
        temperature=_temperature(folder),
        windows=read_windows(folder),
    )


def _read_json(folder: Path, name: str, consequence: str) -> Mapping[str, object]:
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelUnusable(f"{folder} has no {name}: {consequence}. {CURE}") from error
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{path} cannot be read: {error}. {CURE}") from error
    if not isinstance(content, dict):
        raise ModelUnusable(f"{path} is not a JSON object. {CURE}")
    return content


def _check_architecture(config: Mapping[str, object], folder: Path) -> None:
    architectures = config.get("architectures")
    if config.get("model_type") != "wav2vec2" or architectures != [ARCHITECTURE]:
        raise ModelUnusable(
            f"{folder} contains {config.get('model_type')} {architectures}, not a {ARCHITECTURE}: a base checkpoint "
            "has no trained head, and other architectures are not supported. Set AMD_MODEL to a fine-tuned classifier. "
            f"{CURE}"
        )


def _find_weights(folder: Path) -> tuple[Path, ...]:
    weights = _weight_files(folder)
    if not weights:
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt"))
        found = f"only {', '.join(pickled)}, which can run code when opened" if pickled else "no weights"
        raise ModelUnusable(
            f"{folder} has {found}: weights must be safetensors (model.safetensors); convert trusted "
            f"weights with save_pretrained(). {CURE}"
        )
    for path in weights:
        _check_safetensors(path)
    return weights


def _weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the weight files that transformers reads: one file, or the shards that the index file names."""
    single, index = folder / "model.safetensors", "model.safetensors.index.json"
    if single.exists() or not (folder / index).exists():
        return (single,) if single.exists() else ()
    shards = _read_json(folder, index, "").get("weight_map")
    if not isinstance(shards, dict):
        raise ModelUnusable(f"{folder / index} names no weight files. {CURE}")
    return tuple(folder / name for name in sorted(set(map(str, shards.values()))))


def _check_safetensors(path: Path) -> None:
    try:
        # safetensors reports every failed open() as a missing file, so open the file here first for the true reason.
        path.open("rb").close()
        with safe_open(path, framework="np") as tensors:
            tensors.keys()
    except (SafetensorError, OSError) as error:
        raise ModelUnusable(f"{path} is damaged or incomplete ({error}). {CURE}") from error


def _read_normalise(folder: Path) -> bool:
    """Read whether the feature extractor normalises the audio, and check its kind and its sample rate.

    transformers up to version 4 writes a feature extractor into preprocessor_config.json. transformers 5 writes the
    feature extractor of a processor into processor_config.json (transformers, feature_extraction_utils.py).
    """
    found = {name: features for name in FEATURE_FILES if (features := _read_features(folder, name)) is not None}
    if not found:
        raise ModelUnusable(
            f"{folder} has no preprocessor_config.json, and no processor_config.json with a feature extractor: the "
            "normalisation of the training audio is unknown; copy the file from the model that was fine-tuned. "
            f"{CURE}"
        )
    values = {name: _check_features(features, folder / name) for name, features in found.items()}
    if len(set(values.values())) > 1:
        stated = ", ".join(f"{str(value).lower()} in {name}" for name, value in values.items())
        raise ModelUnusable(
            f"{folder} contradicts itself: do_normalize is {stated}. Delete the file that does not belong to the "
            f"training of the model. {CURE}"
        )
    return next(iter(values.values()))


def _read_features(folder: Path, name: str) -> Mapping[str, object] | None:
    """Read the settings of the feature extractor from a file. Returns None if the file does not contain them."""
    if not (folder / name).exists():
        return None
    content = _read_json(folder, name, "")
    if name == FEATURE_FILES[0]:
        return content
    # transformers reads both keys.
    nested = content.get("feature_extractor", content.get("audio_processor"))
    if nested is not None and not isinstance(nested, dict):
        raise ModelUnusable(f"{folder / name}: feature_extractor is not a JSON object. {CURE}")
    return nested


def _check_features(features: Mapping[str, object], path: Path) -> bool:
    """Check the kind and the sample rate of a feature extractor. Returns whether it normalises the audio."""
    kind = features.get("feature_extractor_type", FEATURE_EXTRACTOR)
    rate_hz = features.get("sampling_rate", RATE_HZ)
    if kind != FEATURE_EXTRACTOR or rate_hz != RATE_HZ:
        raise ModelUnusable(
            f"{path} names {kind} at {rate_hz} Hz; only {FEATURE_EXTRACTOR} at {RATE_HZ} Hz is supported. {CURE}"
        )
    # True is the default of the feature extractor's constructor (transformers, feature_extraction_wav2vec2.py).
    normalise = features.get("do_normalize", True)
    if not isinstance(normalise, bool):
        raise ModelUnusable(f"{path}: do_normalize must be true or false, not {normalise!r}. {CURE}")
    return normalise


def _names(config: Mapping[str, object], folder: Path) -> dict[str, str]:
    # If id2label is missing, transformers uses these two labels.
    names = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    if not isinstance(names, dict) or not all(str(key).isdigit() for key in names):
        raise ModelUnusable(f"{folder}/config.json: id2label does not map indexes to names. {CURE}")
    return {str(key): str(name) for key, name in names.items()}


def _temperature(folder: Path) -> float:
    if not (folder / "calibration.json").exists():
        return 1.0
    value = _read_json(folder, "calibration.json", "").get("temperature")
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ModelUnusable(f"{folder}/calibration.json: temperature must be a number above 0, not {value!r}. {CURE}")
    return float(value)


def read_windows(folder: Path) -> ModelWindows:
    """Read `windows.json`, which may be missing. Raises ModelUnusable."""
    path = folder / WINDOWS_FILE
    if not path.exists():
        return NO_WINDOWS
    try:
        return ModelWindows.parse(_read_json(folder, WINDOWS_FILE, ""), path)
    except ValueError as error:
        raise ModelUnusable(f"{error}. {CURE}") from error


def _digest(paths: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            raise ModelUnusable(f"{path} cannot be read: {error}. {CURE}") from error
    return digest.hexdigest()
