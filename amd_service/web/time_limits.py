"""Time limits for clients, for Twilio and for the model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Time limits. All values are in seconds."""

    # Twilio waits 15 s for the response to a callback. A callback is smaller than 4 KiB.
    callback_body_s: float = 5.0
    call_request_body_s: float = 10.0
    upload_s: float = 60.0

    # Maximum time between two chunks. Clients send audio during silence too, for example
    # while a caller is on hold.
    predict_stream_idle_s: float = 30.0
    # Maximum time for the whole body. After this time a stream without a verdict only blocks a slot.
    predict_stream_total_s: float = 600.0
    # Maximum time to read the rest of the body after the verdict. Some clients send the whole body before they read
    # the response.
    predict_stream_drain_s: float = 5.0

    # Maximum time between two messages. Twilio sends 50 messages a second, also during silence.
    media_idle_s: float = 15.0
    # Maximum time for the whole stream. A verdict needs a third of this time. The rest is a reserve for a model that
    # is still loading.
    media_total_s: float = 60.0
    # Maximum time for one result of the model, which may be busy with other windows. A later result is useless, because
    # the call has continued.
    media_verdict_s: float = 30.0
    # Maximum time to close a connection. A peer may not read the close frame.
    media_close_s: float = 5.0


DEFAULT_TIME_LIMITS = TimeLimits()
