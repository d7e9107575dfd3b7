"""Scores drawn call starts without files, to compare recipes and to check a model.

Onset search, window and engine are those of the service. The figures of a model card come from `amd-service evaluate`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.audio.window import cut
from amd_service.detection.classifier.engines import torch as torch_engine
from amd_service.detection.classifier.hub import Located
from amd_service.detection.classifier.model import check_files
from amd_service.detection.classifier.softmax import softmax
from amd_service.detection.decision import Policy, decide
from amd_service.domain import Anchor, Label, Scores, Waveform, Window
from amd_service.lab.synthesis.corpus import Corpus
from amd_service.lab.synthesis.examples import draw_recordings
from amd_service.lab.synthesis.render import RATE_HZ, Sound
from amd_service.lab.synthesis.voices import Split

# From a window to its logits, in the order human, voicemail.
Score = Callable[[Window], NDArray[np.float64]]
# From a window to its probability of voicemail.
Predict = Callable[[Window], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """One classified recording.

    `voicemail`: probability of voicemail on the window that decides, None if no speech was found. `called`: label of
    the verdict.
    """

    label: Label
    engine: str
    language: str
    voicemail: float | None
    called: Label


def load_scorer(folder: Path) -> tuple[Score, float]:
    """Load the model in `folder` as the service does. Returns a function to its logits, and its temperature.

    Raises ModelUnusable.
    """
    files = check_files(Located(str(folder), folder, None), None)
    engine = torch_engine.load(files, 1)  # one window is too little work for several threads
    columns = [files.labels.labels.index(label) for label in (Label.HUMAN, Label.VOICEMAIL)]
    return lambda window: engine.logits([window.samples])[0, columns].astype(np.float64), files.temperature


def load_predictor(folder: Path) -> Predict:
    """Load the model in `folder`. Returns a function from a window to its probability of voicemail."""
    score, temperature = load_scorer(folder)
    return lambda window: float(softmax(score(window) / temperature)[1])


def cut_windows(heard: Sound, windows_ms: tuple[int, int]) -> list[Window]:
    """Cut the first and the second window of a call start at 8 kHz. Returns no window if no speech was found."""
    waveform = Waveform(heard, RATE_HZ)
    onset_ms = speech_onset_ms(waveform)
    if onset_ms is None:
        return []
    return [cut(waveform, onset_ms=onset_ms, anchor=Anchor.AUTO, length_ms=ms) for ms in windows_ms]


def judge_windows(predict: Predict, windows: Sequence[Window], policy: Policy) -> tuple[float | None, Label]:
    """Judge the first and the second window as the service does, without other evidence.

    Returns the probability of voicemail on the window that decides, and the label. Without windows: None, undecided.
    """
    if not windows:
        return None, Label.UNDECIDED
    voicemail = predict(windows[0])
    first = Scores(1 - voicemail, voicemail)
    decision = decide(first, policy, is_last=False)
    if not policy.scores_longer_window(decision):
        return voicemail, decision.label
    voicemail = predict(windows[1])
    return voicemail, decide(Scores(1 - voicemail, voicemail), policy, first=first).label


def run_trials(
    predict: Predict,
    corpus: Corpus,
    *,
    count: int,
    seed: int,
    split: Split = Split.TEST,
    policy: Policy,
) -> list[Trial]:
    """Classify `count` call starts of the split, half of each label."""
    trials = []
    for call_start, heard in draw_recordings(corpus, split, policy.long_window_ms / 1000, seed, count):
        judged = judge_windows(predict, cut_windows(heard, (policy.window_ms, policy.long_window_ms)), policy)
        engine = str(call_start.voice.engine) if call_start.voice else ""
        trials.append(Trial(call_start.label, engine, call_start.language or "", *judged))
    return trials
