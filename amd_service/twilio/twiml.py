"""TwiML that Twilio fetches from us."""

from twilio.twiml.voice_response import Start, VoiceResponse

# The call ends after this pause. The last verdict that still triggers an action comes sooner: by default a window ends
# within 20 s, and 30 s later its verdict is too late (web/time_limits.py).
PAUSE_S = 60


def stream_twiml(stream_url: str, key: str, next_url: str | None) -> str:
    """TwiML that streams the called party to `stream_url`, then continues as `continue_twiml`.

    `key`: the stream's key (`stream_keys.stream_key`), as a parameter because Twilio does not allow a query in the URL.
    """
    response = VoiceResponse()
    start = Start()
    start.stream(url=stream_url, track="inbound_track").parameter(name="key", value=key)
    response.append(start)
    return _with_continuation(response, next_url)


def continue_twiml(next_url: str | None) -> str:
    """TwiML without a stream that continues with the TwiML at `next_url`, or with a pause of PAUSE_S."""
    return _with_continuation(VoiceResponse(), next_url)


def _with_continuation(response: VoiceResponse, next_url: str | None) -> str:
    if next_url is None:
        response.pause(length=PAUSE_S)
    else:
        response.redirect(next_url)
    return str(response)
