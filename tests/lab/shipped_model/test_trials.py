from amd_service.domain import Label, Window
from amd_service.lab.shipped_model.trials import Trial, run_trials
from amd_service.lab.synthesis.corpus import Corpus


def test_the_long_window_decides_if_the_short_one_is_below_the_threshold() -> None:
    assert Trial(Label.VOICEMAIL, "flite", "en", 0.6, 0.9).final == 0.9
    assert Trial(Label.HUMAN, "flite", "en", 0.1, 0.9).final == 0.1
    assert Trial(Label.HUMAN, "flite", "en", None, None).final is None


def test_trials_use_windows_as_the_service_cuts_them(small_corpus: Corpus) -> None:
    heard: list[Window] = []

    def predict(window: Window) -> float:
        heard.append(window)
        return 0.9

    trials = run_trials(predict, small_corpus, count=4, seed=1, windows_ms=(2000, 5000))
    assert [trial.label for trial in trials] == [Label.HUMAN, Label.VOICEMAIL] * 2
    assert all(window.start_ms == 0 or window.onset_ms == window.start_ms + 200 for window in heard)
    assert all(window.duration_ms in (2000, 5000) for window in heard)
