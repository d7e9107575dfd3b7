"""Selects the called party's channel."""

from dataclasses import dataclass

from amd_service.detection.audio.tracks import Tracks
from amd_service.domain import Waveform
from amd_service.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class CalledParty:
    """The called party's audio.

    `mixed`: True if the audio also contains the caller. `channel`: number of the called party's channel, from 1; None
    if `mixed`.
    """

    waveform: Waveform
    channel: int | None
    mixed: bool


def called_party(tracks: Tracks, *, channel: int | None, one_sided: bool) -> CalledParty:
    """Select the called party from the tracks.

    - `channel`: the called party's channel in a two-channel recording. If None, the channel is unknown, and both
      channels are averaged;
    - `one_sided`: True if a one-channel recording contains only the called party (RecordingTrack inbound). False if the
      recording is the mix of both parties.

    Raises:
        ConfigurationError: the channel is not 1 or 2.
    """
    if channel not in (None, 1, 2):
        raise ConfigurationError(f"There is no channel {channel}: set the called party's channel to 1 or 2.")
    if len(tracks.samples) == 1:
        return CalledParty(Waveform(tracks.samples[0], tracks.rate_hz), 1 if one_sided else None, not one_sided)
    if channel is None:
        return CalledParty(Waveform(tracks.samples.mean(axis=0), tracks.rate_hz), None, mixed=True)
    return CalledParty(Waveform(tracks.samples[channel - 1], tracks.rate_hz), channel, mixed=False)
