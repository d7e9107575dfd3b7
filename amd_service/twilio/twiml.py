"""TwiML that we give to Twilio."""

from twilio.twiml.voice_response import Start, VoiceResponse

# What the call does meanwhile: longer than any verdict takes. When it is over, so is the call.
PAUSE_S = 60


def stream_twiml(stream_url: str, next_url: str | None) -> str:
    """Start streaming the called party to `stream_url`, and go on: with the TwiML at `next_url`, or in silence."""
    response = VoiceResponse()
    start = Start()
    start.stream(url=stream_url, track="inbound_track")
    response.append(start)
    if next_url is None:
        response.pause(length=PAUSE_S)
    else:
        response.redirect(next_url)
    return str(response)
