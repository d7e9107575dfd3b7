"""Changes pitch and pace of recordings with librosa: slower than `voice.shift_voice`, with cleaner transients."""

import librosa
import numpy as np

from amd_service.lab.augmentation.spectrum import Samples
from amd_service.lab.augmentation.voice import VoiceShift


def shift_recording(samples: Samples, rate_hz: int, shift: VoiceShift) -> Samples:
    """Return the samples with another pitch and pace. The formants move with the pitch, not by `shift.formants`."""
    steps = 12 * float(np.log2(shift.pitch))
    moved = librosa.effects.pitch_shift(samples, sr=rate_hz, n_steps=steps, n_fft=512)
    return np.asarray(librosa.effects.time_stretch(moved, rate=shift.pace, n_fft=512), np.float32)
