import json
import struct
from math import prod
from pathlib import Path

from amd_service.detection.classifier.hub import DEMO_FOLDER
from amd_service.lab.shipped_model.card import as_markdown

CARD = (DEMO_FOLDER / "README.md").read_text(encoding="utf-8")
WEIGHTS = DEMO_FOLDER / "model.safetensors"


def _parameters(path: Path) -> int:
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def test_the_shipped_model_is_within_its_limits() -> None:
    assert _parameters(WEIGHTS) <= 2_400_000
    assert WEIGHTS.stat().st_size < 10_000_000


def test_the_card_states_the_size_of_the_model() -> None:
    assert f"{_parameters(WEIGHTS):,} parameters" in CARD


def test_the_card_shows_the_measured_figures() -> None:
    measured = json.loads((DEMO_FOLDER / "scores.json").read_text(encoding="utf-8"))
    assert as_markdown(measured) in CARD
    assert f"{measured['recordings']} recordings" in CARD
    assert f"{measured['voices']} voices" in CARD
    areas = [f"{each['auc']:.3f} ({each['low']:.3f}–{each['high']:.3f})" for each in measured["auc"].values()]
    assert all(area in CARD for area in areas)
    assert f"calibration error is {measured['calibration_error']:.3f}" in CARD


def test_the_card_has_a_warning_and_names_the_speech_engines() -> None:
    assert "never for real calls" in CARD.lower()
    assert all(engine in CARD for engine in ("espeak-ng", "flite", "festival"))
    assert "python -m amd_service.lab.shipped_model.make" in CARD


def test_labels_are_named_in_the_config() -> None:
    config = json.loads((DEMO_FOLDER / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {"0": "human", "1": "voicemail"}
    assert json.loads((DEMO_FOLDER / "preprocessor_config.json").read_text(encoding="utf-8"))["do_normalize"] is True
