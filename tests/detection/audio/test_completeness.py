"""A body that cannot be the whole recording is recognised, and short recordings are not mistaken for one."""

import numpy as np
import pytest

from amd_service.detection.audio.completeness import why_incomplete
from tests.support.signals import file_of, pcm16, silence, tone, wav

VOICE = tone((440.0,), 10.0)
WHOLE = file_of(VOICE)
MP3 = file_of(VOICE, form="MP3", subtype="MPEG_LAYER_III")


def why(data: bytes, duration_s: int | None = None, content_type: str = "audio/x-wav", **options: bool) -> str | None:
    options = {"is_whole_body": True} | options
    return why_incomplete(data, content_type, duration_s=duration_s, **options)


@pytest.mark.parametrize("duration_s", [None, 1, 10])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"<!DOCTYPE html><html>", "text"),
        (b"\xef\xbb\xbf  <?xml version='1.0'?><TwilioResponse/>", "text"),
        (b'{"code": 20404, "message": "not found"}', "text"),
        ("Aufnahme nicht verfügbar\r\n".encode(), "text"),
        (WHOLE[:22], "header"),
        (WHOLE[:43], "header"),
        (WHOLE[:44], "no audio"),
        (wav(b""), "no audio"),
        (wav(b"", data_size=160_000), "no audio"),
    ],
)
def test_a_body_without_audio_is_incomplete(data: bytes, reason: str, duration_s: int | None) -> None:
    assert reason in (why(data, duration_s) or "")


@pytest.mark.parametrize("data", [WHOLE[:4000], WHOLE[:24_044], MP3[:3000]])
def test_far_less_audio_than_the_duration_is_incomplete(data: bytes) -> None:
    assert "of 10.0 s" in (why(data, 10) or "")


def test_far_less_audio_than_the_header_says_is_incomplete() -> None:
    assert "of 10.0 s" in (why(WHOLE[:16_044]) or "")


@pytest.mark.parametrize(
    ("data", "duration_s"),
    [
        (WHOLE, 10),
        (WHOLE, None),
        (MP3, 10),
        (WHOLE[:-8001], 10),
        (WHOLE[:-8001], None),
        (wav(pcm16(VOICE), data_size=57_600_000), 10),
        (wav(pcm16(VOICE[:4000]), data_size=57_600_000), 1),
        (wav(pcm16(VOICE), data_size=0xFFFFFFFF), None),
        (wav(pcm16(VOICE), data_size=0), None),
        (file_of(tone((440.0,), 0.6)), 1),
        (file_of(tone((440.0,), 1.0)), 1),
        (file_of(tone((440.0,), 1.2)), 2),
        (file_of(tone((440.0,), 0.4)), None),
        (wav(b""), 0),
        (file_of(silence(3.0)), 3),
        (b"\x8f" * 9000, 10),
    ],
)
def test_a_plausible_body_is_not_incomplete(data: bytes, duration_s: int | None) -> None:
    assert why(data, duration_s) is None


def test_the_length_of_a_stopped_download_proves_nothing() -> None:
    assert why(WHOLE[:16_044], 3600, is_whole_body=False) is None


def test_silence_in_raw_audio_is_not_text() -> None:
    assert why(b"\x55" * 8000, 1, "audio/x-alaw;rate=8000") is None


def test_audio_with_the_content_type_of_a_page_is_complete() -> None:
    assert why(WHOLE, 10, "text/html") is None


def test_random_bytes_are_left_to_the_decoder() -> None:
    assert why(np.random.default_rng(0).bytes(5000), 10) is None
