"""The input of the detector."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioInput:
    """A recording, or the beginning of one.

    `content_type` is needed for audio without a header (`audio/x-mulaw;rate=8000`); a header in `data` takes
    precedence. `channel`: the called party's channel in a two-channel recording, counted from 1; None when unknown.
    `one_sided`: a one-channel recording holds the called party alone, not the mix of both parties.
    """

    data: bytes
    content_type: str | None = None
    channel: int | None = None
    one_sided: bool = True
