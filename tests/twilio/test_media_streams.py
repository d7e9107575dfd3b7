"""What Media Streams say, and where their audio belongs in time."""

import base64
import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_service.errors import MalformedCallback
from amd_service.twilio.media_streams import (
    MAX_FILL_MS,
    SILENCE,
    StreamMedia,
    StreamStarted,
    StreamStopped,
    Timeline,
    parse_message,
)

ACCOUNT, CALL, STREAM = "AC" + "1" * 32, "CA" + "2" * 32, "MZ" + "3" * 32
FRAME = 160
FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
START = {
    "accountSid": ACCOUNT,
    "streamSid": STREAM,
    "callSid": CALL,
    "tracks": ["inbound"],
    "mediaFormat": FORMAT,
    "customParameters": {},
}


def start(**changes: object) -> str:
    fields = {name: value for name, value in {**START, **changes}.items() if value is not ...}
    return json.dumps({"event": "start", "sequenceNumber": "1", "start": fields, "streamSid": STREAM})


def media(**changes: object) -> str:
    fields = {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": base64.b64encode(b"abc").decode()}
    return json.dumps(
        {
            "event": "media",
            "sequenceNumber": "3",
            "media": {name: value for name, value in {**fields, **changes}.items() if value is not ...},
            "streamSid": STREAM,
        }
    )


def test_each_message_becomes_its_event() -> None:
    assert parse_message('{"event":"connected","protocol":"Call","version":"1.0.0"}') is None
    assert parse_message(start()) == StreamStarted(ACCOUNT, CALL, STREAM, None)  # type: ignore[arg-type]
    assert parse_message(media()) == StreamMedia(STREAM, 2, 20, b"abc")
    stop = {"event": "stop", "sequenceNumber": "5", "stop": {"accountSid": ACCOUNT, "callSid": CALL}}
    assert parse_message(json.dumps(stop)) == StreamStopped()


@pytest.mark.parametrize("event", ["mark", "dtmf", "something new", None, 7, {}])
def test_other_events_are_ignored(event: object) -> None:
    assert parse_message(json.dumps({"event": event})) is None


def test_the_other_track_is_ignored() -> None:
    assert parse_message(media(track="outbound")) is None
    assert parse_message(media(track=...)) is None


@pytest.mark.parametrize(("parameters", "key"), [({"key": "abc"}, "abc"), ({"key": 5}, None), ([], None), (..., None)])
def test_the_key_is_a_parameter_of_the_stream(parameters: object, key: str | None) -> None:
    started = parse_message(start(customParameters=parameters))
    assert isinstance(started, StreamStarted)
    assert started.key == key


@pytest.mark.parametrize(
    "changes",
    [
        {"mediaFormat": {**FORMAT, "encoding": "audio/l16"}},
        {"mediaFormat": {**FORMAT, "sampleRate": 16000}},
        {"mediaFormat": {**FORMAT, "channels": 2}},
        {"mediaFormat": ...},
        {"tracks": ["outbound"]},
        {"tracks": "inbound"},
        {"accountSid": "AC1"},
        {"callSid": CALL + "\n"},
        {"streamSid": CALL},
        {"streamSid": ...},
    ],
)
def test_a_stream_we_cannot_use_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedCallback):
        parse_message(start(**changes))


def test_numbers_may_be_strings_or_numbers() -> None:
    quoted = {"encoding": "audio/x-mulaw", "sampleRate": "8000", "channels": "1"}
    assert isinstance(parse_message(start(mediaFormat=quoted, tracks=["inbound", "outbound"])), StreamStarted)
    assert parse_message(media(chunk=2, timestamp=20)) == StreamMedia(STREAM, 2, 20, b"abc")


