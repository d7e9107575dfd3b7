"""Selection of the called party's channel."""

import numpy as np
import pytest

from amd_service.detection.audio.channels import called_party
from amd_service.detection.audio.tracks import Tracks
from amd_service.errors import ConfigurationError

LEFT, RIGHT = np.full(8, 0.5, dtype=np.float32), np.full(8, -0.25, dtype=np.float32)
MONO = Tracks(LEFT[None, :], 8_000, truncated=False, encoding="mulaw")
DUAL = Tracks(np.stack([LEFT, RIGHT]), 8_000, truncated=False, encoding="pcm16")


@pytest.mark.parametrize(("channel", "expected"), [(1, LEFT), (2, RIGHT)])
@pytest.mark.parametrize("one_sided", [True, False])
def test_the_known_channel_of_two_is_selected(channel: int, expected: np.ndarray, one_sided: bool) -> None:
    party = called_party(DUAL, channel=channel, one_sided=one_sided)
    np.testing.assert_array_equal(party.waveform.samples, expected)
    assert (party.channel, party.mixed, party.waveform.rate_hz) == (channel, False, 8_000)


def test_two_channels_are_averaged_and_marked_mixed_if_the_channel_is_unknown() -> None:
    party = called_party(DUAL, channel=None, one_sided=False)
    np.testing.assert_array_equal(party.waveform.samples, (LEFT + RIGHT) / 2)
    assert party.waveform.samples.dtype == np.float32
    assert (party.channel, party.mixed) == (None, True)


@pytest.mark.parametrize("channel", [None, 1, 2])
def test_one_channel_is_the_called_party_alone_only_if_one_sided(channel: int | None) -> None:
    alone = called_party(MONO, channel=channel, one_sided=True)
    both = called_party(MONO, channel=channel, one_sided=False)
    assert (alone.channel, alone.mixed) == (1, False)
    assert (both.channel, both.mixed) == (None, True)
    np.testing.assert_array_equal(both.waveform.samples, LEFT)


@pytest.mark.parametrize("channel", [0, 3, -1])
def test_a_channel_other_than_1_or_2_is_a_configuration_error(channel: int) -> None:
    with pytest.raises(ConfigurationError, match="1 or 2"):
        called_party(DUAL, channel=channel, one_sided=False)
