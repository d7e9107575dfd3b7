from collections.abc import Mapping

import pytest

from amd_service.domain import Label, Window
from amd_service.lab.evaluate import Trial, as_markdown, measure, run_trials
from amd_service.lab.synthesis.corpus import Corpus


def _trial(label: Label, short: float | None, long: float | None = None) -> Trial:
    return Trial(label, "flite", "en", short, long)


def _service(trials: list[Trial]) -> Mapping[str, float]:
    figures = measure(trials)["service (2 s, then 5 s when unsure)"]
    assert isinstance(figures, dict)
    return figures


def test_the_long_window_decides_if_the_short_one_is_below_the_threshold() -> None:
    figures = _service([_trial(Label.VOICEMAIL, 0.6, 0.9), _trial(Label.HUMAN, 0.1, 0.9)])
    assert figures["voicemail called voicemail"] == 1.0
    assert figures["human called voicemail"] == 0.0
    assert figures["human called human"] == 1.0


def test_a_recording_without_speech_counts_as_undecided_and_wrong() -> None:
    figures = _service([_trial(Label.HUMAN, None), _trial(Label.VOICEMAIL, 0.95, 0.95)])
    assert figures["undecided"] == 0.5
    assert figures["accuracy"] == 0.5
    assert figures["human called voicemail"] == 0.0


def test_false_rates_are_shares_of_their_own_label() -> None:
    trials = [_trial(Label.HUMAN, 0.9, 0.9), *[_trial(Label.HUMAN, 0.1, 0.1)] * 3, _trial(Label.VOICEMAIL, 0.9, 0.9)]
    assert _service(trials)["human called voicemail"] == 0.25
    assert _service(trials)["voicemail called human"] == 0.0


@pytest.mark.parametrize(("score", "error"), [(0.999, 0.001), (0.75, 0.25)])
def test_calibration_error_is_the_gap_between_confidence_and_truth(score: float, error: float) -> None:
    trials = [_trial(Label.VOICEMAIL, score, score)] * 10
    assert _service(trials)["calibration error"] == pytest.approx(error, abs=1e-3)


def test_the_table_has_a_row_for_each_window_engine_and_language() -> None:
    table = as_markdown(measure([_trial(Label.HUMAN, 0.2, 0.1), _trial(Label.VOICEMAIL, 0.8, 0.9)]))
    lines = table.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert [name in table for name in ("2 s window", "5 s window", "engine: flite", "language: en")] == [True] * 4


def test_trials_use_windows_as_the_service_cuts_them(small_corpus: Corpus) -> None:
    heard: list[Window] = []

    def predict(window: Window) -> float:
        heard.append(window)
        return 0.9

    trials = run_trials(predict, small_corpus, count=4, seed=1)
    assert [trial.label for trial in trials] == [Label.HUMAN, Label.VOICEMAIL] * 2
    assert all(window.start_ms == 0 or window.onset_ms == window.start_ms + 200 for window in heard)
    assert all(window.duration_ms in (2000, 5000) for window in heard)
