"""MP3 files with tags, zeros or other bytes before the first frame, or between frames."""

import struct

import numpy as np
import pytest

from amd_service.detection.audio.decode import can_decode, decode, has_seconds
from tests.support.signals import file_of, noise, tone

PLAIN = file_of(tone((300.0, 700.0), 2.0) + noise(2.0, -40), form="MP3", subtype="MPEG_LAYER_III")
# JPEG data contains many bytes 0xFF, and some of them look like the beginning of a frame header.
COVER = np.random.default_rng(5).choice(np.frombuffer(b"\xff\xfb\x90\xd8\xe2\x00\x44", np.uint8), 30_000).tobytes()
SILENT_FRAME = b"\xff\xfb\x90\xc4" + bytes(413)


def seven_bits(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3(body: bytes, *, size: bytes | None = None, version: int = 4) -> bytes:
    return b"ID3" + bytes([version, 0, 0]) + (seven_bits(len(body)) if size is None else size) + body


def ape(body: bytes) -> bytes:
    return b"APETAGEX" + struct.pack("<IIII8x", 2000, len(body), 1, 0xA0000000) + body


BEFORE = {
    "one tag": id3(bytes(300)),
    "a tag with a picture": id3(COVER),
    "a tag of version 2 with a picture": id3(COVER, version=2),
    "two tags": id3(bytes(300)) + id3(b"x" * 70),
    "five tags": id3(b"x" * 200) * 5,
    "20 KB of zeros behind a tag": id3(b"x" * 300) + bytes(20_000),
    "200 KB of zeros behind a tag": id3(b"x" * 300) + bytes(200_000),
    "zeros without a tag": bytes(20_000),
    "size as a plain integer": id3(COVER, size=struct.pack(">I", len(COVER))),
    "size as a plain integer without high bits": id3(COVER[:0x227F], size=struct.pack(">I", 0x227F)),
    "two tags with plain integers": id3(COVER, size=struct.pack(">I", len(COVER))) * 2,
    "a tag that is longer than its size": id3(COVER[:20_000], size=seven_bits(10)),
    "a tag that is shorter than its size": id3(COVER[:20_000], size=seven_bits(10_000_000)),
    "an APE tag": ape(b"x" * 4000),
    "an APE tag with a picture": ape(COVER * 3),
    "an APE tag and an ID3 tag": ape(COVER) + id3(COVER),
    "an ID3 tag and an APE tag": id3(COVER) + ape(COVER),
    "60 KB of other data": b"\x01\x02" * 30_000,
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE.keys())
def test_the_first_frame_is_found_behind(before: bytes) -> None:
    data = before + PLAIN
    np.testing.assert_array_equal(decode(data).samples, decode(PLAIN).samples)
    assert can_decode(data, "audio/mpeg")
    assert has_seconds(data, 1.5)
    assert not has_seconds(data, 3.0)


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), ape(b"x" * 500), bytes(3000)])
@pytest.mark.parametrize("frames", [2, 3, 9])
def test_a_short_file_with_a_tag_behind_its_frames_is_decoded(frames: int, behind: bytes) -> None:
    tracks, expected = decode(SILENT_FRAME * frames + behind), decode(SILENT_FRAME * frames)
    assert (tracks.samples.shape, tracks.truncated) == (expected.samples.shape, False)


def test_a_tag_between_two_joined_files_is_skipped() -> None:
    both = decode(PLAIN + id3(COVER) + PLAIN).samples.shape[1]
    assert both > 1.9 * decode(PLAIN).samples.shape[1]
