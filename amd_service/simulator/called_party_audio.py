"""Extracts the called party's audio from a recorded call, in the format of a Media Stream."""

import audioop
from dataclasses import dataclass

import numpy as np
import soxr

from amd_service.detection.audio.channels import called_party
from amd_service.detection.audio.decode import decode
from amd_service.domain import Waveform
from amd_service.errors import Undecodable
from amd_service.settings import Account
from amd_service.simulator.recorded_calls import RecordedCall
from amd_service.twilio.recorded_side import is_one_sided

RATE_HZ = 8000
# Maximum seconds of audio per call. No verdict needs more audio, although Twilio streams until the end of a call.
MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class _ReportedRecording:
    """The fields RecordingSource and RecordingTrack of a recording callback."""

    source: str | None
    track: str | None


def called_party_audio(call: RecordedCall, account: Account) -> bytes | None:
    """Return the called party's audio, μ-law at 8 kHz, from the channel that the service classifies.

    Returns None if the call has no recording, its recording is not audio, or both parties are mixed on one channel.
    """
    forms = [dict(callback.form) for callback in call.callbacks if callback.path == "/twilio/recording"]
    if call.recording is None or not forms:
        return None
    try:
        tracks = decode(call.recording, content_type=call.content_type, max_s=MAX_S)
    except Undecodable:
        return None
    reported = _ReportedRecording(forms[0].get("RecordingSource"), forms[0].get("RecordingTrack"))
    channel = account.called_party_channel(reported.source)
    party = called_party(tracks, channel=channel, one_sided=is_one_sided(reported))
    return None if party.mixed else _encode_mulaw(party.waveform)


def _encode_mulaw(waveform: Waveform) -> bytes:
    samples = waveform.samples
    if waveform.rate_hz != RATE_HZ:
        samples = soxr.resample(samples, waveform.rate_hz, RATE_HZ)
    linear = np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2").tobytes()
    return bytes(audioop.lin2ulaw(linear, 2))
