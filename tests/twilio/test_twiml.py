"""TwiML with and without a stream."""

from amd_service.domain import Tagging, read_tagging
from amd_service.simulator.live_calls import read_stream
from amd_service.twilio.twiml import continue_twiml, pairs_of_parameters, stream_twiml

URL = "wss://amd.example.com/twilio/media"
STREAM = f'<Stream track="inbound_track" url="{URL}"><Parameter name="key" value="abc" /></Stream>'
START = f"<Start>{STREAM}</Start>"


def test_the_call_continues_with_the_next_twiml() -> None:
    xml = stream_twiml(URL, "abc", "https://example.com/next?a=1&b=2")
    assert xml.endswith(f"<Response>{START}<Redirect>https://example.com/next?a=1&amp;b=2</Redirect></Response>")


def test_without_next_twiml_the_call_pauses_for_longer_than_a_verdict_takes() -> None:
    assert stream_twiml(URL, "abc", None).endswith(f'<Response>{START}<Pause length="60" /></Response>')


def test_without_a_stream_the_call_continues_in_the_same_way() -> None:
    assert continue_twiml("https://example.com/next").endswith(
        "<Response><Redirect>https://example.com/next</Redirect></Response>"
    )
    assert continue_twiml(None).endswith('<Response><Pause length="60" /></Response>')


def test_campaign_and_tags_survive_the_way_through_the_twiml() -> None:
    tagging = Tagging("spring", ("list-b", "vip"))
    _, parameters = read_stream(stream_twiml(URL, "abc", None, tagging))
    assert parameters["key"] == "abc"
    assert read_tagging(pairs_of_parameters(parameters)) == (tagging, ())