@pytest.mark.parametrize(
    "changes",
    [
        {"chunk": "-1"},
        {"chunk": "1.5"},
        {"chunk": "²"},
        {"chunk": "9" * 13},
        {"chunk": ...},
        {"timestamp": ""},
        {"payload": "a b="},
        {"payload": "é"},
        {"payload": "abc"},
        {"payload": 5},
        {"payload": ...},
    ],
)
def test_malformed_media_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedCallback):
        parse_message(media(**changes))


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", '"start"', "1", '{"event":"start"}', '{"event":"media","streamSid":"MZ"}', "[" * 60_000,
     '{"event":' + "1" * 5000 + "}"],
)  # fmt: skip
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(MalformedCallback):
        parse_message(text)


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("accountSid", "callSid", "streamSid", "tracks", "mediaFormat", "track", "chunk", "timestamp", "payload")


@settings(deadline=None)
@given(
    event=st.sampled_from(["start", "media", "stop", "connected"]) | JSON,
    start=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=9) | JSON,
    stream_sid=JSON,
)
def test_nothing_but_a_refusal_is_ever_raised(event: object, start: object, stream_sid: object) -> None:
    message = {"event": event, "start": start, "media": start, "streamSid": stream_sid}
    with contextlib.suppress(MalformedCallback):
        parse_message(json.dumps(message))


def piece(chunk: int, *, late_ms: int = 0) -> StreamMedia:
    """The chunk of that number; its bytes hold its place, and no silence."""
    return StreamMedia(STREAM, chunk, (chunk - 1) * 20 + late_ms, bytes([chunk % 200]) * FRAME)


def place(*pieces: StreamMedia) -> tuple[bytes, Timeline]:
    timeline = Timeline()
    return b"".join(timeline.insert(each) for each in pieces), timeline


def test_pieces_in_order_are_laid_end_to_end() -> None:
    audio, timeline = place(*map(piece, range(1, 11)))
    assert audio == b"".join(piece(chunk).audio for chunk in range(1, 11))
    assert timeline.filled_ms == 0


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=90), st.integers(0, 5000), st.integers(1, 3))
def test_whatever_is_lost_doubled_or_late_the_rest_keeps_its_place(
    chunks: list[int], late_ms: int, tracks: int
) -> None:
    """Whether chunks are counted for each track, or for all of them together."""
    pieces = [replace(piece(chunk, late_ms=late_ms), chunk=tracks * chunk) for chunk in chunks]
    audio, timeline = place(*pieces)
    first, last = chunks[0], max(chunks)
    kept = {chunk for at, chunk in enumerate(chunks) if chunk > max(chunks[:at], default=0)}
    places = [bytes([chunk % 200]) if chunk in kept else SILENCE for chunk in range(first, last + 1)]
    assert audio == b"".join(byte * FRAME for byte in places)
    assert timeline.filled_ms == 20 * (len(places) - len(kept))


@settings(deadline=None)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=90))
def test_of_two_tracks_whose_timestamps_wander_nothing_moves_by_more_than_they_do(wander_ms: list[int]) -> None:
    pieces = [replace(piece(at + 1, late_ms=late), chunk=2 * at + 2) for at, late in enumerate(wander_ms)]
    assert place(*pieces)[1].filled_ms <= max(wander_ms)


def test_a_gap_that_only_the_timestamps_tell_of_is_filled() -> None:
    audio, timeline = place(piece(1), piece(2), piece(3, late_ms=300))
    assert timeline.filled_ms == 300
    assert audio[40 * 8 :] == SILENCE * 2400 + piece(3).audio


def test_timestamps_that_merely_wander_change_nothing() -> None:
    audio, timeline = place(piece(1), piece(2, late_ms=90), piece(3), piece(4, late_ms=40))
    assert (len(audio), timeline.filled_ms) == (4 * FRAME, 0)


def test_a_stream_that_begins_late_begins_where_its_clock_does() -> None:
    audio, timeline = place(piece(1, late_ms=5000), piece(2, late_ms=5000))
    assert (len(audio), timeline.filled_ms) == (2 * FRAME, 0)


@pytest.mark.parametrize("gap", [piece(53), piece(2, late_ms=MAX_FILL_MS + 1), piece(10**11)])
def test_with_more_than_a_second_missing_it_is_no_longer_the_call(gap: StreamMedia) -> None:
    timeline = Timeline()
    timeline.insert(piece(1))
    with pytest.raises(MalformedCallback, match="missing"):
        timeline.insert(gap)
