from dataclasses import replace

import numpy as np
import pytest

from amd_service.detection.audio.window import cut
from amd_service.detection.decision import Policy
from amd_service.domain import Anchor, Label, LongWindowRule, Waveform, Window
from amd_service.lab.shipped_model.trials import judge_windows, run_trials
from amd_service.lab.synthesis.corpus import Corpus

UNSURE = Policy(0.7, 0.7, 2000, 5000, Anchor.AUTO)
ALWAYS = replace(UNSURE, long_window=LongWindowRule.ALWAYS)


@pytest.mark.parametrize(
    ("policy", "first", "long", "expected"),
    [
        (UNSURE, 0.6, 0.9, (0.9, Label.VOICEMAIL)),
        (UNSURE, 0.1, 0.9, (0.1, Label.HUMAN)),
        (ALWAYS, 0.6, 0.9, (0.9, Label.VOICEMAIL)),
        (ALWAYS, 0.1, 0.9, (0.9, Label.UNDECIDED)),
    ],
)
def test_windows_are_judged_by_the_policy(
    policy: Policy, first: float, long: float, expected: tuple[float, Label]
) -> None:
    windows = [window_of(2000), window_of(5000)]
    assert judge_windows(lambda window: long if window.duration_ms == 5000 else first, windows, policy) == expected
    assert judge_windows(lambda _: 0.9, [], policy) == (None, Label.UNDECIDED)


def window_of(length_ms: int) -> Window:
    call = Waveform(np.zeros(8 * length_ms, np.float32), 8000)
    return cut(call, onset_ms=0, anchor=Anchor.ANSWER, length_ms=length_ms)


def test_trials_use_windows_as_the_service_cuts_them(small_corpus: Corpus) -> None:
    heard: list[Window] = []

    def predict(window: Window) -> float:
        heard.append(window)
        return 0.9

    trials = run_trials(predict, small_corpus, count=4, seed=1, policy=UNSURE)
    assert [trial.label for trial in trials] == [Label.HUMAN, Label.VOICEMAIL] * 2
    assert all(window.start_ms == 0 or window.onset_ms == window.start_ms + 200 for window in heard)
    assert all(window.duration_ms in (2000, 5000) for window in heard)
