"""TwiML that we give to Twilio."""

from twilio.twiml.voice_response import Start, VoiceResponse

# What the call does meanwhile. When it is over, so is the call. The last verdict that is acted upon comes sooner:
# a window ends within 20 s by default, and 30 s later its verdict is too late (web/twilio/media.py).
PAUSE_S = 60


def stream_twiml(stream_url: str, key: str, next_url: str | None) -> str:
    """Start streaming the called party to `stream_url`, and go on: with the TwiML at `next_url`, or in silence.

    `key`: what the stream shows for its call (`stream_keys.stream_key`). Without a query: Twilio allows none there.
    """
    response = VoiceResponse()
    start = Start()
    start.stream(url=stream_url, track="inbound_track").parameter(name="key", value=key)
    response.append(start)
    return _going_on(response, next_url)


def continue_twiml(next_url: str | None) -> str:
    """Go on as after `stream_twiml`, without a stream."""
    return _going_on(VoiceResponse(), next_url)


def _going_on(response: VoiceResponse, next_url: str | None) -> str:
    if next_url is None:
        response.pause(length=PAUSE_S)
    else:
        response.redirect(next_url)
    return str(response)
