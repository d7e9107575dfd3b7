"""Any bytes are decoded or raise Undecodable, nothing else."""

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amd_service.detection.audio.decode import decode, has_seconds
from amd_service.detection.audio.tracks import Tracks
from amd_service.errors import Undecodable
from tests.support.signals import RATE_HZ, file_of, noise, pcm16, tone, wav

CONTENT_TYPES = [None, "audio/x-wav", "audio/mpeg", "audio/basic", "audio/x-alaw;rate=8000", "audio/L16;rate=44100"]
SHORT = tone((300.0, 700.0), 0.3) + noise(0.3, -40)
FILES = {
    "pcm": file_of(SHORT),
    "mulaw": file_of(SHORT, subtype="ULAW"),
    "float with fact and PEAK": file_of(SHORT, subtype="FLOAT"),
    "extensible": file_of(SHORT, form="WAVEX", subtype="PCM_24"),
    "mp3": file_of(SHORT, form="MP3", subtype="MPEG_LAYER_III"),
}


def decode_or_reject(data: bytes, content_type: str | None = None, max_s: float | None = None) -> Tracks | None:
    try:
        tracks = decode(data, content_type=content_type, max_s=max_s)
    except Undecodable:
        return None
    assert tracks.samples.dtype == np.float32
    assert tracks.samples.shape[0] in (1, 2)
    assert np.all(np.abs(tracks.samples) <= 1)
    if max_s is not None:
        assert tracks.samples.shape[1] <= round(max_s * tracks.rate_hz)
    return tracks


@settings(deadline=None)
@given(
    start=st.sampled_from(
        [b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0", b"ID3\4\0\0", b"\xff\xfb\x90\x00"]
    ),
    rest=st.binary(max_size=400),
    content_type=st.sampled_from(CONTENT_TYPES),
    max_s=st.sampled_from([None, 0.0, 0.01, 20.0]),
)
def test_arbitrary_bytes_are_decoded_or_rejected(
    start: bytes, rest: bytes, content_type: str | None, max_s: float | None
) -> None:
    decode_or_reject(start + rest, content_type, max_s)
    has_seconds(start + rest, 0.1)


@settings(deadline=None)
@given(content_type=st.text(max_size=40) | st.builds("audio/x-mulaw;{}={}".format, st.text(max_size=8), st.text()))
def test_arbitrary_content_types_are_parsed_or_rejected(content_type: str) -> None:
    decode_or_reject(b"\x10\xff" * 8, content_type)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_truncated_file_gives_its_remaining_samples(name: str, data: st.DataObject) -> None:
    body = FILES[name]
    size = data.draw(st.integers(0, len(body)))
    tracks, whole = decode_or_reject(body[:size]), decode(body).samples
    if tracks is not None and name != "mp3":
        length = tracks.samples.shape[1]
        np.testing.assert_array_equal(tracks.samples, whole[:, :length])
    if size == len(body):
        assert tracks is not None


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6))
def test_damaged_headers_never_crash(name: str, flips: list[tuple[int, int]]) -> None:
    body = bytearray(FILES[name])
    for at, value in flips:
        body[at] = value
    decode_or_reject(bytes(body))
    decode_or_reject(bytes(body), max_s=0.1)
    has_seconds(bytes(body), 0.1)


@settings(deadline=None)
@given(
    tag=st.sampled_from([0, 1, 3, 6, 7, 0x31, 0x55, 0xFFFE]),
    channels=st.sampled_from([0, 1, 2, 3, 0xFFFF]),
    rate_hz=st.sampled_from([0, 1, 8000, 11025, 192_000, 0xFFFFFFFF]),
    bits=st.integers(0, 65),
    block=st.sampled_from([None, 0, 1, 2, 4, 0xFFFF]),
    riff_size=st.integers(0, 2**32 - 1),
    data_size=st.integers(0, 2**32 - 1),
    body=st.binary(max_size=64),
)
@example(tag=3, channels=1, rate_hz=8000, bits=64, block=None, riff_size=0, data_size=0, body=b"\xff" * 8)
@example(tag=3, channels=1, rate_hz=8000, bits=64, block=None, riff_size=0, data_size=0, body=b"\xfe\xff\xff\x7f" * 4)
def test_any_header_is_decoded_or_rejected(
    tag: int, channels: int, rate_hz: int, bits: int, block: int | None, riff_size: int, data_size: int, body: bytes
) -> None:
    sane_block = channels * bits // 8 % 2**16 if block is None else block
    data = wav(body, tag=tag, channels=channels, rate_hz=rate_hz, bits=bits, block=sane_block, data_size=data_size)
    decode_or_reject(data[:4] + struct.pack("<I", riff_size) + data[8:])


@settings(deadline=None)
@given(size=st.integers(0, 2**32 - 1), cut=st.integers(0, 600))
def test_the_size_in_the_header_never_adds_samples(size: int, cut: int) -> None:
    body = pcm16(SHORT)
    tracks = decode(wav(body[: len(body) - cut], data_size=size))
    expected = decode(wav(body)).samples
    length = tracks.samples.shape[1]
    assert len(SHORT) - cut // 2 - 5 <= length <= len(SHORT)
    np.testing.assert_array_equal(tracks.samples, expected[:, :length])


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_prefix_with_enough_seconds_decodes_to_that_much(name: str, data: st.DataObject) -> None:
    body = FILES[name]
    prefix = body[: data.draw(st.integers(0, len(body)))]
    seconds = data.draw(st.floats(0.01, 0.4))
    if has_seconds(prefix, seconds):
        assert decode(prefix).samples.shape[1] >= int(seconds * RATE_HZ) - 1
