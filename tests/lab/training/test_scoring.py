from pathlib import Path

import numpy as np
import pytest

from amd_service.detection.decision import Policy
from amd_service.domain import Anchor
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.training.recordings import Recording
from amd_service.lab.training.scoring import fit_temperature, judge

POLICY = Policy(0.7, 0.7, 2000, 5000, Anchor.AUTO)


def recordings(labels: str) -> list[Recording]:
    names = {"h": "human", "v": "voicemail"}
    return [
        Recording(LabelledFile(Path(f"{index}.wav"), names[letter], group=str(index)), 0)
        for index, letter in enumerate(labels)
    ]


def test_the_long_window_decides_if_the_first_is_unsure() -> None:
    unsure, sure_human, sure_voicemail = (0.0, 0.0), (3.0, 0.0), (0.0, 3.0)
    logits = np.array(
        [[unsure, sure_human], [sure_human, sure_voicemail], [unsure, unsure], [sure_human, unsure]], dtype=float
    )
    outcome = judge(logits, recordings("hhvv"), POLICY, temperature=1.0)
    assert (outcome.wrong.count, outcome.undecided.count) == (1, 1)
    assert (outcome.human_called_voicemail.count, outcome.voicemail_called_human.count) == (0, 1)
    assert outcome.groups == 4
    cooled = judge(logits, recordings("hhvv"), POLICY, temperature=9.0)
    assert cooled.undecided.count == 4


def test_the_temperature_corrects_certainty_that_the_truth_does_not_bear_out() -> None:
    rng = np.random.default_rng(1)
    probability = rng.uniform(0.02, 0.98, 4000)
    labels = "".join("v" if draw else "h" for draw in rng.random(4000) < probability)
    margin = np.log(probability / (1 - probability)) * 3  # three times too certain
    logits = np.stack([np.zeros(4000), margin], axis=1)[:, None]
    assert fit_temperature(logits, [float(each == "v") for each in labels]) == pytest.approx(3.0, rel=0.1)


def test_a_few_right_recordings_do_not_make_the_model_certain() -> None:
    logits = np.array([[[2.0, -2.0]], [[-2.0, 2.0]]] * 5)
    assert fit_temperature(logits, [0.0, 1.0] * 5) > 1.2
