"""Defines the audio input of the detector."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioInput:
    """A recording, or the beginning of a recording.

    - `content_type` is required for audio without a header, such as `audio/x-mulaw;rate=8000`. A header in `data` takes
      precedence over `content_type`;
    - `channel`: the called party's channel in a two-channel recording, counted from 1; None if unknown;
    - `one_sided`: True if a one-channel recording contains only the called party, not the mix of both parties.
    """

    data: bytes
    content_type: str | None = None
    channel: int | None = None
    one_sided: bool
