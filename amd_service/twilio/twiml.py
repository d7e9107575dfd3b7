"""TwiML that Twilio fetches from this service."""

from twilio.twiml.voice_response import Start, VoiceResponse

# Seconds after which the call ends. The pause must be longer than the time until the last verdict that can trigger an
# action. By default this time is 50 s: the window ends within 20 s, and a verdict more than 30 s later triggers no
# action (web/time_limits.py).
PAUSE_S = 60


def stream_twiml(stream_url: str, key: str, next_url: str | None) -> str:
    """Return Return TwiML that streams the called party's audio to `stream_url`, and then continues like
    `continue_twiml`.

    `key`: the stream's key (`stream_keys.stream_key`). The key is sent as a parameter, because Twilio does not allow a
    query in the URL of a stream.
    """
    response = VoiceResponse()
    start = Start()
    start.stream(url=stream_url, track="inbound_track").parameter(name="key", value=key)
    response.append(start)
    return _with_continuation(response, next_url)


def continue_twiml(next_url: str | None) -> str:
    """Return TwiML without a stream.

    The TwiML redirects the call to `next_url`, or pauses for PAUSE_S seconds if `next_url` is None.
    """
    return _with_continuation(VoiceResponse(), next_url)


def _with_continuation(response: VoiceResponse, next_url: str | None) -> str:
    if next_url is None:
        response.pause(length=PAUSE_S)
    else:
        response.redirect(next_url)
    return str(response)
