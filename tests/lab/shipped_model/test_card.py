import json
from pathlib import Path

import pytest

from amd_service.lab.shipped_model.card import main, write_scores

RATE = {"share": 0.75, "count": 3, "of": 4, "low": 0.5, "high": 0.9}
CLASS = {"recall": RATE, "lost": {**RATE, "low": 0.0, "high": 1.0}, "undecided": RATE, "precision": RATE}
FIGURES = {
    "clips": 4,
    "human": CLASS,
    "voicemail": CLASS,
    "right": RATE,
    "right_of_decided": {"share": None, "count": 0, "of": 0, "low": None, "high": None},
    "undecided": RATE,
}
EVALUATION = {
    "data": "/home/someone/voices",
    "clusters": 3,
    "model": {
        "policy": {"window_ms": 2000},
        "figures": FIGURES,
        "roc": {"first": {"auc": 0.9, "interval": {"low": 0.8, "high": 1.0}, "points": []}},
        "calibration": {"expected_error": 0.02, "bins": []},
        "groups": {"language": {"en": FIGURES}},
        "worst": [{"file": "/home/someone/voices/1.wav"}],
    },
}


def test_the_table_replaces_the_older_one_and_the_scores_name_no_file(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("# Model\n\n<!-- figures -->\nold\n<!-- end of figures -->\n\nLimits\n")
    (tmp_path / "evaluation.json").write_text(json.dumps(EVALUATION))
    main([str(tmp_path / "evaluation.json"), "--model", str(tmp_path)])
    text = card.read_text()
    assert "| language: en | 4 | 0.750 (0.500–0.900) | – | 0.750 (0.500–0.900) | 0.750 (0.500–0.900) | 0.750 |" in text
    assert "old" not in text
    assert text.endswith("<!-- end of figures -->\n\nLimits\n")
    assert "someone" not in (tmp_path / "scores.json").read_text()


def test_a_card_without_a_place_for_the_table_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Model\n")
    with pytest.raises(ValueError, match="needs the lines <!-- figures -->"):
        write_scores(tmp_path, EVALUATION)
    assert not (tmp_path / "scores.json").exists()
