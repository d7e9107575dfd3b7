"""How long the service waits for its clients."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Time limits in seconds."""

    # Twilio waits 15 s for the whole request, and a callback is under 4 KiB.
    callback_body_s: float = 5.0
    call_request_body_s: float = 10.0
    upload_s: float = 60.0

    # A caller on hold still sends silence.
    predict_stream_idle_s: float = 30.0
    # A stream without a verdict by then occupies a slot for nothing.
    predict_stream_total_s: float = 600.0
    # After the verdict, for a client that sends everything before it reads.
    predict_stream_drain_s: float = 5.0

    # Twilio sends 50 messages a second, during silence too.
    media_idle_s: float = 15.0
    # A verdict needs a third of it; the rest is for a model that is still loading.
    media_total_s: float = 60.0
    # For a model that is busy with other windows. After that the call has moved on.
    media_verdict_s: float = 30.0
    # For a peer that does not read the close frame.
    media_close_s: float = 5.0


DEFAULT_TIME_LIMITS = TimeLimits()
