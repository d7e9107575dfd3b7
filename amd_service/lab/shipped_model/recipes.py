"""Recipes for the shipped model, as data. `leave_out.py` compares them on engines that are left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from amd_service.detection.classifier.model_windows import LIVE_WINDOW_MS, ModelWindows
from amd_service.domain import LongWindowRule
from amd_service.lab.augmentation.chain import Chances
from amd_service.lab.synthesis.call_starts import Style


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training, without seed and length.

    - `lengths_s`, `shares`: window lengths in the batches and how often each occurs;
    - `windows_ms`: first and second window in the validation and in `windows.json`;
    - `long_window`, `live_window_ms`: further values of `windows.json`;
    - `batch_s`: seconds of audio in a batch, so that batches of any window length cost the same;
    - `consistency`: weight of the difference between the answers to two lines for the same call;
    - `mixup`: probability that a batch blends pairs of windows and their targets;
    - `sounds`: weight of the second task: to classify each frame as silence, a tone, or a kind of utterance;
    - `teachers`: number of models whose mean answer the model also learns;
    - `width`, `layers`: size of the transformer. 160 and 3 give 1.2 million parameters, 208 and 4 give 2.4 million.
    """

    lengths_s: tuple[float, ...] = (2.0, 5.0, 1.0, 1.5, 3.0, 4.0)
    shares: tuple[float, ...] = (0.58, 0.16, 0.05, 0.07, 0.08, 0.06)
    windows_ms: tuple[int, int] = (2000, 5000)
    long_window: LongWindowRule = LongWindowRule.UNSURE
    live_window_ms: int = LIVE_WINDOW_MS
    batch_s: float = 64.0
    peak_rate: float = 1.5e-3
    style: Style = field(default_factory=Style)
    dropout: float = 0.0
    time_masks: float = 0.0
    consistency: float = 0.0
    mixup: float = 0.0
    sounds: float = 0.0
    teachers: int = 0
    width: int = 160
    layers: int = 3

    @property
    def windows(self) -> ModelWindows:
        """The content of `windows.json`."""
        return ModelWindows(*self.windows_ms, self.live_window_ms, long_window=self.long_window)


_LONG = replace(
    Recipe(), lengths_s=(5.0, 8.0, 2.0, 3.0), shares=(0.6, 0.15, 0.15, 0.1), windows_ms=(5000, 8000), batch_s=128.0
)
_STRANGE = replace(_LONG, style=Style(chances=Chances(voice_shift=0.6, equaliser=0.7, tilt=0.3, overload=0.08)))
_HIDDEN = replace(
    _STRANGE,
    style=Style(chances=replace(_STRANGE.style.chances, noise_vocoding=0.25)),
    dropout=0.1,
    time_masks=0.1,
)
_EIGHT = replace(
    _HIDDEN,
    lengths_s=(8.0, 10.0, 5.0, 2.0, 3.0),
    shares=(0.45, 0.2, 0.15, 0.12, 0.08),
    long_window=LongWindowRule.ALWAYS,
    live_window_ms=5000,
)
_SOUNDS = replace(_EIGHT, sounds=1.0, peak_rate=1e-3)

RECIPES: Mapping[str, Recipe] = {
    "present": Recipe(),
    "5s": _LONG,
    "5s-strange": _STRANGE,
    "5s-hidden": _HIDDEN,
    "8s-hidden": _EIGHT,
    "8s-settled": replace(
        _EIGHT,
        shares=(0.4, 0.3, 0.12, 0.1, 0.08),
        style=replace(_EIGHT.style, no_speech=0.1, no_beep=0.35, late_beep=0.15, cut_off=0.12),
        peak_rate=5e-4,
    ),
    "8s-sounds": _SOUNDS,
    "8s-half-hidden": replace(_SOUNDS, style=Style(chances=replace(_SOUNDS.style.chances, noise_vocoding=0.5))),
    "8s-consistent": replace(_SOUNDS, consistency=1.0),
    "8s-mixed-voices": replace(_SOUNDS, style=replace(_SOUNDS.style, other_voice=0.3)),
    "8s-screening": replace(_SOUNDS, style=replace(_SOUNDS.style, screening=0.3)),
    "8s-mixup": replace(_SOUNDS, mixup=0.5),
    "8s-distilled": replace(_SOUNDS, teachers=3),
    "8s-larger": replace(_SOUNDS, width=208, layers=4),
    "8s-rhythm": replace(_SOUNDS, style=Style(chances=replace(_SOUNDS.style.chances, noise_vocoding=1.0))),
}
