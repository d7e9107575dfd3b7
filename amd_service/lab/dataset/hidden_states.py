"""Describes recordings by the hidden states of the configured model, averaged over time."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from amd_service.detection.audio.activity import speech_onset_ms
from amd_service.detection.audio.window import cut
from amd_service.detection.classifier.engines.torch import load_model
from amd_service.detection.classifier.features import normalise
from amd_service.detection.classifier.model import open_model
from amd_service.detection.decision import Policy
from amd_service.detection.prepared_audio import SEARCH_MS
from amd_service.domain import Waveform
from amd_service.settings import Settings

Vector = NDArray[np.float32]


def describe(
    waveforms: Iterable[Waveform], settings: Settings, *, done: Callable[[], None] = lambda: None
) -> list[Vector]:
    """Return a vector for each recording, from the longer window that the service gives to the model.

    The last hidden states are what the model has heard before it decides, so a new classifier on top of them can find
    another answer than the model. Calls `done` after each recording. Raises ModelUnusable or ClassifierUnavailable.
    """
    files = open_model(settings)
    model, policy = load_model(files), Policy.from_settings(settings, files.windows)
    vectors = []
    for waveform in waveforms:
        onset_ms = speech_onset_ms(waveform, search_ms=SEARCH_MS)
        window = cut(waveform, onset_ms=onset_ms, anchor=policy.anchor, length_ms=policy.long_window_ms).samples
        samples = np.ascontiguousarray(normalise(window) if files.normalise else window)
        with torch.inference_mode():
            hidden = model.wav2vec2(torch.from_numpy(samples)[None]).last_hidden_state[0]
        vectors.append(np.asarray(hidden.mean(dim=0).numpy(), np.float32))
        done()
    return vectors
