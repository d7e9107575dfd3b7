"""Start and length of the window, and the resampling of a part."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_service.detection.audio.window import RATE_HZ, cut
from amd_service.domain import Anchor, Waveform

HISS = np.random.default_rng(3).standard_normal(40_000).astype(np.float32) * np.float32(0.1)


@pytest.mark.parametrize(
    ("anchor", "onset_ms", "start_ms"),
    [
        (Anchor.AUTO, None, 0),
        (Anchor.AUTO, 0, 0),
        (Anchor.AUTO, 1_000, 0),
        (Anchor.AUTO, 1_001, 801),
        (Anchor.AUTO, 7_000, 6_800),
        (Anchor.ANSWER, 7_000, 0),
        (Anchor.ONSET, None, 0),
        (Anchor.ONSET, 120, 0),
        (Anchor.ONSET, 500, 300),
    ],
)
def test_the_window_starts_at_its_anchor(anchor: Anchor, onset_ms: int | None, start_ms: int) -> None:
    ramp = Waveform(np.arange(10 * RATE_HZ, dtype=np.float32) / np.float32(10 * RATE_HZ), RATE_HZ)
    window = cut(ramp, onset_ms=onset_ms, anchor=anchor, length_ms=2_000)
    assert (window.start_ms, window.onset_ms, window.duration_ms) == (start_ms, onset_ms, 2_000)
    np.testing.assert_array_equal(window.samples, ramp.samples[start_ms * 16 : start_ms * 16 + 32_000])


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_a_window_at_the_end_is_not_padded(rate_hz: int) -> None:
    second_and_a_half = Waveform(np.resize(HISS, rate_hz * 3 // 2), rate_hz)
    window = cut(second_and_a_half, onset_ms=None, anchor=Anchor.AUTO, length_ms=2_000)
    assert len(window.samples) == 24_000
    assert len(cut(Waveform(HISS[:0], rate_hz), onset_ms=None, anchor=Anchor.AUTO, length_ms=2_000).samples) == 0
    behind = cut(second_and_a_half, onset_ms=9_000, anchor=Anchor.ONSET, length_ms=2_000)
    assert len(behind.samples) == 0


def test_resampled_peaks_stay_within_full_scale() -> None:
    square = np.sign(np.sin(np.arange(16_000) * 0.9)).astype(np.float32)
    samples = cut(Waveform(square, 8_000), onset_ms=None, anchor=Anchor.AUTO, length_ms=2_000).samples
    assert np.max(np.abs(samples)) == 1
    assert samples.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(
    rate_hz=st.sampled_from([4_000, 6_000, 8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 8_001, 9_973]),
    onset_ms=st.none() | st.integers(0, 5_000),
    length_ms=st.integers(1, 3_000),
)
def test_resampling_a_part_equals_resampling_the_whole(rate_hz: int, onset_ms: int | None, length_ms: int) -> None:
    samples = HISS[: 4 * rate_hz]
    window = cut(Waveform(samples, rate_hz), onset_ms=onset_ms, anchor=Anchor.ONSET, length_ms=length_ms)
    whole = soxr.resample(samples, rate_hz, RATE_HZ, quality="HQ")
    expected = whole[window.start_ms * 16 : (window.start_ms + length_ms) * 16]
    assert len(window.samples) == pytest.approx(len(expected), abs=1)
    length = min(len(window.samples), len(expected))
    np.testing.assert_allclose(window.samples[:length], np.clip(expected[:length], -1, 1), atol=1e-4)
