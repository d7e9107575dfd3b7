"""TwiML that Twilio fetches from this service."""

import re
from collections.abc import Mapping

from twilio.twiml.voice_response import Start, VoiceResponse

from amd_service.domain.tagging import CAMPAIGN, TAG, UNTAGGED, Tagging

_NUMBERED_TAG = re.compile(rf"{TAG}[0-9]+")

# Seconds after which the call ends. The pause must be longer than the time until the last verdict that can trigger an
# action. By default this time is 50 s: the window ends within 20 s, and a verdict more than 30 s later triggers no
# action (web/time_limits.py).
PAUSE_S = 60


def stream_twiml(stream_url: str, key: str, next_url: str | None, tagging: Tagging = UNTAGGED) -> str:
    """Return TwiML that streams the called party's audio to `stream_url`, and then continues like `continue_twiml`.

    `key`: the stream's key (`stream_keys.stream_key`). Key, campaign and tags are sent as parameters, because Twilio
    does not allow a query in the URL of a stream. Each tag has its own parameter (`tag1`, `tag2`, …), because Twilio
    sends the parameters as a JSON object, which has one value per name.
    """
    response = VoiceResponse()
    start = Start()
    stream = start.stream(url=stream_url, track="inbound_track")
    stream.parameter(name="key", value=key)
    if tagging.campaign is not None:
        stream.parameter(name=CAMPAIGN, value=tagging.campaign)
    for number, tag in enumerate(tagging.tags, start=1):
        stream.parameter(name=f"{TAG}{number}", value=tag)
    response.append(start)
    return _with_continuation(response, next_url)


def pairs_of_parameters(parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    """Convert the parameters of a stream to the parameters of a callback URL, for `read_tagging`."""
    return [(TAG if _NUMBERED_TAG.fullmatch(name) else name, value) for name, value in parameters.items()]


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
