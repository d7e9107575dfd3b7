"""Recordings as WAV files for browsers."""

import io
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_service.detection.audio.pcm import PcmAudio, WavFile

AUDIO = PcmAudio(np.arange(40, dtype=np.int16).reshape(2, 20), 8000)


@pytest.mark.parametrize("channel", [None, 1, 2])
def test_the_file_has_the_samples_of_the_channel(channel: int | None) -> None:
    file = WavFile(AUDIO, channel)
    with wave.open(io.BytesIO(file.read(0, file.size))) as read:
        frames = np.frombuffer(read.readframes(read.getnframes()), "<i2").reshape(20, -1)
        assert (read.getframerate(), read.getsampwidth()) == (8000, 2)
    expected = AUDIO.samples if channel is None else AUDIO.samples[channel - 1 : channel]
    assert np.array_equal(frames.T, expected)


@given(places=st.tuples(st.integers(0, 124), st.integers(0, 124)), channel=st.sampled_from([None, 1]))
def test_a_part_is_the_same_as_in_the_whole_file(places: tuple[int, int], channel: int | None) -> None:
    file = WavFile(AUDIO, channel)
    start, stop = sorted(min(place, file.size) for place in places)
    assert file.read(start, stop) == file.read(0, file.size)[start:stop]
