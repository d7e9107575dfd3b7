from dataclasses import replace

import numpy as np
import pytest

from amd_service.detection.decision import Policy
from amd_service.detection.evidence.findings import Rhythm
from amd_service.domain import Anchor, Label
from amd_service.lab.evaluation.rates import Mask
from amd_service.lab.shipped_model.checks import Model
from amd_service.lab.shipped_model.fusion import FIGURES, Heard, coefficients, fit, measure_calls, measure_gain
from amd_service.lab.shipped_model.simple_rules import DrawnCall, draw_calls
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.render import RATE_HZ
from amd_service.lab.synthesis.voices import Split
from tests.support.detectors import speech

POLICY = Policy(0.7, 0.7, 2000, 5000, Anchor.AUTO)
CALLS = 400


def drawn_heard(log_odds: float) -> Heard:
    """Voicemails speak longer, with some overlap. The score is right with these log odds."""
    rng = np.random.default_rng(1)
    is_voicemail: Mask = rng.random(CALLS) < 0.5
    figures = rng.standard_normal((CALLS, len(FIGURES)))
    figures[:, 0] = np.where(is_voicemail, log_odds, -log_odds)
    figures[:, FIGURES.index("longest_run_s")] += np.where(is_voicemail, 3.0, 0.0)
    return Heard(figures, is_voicemail)


def test_a_call_with_speech_has_the_log_odds_of_its_score_and_its_rhythm(small_corpus: Corpus) -> None:
    first, second = draw_calls(small_corpus, Split.TEST, seconds=5.0, count=2, seed=1)
    heard = speech(6.0, after_s=0.5)
    rhythm = Rhythm(8000, 500, 900, 1200, 0.4, 2, 700, 3000)
    spoken = replace(first, heard=heard, rhythm=rhythm)
    silent: DrawnCall = replace(second, heard=np.zeros(5 * RATE_HZ, np.float32))
    measured = measure_calls(Model(lambda _: 0.9, POLICY), [spoken, silent])
    np.testing.assert_allclose(measured.figures, [[np.log(9), 0.5, 0.9, 1.2, 0.4, 2, 0.7, 3]])
    assert measured.is_voicemail.tolist() == [first.start.label is Label.VOICEMAIL]


def test_rhythm_helps_a_model_that_cannot_decide() -> None:
    gain = measure_gain(fit(drawn_heard(0.0)), drawn_heard(0.0))
    assert gain.fused.share is not None
    assert gain.fused.share > 0.9
    assert gain.difference.low is not None
    assert gain.difference.low > 0.3
    assert gain.p_value < 0.01
    assert gain.alone_decided.of == 0


def test_rhythm_adds_nothing_to_a_model_that_is_always_right() -> None:
    gain = measure_gain(fit(drawn_heard(4.0)), drawn_heard(4.0))
    assert gain.alone.share == gain.fused.share == 1
    assert gain.difference.value == 0
    assert gain.p_value == 1


def test_the_printed_coefficients_repeat_the_fit() -> None:
    heard = drawn_heard(0.5)
    fitted = fit(heard)
    printed = coefficients(fitted)
    figures = printed["figures"]
    assert isinstance(figures, dict)
    assert isinstance(printed["intercept"], float)
    odds = printed["intercept"] + sum(
        each["weight"] * (heard.figures[:, column] - each["mean"]) / each["scale"]
        for column, each in enumerate(figures.values())
    )
    assert 1 / (1 + np.exp(-odds)) == pytest.approx(fitted.predict_proba(heard.figures)[:, 1], abs=0.01)
