"""The service resamples with soxr alone. The lab's librosa must give the same samples."""

import numpy as np
import pytest

from amd_service.detection.audio.window import cut
from amd_service.domain import Anchor, Waveform

librosa = pytest.importorskip("librosa", reason="librosa is the lab's: extra [train]")


# The first call compiles code, which takes seconds.
@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("default")
def test_soxr_equals_librosa() -> None:
    samples = np.random.default_rng(5).standard_normal(16_000).astype(np.float32) * np.float32(0.1)
    for rate_hz in (8_000, 11_025, 44_100):
        ours = cut(Waveform(samples, rate_hz), onset_ms=None, anchor=Anchor.ANSWER, length_ms=60_000).samples
        theirs = librosa.resample(samples, orig_sr=rate_hz, target_sr=16_000, res_type="soxr_hq")
        assert abs(len(ours) - len(theirs)) <= 1
        length = min(len(ours), len(theirs))
        np.testing.assert_allclose(ours[:length], theirs[:length], atol=1e-6)
