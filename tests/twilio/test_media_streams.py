"""Parsing of Media Streams messages, and the timeline of their audio."""

import base64
import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_service.domain import Tagging
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


def test_each_message_is_parsed_to_its_event() -> None:
    assert parse_message('{"event":"connected","protocol":"Call","version":"1.0.0"}') is None
    assert parse_message(start()) == StreamStarted(ACCOUNT, CALL, STREAM, None)  # type: ignore[arg-type]
    assert parse_message(media()) == StreamMedia(STREAM, 2, 20, b"abc")
    stop = {"event": "stop", "sequenceNumber": "5", "stop": {"accountSid": ACCOUNT, "callSid": CALL}}
    assert parse_message(json.dumps(stop)) == StreamStopped()


@pytest.mark.parametrize("event", ["mark", "dtmf", "something new", None, 7, {}])
def test_other_events_are_ignored(event: object) -> None:
    assert parse_message(json.dumps({"event": event})) is None


def test_the_outbound_track_is_ignored() -> None:
    assert parse_message(media(track="outbound")) is None
    assert parse_message(media(track=...)) is None


@pytest.mark.parametrize(("parameters", "key"), [({"key": "abc"}, "abc"), ({"key": 5}, None), ([], None), (..., None)])
def test_the_key_is_a_custom_parameter_of_the_stream(parameters: object, key: str | None) -> None:
    started = parse_message(start(customParameters=parameters))
    assert isinstance(started, StreamStarted)
    assert started.key == key


@pytest.mark.parametrize(
    ("parameters", "tagging"),
    [
        ({"key": "abc"}, Tagging()),
        ({"campaign": "spring", "tag2": "vip", "tag1": "b"}, Tagging("spring", ("b", "vip"))),
        ({"campaign": "a b", "tag1": 5, "tag": "x", "tags": "y", "tag1x": "z"}, Tagging(None, ("x",))),
        ([], Tagging()),
    ],
)
def test_campaign_and_tags_are_custom_parameters_of_the_stream(parameters: object, tagging: Tagging) -> None:
    started = parse_message(start(customParameters=parameters))
    assert isinstance(started, StreamStarted)
    assert started.tagging == tagging


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
def test_an_unsupported_stream_is_refused(changes: dict[str, object]) -> None:
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
def test_an_invalid_message_is_refused(text: str) -> None:
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
def test_arbitrary_messages_raise_only_malformed_callback(event: object, start: object, stream_sid: object) -> None:
    message = {"event": event, "start": start, "media": start, "streamSid": stream_sid}
    with contextlib.suppress(MalformedCallback):
        parse_message(json.dumps(message))


def chunk_of(chunk: int, *, late_ms: int = 0) -> StreamMedia:
    """The chunk with number `chunk`. Its bytes depend on the number and are not silence."""
    return StreamMedia(STREAM, chunk, (chunk - 1) * 20 + late_ms, bytes([chunk % 200]) * FRAME)


def insert_all(*chunks: StreamMedia) -> tuple[bytes, Timeline]:
    timeline = Timeline()
    return b"".join(timeline.insert(each) for each in chunks), timeline


def test_chunks_in_order_are_joined() -> None:
    audio, timeline = insert_all(*map(chunk_of, range(1, 11)))
    assert audio == b"".join(chunk_of(chunk).audio for chunk in range(1, 11))
    assert timeline.filled_ms == 0


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=90), st.integers(0, 5000), st.integers(1, 3))
def test_lost_repeated_and_late_chunks_do_not_move_the_others(chunks: list[int], late_ms: int, tracks: int) -> None:
    """True if chunk numbers count one track, and also if they count all tracks."""
    inserted = [replace(chunk_of(chunk, late_ms=late_ms), chunk=tracks * chunk) for chunk in chunks]
    audio, timeline = insert_all(*inserted)
    first, last = chunks[0], max(chunks)
    kept = {chunk for at, chunk in enumerate(chunks) if chunk > max(chunks[:at], default=0)}
    expected = [bytes([chunk % 200]) if chunk in kept else SILENCE for chunk in range(first, last + 1)]
    assert audio == b"".join(byte * FRAME for byte in expected)
    assert timeline.filled_ms == 20 * (len(expected) - len(kept))


@settings(deadline=None)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=90))
def test_deviating_timestamps_of_two_tracks_insert_no_more_than_the_deviation(deviations_ms: list[int]) -> None:
    inserted = [replace(chunk_of(at + 1, late_ms=late), chunk=2 * at + 2) for at, late in enumerate(deviations_ms)]
    assert insert_all(*inserted)[1].filled_ms <= max(deviations_ms)


def test_a_gap_in_timestamps_alone_is_filled() -> None:
    audio, timeline = insert_all(chunk_of(1), chunk_of(2), chunk_of(3, late_ms=300))
    assert timeline.filled_ms == 300
    assert audio[40 * 8 :] == SILENCE * 2400 + chunk_of(3).audio


def test_small_timestamp_deviations_change_nothing() -> None:
    audio, timeline = insert_all(chunk_of(1), chunk_of(2, late_ms=90), chunk_of(3), chunk_of(4, late_ms=40))
    assert (len(audio), timeline.filled_ms) == (4 * FRAME, 0)


def test_a_late_first_chunk_inserts_no_silence() -> None:
    audio, timeline = insert_all(chunk_of(1, late_ms=5000), chunk_of(2, late_ms=5000))
    assert (len(audio), timeline.filled_ms) == (2 * FRAME, 0)


@pytest.mark.parametrize("gap", [chunk_of(53), chunk_of(2, late_ms=MAX_FILL_MS + 1), chunk_of(10**11)])
def test_more_than_a_second_of_missing_audio_is_malformed(gap: StreamMedia) -> None:
    timeline = Timeline()
    timeline.insert(chunk_of(1))
    with pytest.raises(MalformedCallback, match="missing"):
        timeline.insert(gap)
