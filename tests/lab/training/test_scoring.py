import numpy as np
import pytest

from amd_service.lab.training.scoring import fit_temperature


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
