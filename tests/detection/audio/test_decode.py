"""Formats that are decoded or rejected, and files with wrong headers."""

import audioop
import struct
import time
import tracemalloc

import numpy as np
import pytest

from amd_service.detection.audio.decode import can_decode, decode, has_seconds
from amd_service.errors import Undecodable
from tests.support.signals import RATE_HZ, file_of, noise, pcm16, silence, tone, wav

SPEECHLIKE = tone((300.0, 700.0), 1.0)
STEREO = np.stack([tone((300.0,), 1.0), tone((900.0,), 1.0)], axis=1)

WAV_FORMS = [
    ("WAV", "PCM_U8", "pcm8", 0.01),
    ("WAV", "PCM_16", "pcm16", 1e-4),
    ("WAV", "PCM_24", "pcm24", 1e-6),
    ("WAV", "PCM_32", "pcm32", 1e-6),
    ("WAV", "FLOAT", "float32", 1e-7),
    ("WAV", "DOUBLE", "float64", 1e-7),
    ("WAV", "ULAW", "mulaw", 0.02),
    ("WAV", "ALAW", "alaw", 0.02),
    ("WAVEX", "PCM_16", "pcm16", 1e-4),
    ("WAVEX", "PCM_24", "pcm24", 1e-6),
    ("WAVEX", "FLOAT", "float32", 1e-7),
    ("WAVEX", "ULAW", "mulaw", 0.02),
    ("WAVEX", "ALAW", "alaw", 0.02),
    ("RF64", "PCM_16", "pcm16", 1e-4),
]


@pytest.mark.parametrize(("form", "subtype", "encoding", "tolerance"), WAV_FORMS)
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100])
def test_every_wav_format_is_decoded(form: str, subtype: str, encoding: str, tolerance: float, rate_hz: int) -> None:
    tracks = decode(file_of(STEREO, rate_hz=rate_hz, form=form, subtype=subtype))
    assert (tracks.encoding, tracks.rate_hz, tracks.truncated) == (encoding, rate_hz, False)
    assert tracks.samples.dtype == np.float32
    np.testing.assert_allclose(tracks.samples, STEREO.T, atol=tolerance)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100])
def test_mp3_decodes_to_the_encoded_tone(rate_hz: int) -> None:
    samples = np.sin(2 * np.pi * 440 * np.arange(2 * rate_hz) / rate_hz).astype(np.float32) * np.float32(0.3)
    tracks = decode(file_of(samples, rate_hz=rate_hz, form="MP3", subtype="MPEG_LAYER_III"), content_type="audio/mpeg")
    assert (tracks.encoding, tracks.rate_hz, tracks.truncated) == ("mp3", rate_hz, False)
    assert tracks.samples.shape[1] == pytest.approx(2 * rate_hz, abs=0.1 * rate_hz)
    spectrum = np.abs(np.fft.rfft(tracks.samples[0]))
    assert np.argmax(spectrum) * rate_hz / tracks.samples.shape[1] == pytest.approx(440, abs=2)


def test_mp3_after_an_id3_tag_is_decoded() -> None:
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 0]) + b"\x00" * 256
    plain = file_of(SPEECHLIKE, form="MP3", subtype="MPEG_LAYER_III")
    np.testing.assert_array_equal(decode(tag + plain).samples, decode(plain).samples)


def test_a_truncated_mp3_gives_its_remaining_samples() -> None:
    body = file_of(tone((300.0, 700.0), 4.0), form="MP3", subtype="MPEG_LAYER_III")
    tracks = decode(body[: len(body) // 2 + 7])
    assert tracks.truncated
    assert 1.5 * RATE_HZ < tracks.samples.shape[1] < 2.5 * RATE_HZ


@pytest.mark.parametrize(("to_linear", "tag", "subtype"), [("ulaw2lin", 7, "mulaw"), ("alaw2lin", 6, "alaw")])
def test_audioop_and_libsndfile_agree_on_all_codes(to_linear: str, tag: int, subtype: str) -> None:
    codes = bytes(range(256))
    expected = np.frombuffer(getattr(audioop, to_linear)(codes, 2), dtype=np.int16) / np.float32(32768)
    np.testing.assert_array_equal(decode(wav(codes, tag=tag, bits=8)).samples[0], expected)
    np.testing.assert_array_equal(decode(codes, content_type=f"audio/x-{subtype};rate=8000").samples[0], expected)


@pytest.mark.parametrize(
    ("content_type", "rate_hz"),
    [
        ("audio/basic", 8_000),
        ("audio/x-mulaw;rate=8000", 8_000),
        ("Audio/X-MuLaw; Rate=16000", 16_000),
        ('audio/pcmu; rate="8000"', 8_000),
    ],
)
def test_raw_mulaw_has_its_rate_from_the_content_type(content_type: str, rate_hz: int) -> None:
    tracks = decode(b"\x10\xff\x90", content_type=content_type)
    assert (tracks.rate_hz, tracks.encoding, tracks.samples.shape) == (rate_hz, "mulaw", (1, 3))


def test_raw_pcm_has_byte_order_and_channels_from_the_content_type() -> None:
    values = np.array([[1000, -2000], [3000, 4000]], dtype=np.int16)
    big = decode(values.astype(">i2").tobytes(), content_type="audio/L16;rate=8000;channels=2")
    little = decode(values.astype("<i2").tobytes() + b"\x01", content_type="audio/pcm;rate=8000;channels=2")
    np.testing.assert_array_equal(big.samples, values.T / np.float32(32768))
    np.testing.assert_array_equal(little.samples, big.samples)
    assert (big.truncated, little.truncated) == (False, True)


def test_a_header_takes_precedence_over_the_content_type() -> None:
    tracks = decode(file_of(SPEECHLIKE), content_type="audio/x-mulaw;rate=8000")
    assert tracks.encoding == "pcm16"


@pytest.mark.parametrize(
    ("body", "content_type", "cure"),
    [
        (b"", "audio/x-wav", "empty"),
        (b'<?xml version="1.0"?><TwilioResponse/>', "audio/x-wav", "XML or HTML"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", None, "XML or HTML"),
        (b"<?xml version='1.0'?>", "audio/x-mulaw;rate=8000", "XML or HTML"),
        (b'{"code": 20404}', "application/json", "WAV or MP3"),
        (b"\x55" * 5000, None, "WAV or MP3"),
        (b"\x10\xff\x90", "audio/x-mulaw", "rate=8000"),
        (b"\x10\xff\x90", "audio/x-mulaw;rate=fast", "not a number"),
        (b"\x10\xff\x90", "audio/x-mulaw;rate=0", "a sample rate of 0 Hz"),
        (b"\x10\xff\x90", "audio/x-mulaw;rate=8000;channels=7", "7 channels"),
        (wav(b"\0" * 64, rate_hz=0), None, "a sample rate of 0 Hz"),
        (wav(b"\0" * 64, rate_hz=2**32 - 1), None, "a sample rate of"),
        (wav(b"\0" * 64, channels=0), None, "0 channels"),
        (wav(b"\0" * 60, channels=6), None, "6 channels"),
        (wav(b"\0" * 64, tag=0x31), None, "0x0031"),
        (wav(b"\0" * 64, bits=0), None, "0 bits"),
        (wav(b"\0" * 64, tag=3, bits=16), None, "16 bits"),
        (wav(b"\0" * 64)[:30], None, "incomplete"),
        (b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd", None, "incomplete or damaged"),
    ],
)
def test_anything_but_audio_is_rejected_with_the_cure(body: bytes, content_type: str | None, cure: str) -> None:
    with pytest.raises(Undecodable, match=cure):
        decode(body, content_type=content_type)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF, 57_600_000, 2, 7_999, 15_999, 16_001])
def test_all_samples_are_decoded_despite_a_wrong_data_size(size: int) -> None:
    tracks = decode(wav(pcm16(SPEECHLIKE), data_size=size))
    # A size that is one byte too small cannot be distinguished from a correct size.
    assert tracks.samples.shape[1] in ((RATE_HZ - 1, RATE_HZ) if size == 15_999 else (RATE_HZ,))
    np.testing.assert_allclose(tracks.samples[0, :7_999], SPEECHLIKE[:7_999], atol=1e-4)


@pytest.mark.parametrize(("size", "truncated"), [(57_600_000, True), (16_000, False), (0, False), (0xFFFFFFFF, False)])
def test_only_fewer_bytes_than_a_known_size_count_as_truncated(size: int, truncated: bool) -> None:
    assert decode(wav(pcm16(SPEECHLIKE), data_size=size)).truncated is truncated


CHUNKS_BEFORE = {
    "true LIST": b"LIST" + struct.pack("<I", 26) + b"INFOISFT\x0e\0\0\0Lavf58.29.100\0",
    "odd JUNK without pad byte": b"JUNK" + struct.pack("<I", 3) + b"abc",
    "odd JUNK with pad byte": b"JUNK" + struct.pack("<I", 3) + b"abc\0",
    "LIST of 4 GB": b"LIST" + struct.pack("<I", 0xFFFFFFF0) + b"INFO\x01\x02",
    "LIST too long": b"LIST" + struct.pack("<I", 999) + b"INFO\x01\x02",
    "fact of 0 bytes with 4": b"fact" + struct.pack("<I", 0) + b"\x40\x1f\0\0",
}


@pytest.mark.parametrize("before", CHUNKS_BEFORE.values(), ids=CHUNKS_BEFORE.keys())
def test_chunks_before_the_samples_are_skipped_even_with_wrong_sizes(before: bytes) -> None:
    tracks = decode(wav(pcm16(SPEECHLIKE), before_data=before))
    np.testing.assert_allclose(tracks.samples[0], SPEECHLIKE, atol=1e-4)


def test_endless_chunks_are_rejected_early() -> None:
    body = b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 1_000_000 + wav(pcm16(SPEECHLIKE))[12:]
    started = time.thread_time()  # excludes the time of other processes
    with pytest.raises(Undecodable, match="damaged"):
        decode(body)
    assert not has_seconds(body, 0.1)
    assert time.thread_time() - started < 0.2


@pytest.mark.parametrize("size", [None, 0])
def test_a_chunk_after_the_samples_is_not_decoded(size: int | None) -> None:
    after = b"LIST" + struct.pack("<I", 4) + b"INFO"
    body = b"" if size == 0 else pcm16(SPEECHLIKE)
    tracks = decode(wav(body, data_size=size, after_data=after))
    assert tracks.samples.shape == (1, len(body) // 2)


def test_a_header_alone_decodes_to_no_samples() -> None:
    tracks = decode(wav(b""))
    assert tracks.samples.shape == (1, 0)
    assert not tracks.truncated


def test_20_bits_in_blocks_of_three_bytes_are_read_as_24() -> None:
    body = np.array([0, 1 << 22, -(1 << 22)], dtype="<i4").view(np.uint8).reshape(3, 4)[:, :3].tobytes()
    np.testing.assert_allclose(decode(wav(body, bits=20, block=3)).samples[0], [0, 0.5, -0.5], atol=1e-6)


def test_not_a_number_and_infinity_become_zero_and_loud_floats_are_clipped() -> None:
    body = np.array([np.nan, np.inf, -np.inf, 5.0, -5.0, 0.25], dtype="<f4").tobytes()
    np.testing.assert_array_equal(decode(wav(body, tag=3, bits=32)).samples[0], [0, 0, 0, 1, -1, 0.25])


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "ULAW"), ("MP3", "MPEG_LAYER_III")])
def test_decoding_the_first_seconds_gives_the_first_samples(form: str, subtype: str) -> None:
    samples = tone((300.0, 700.0), 5.0) + noise(5.0, -40)
    body = file_of(samples, form=form, subtype=subtype)
    whole, head = decode(body).samples, decode(body, max_s=1.5).samples
    assert head.shape == (1, 12_000)
    np.testing.assert_allclose(head, whole[:, :12_000], atol=1e-5)


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_decoding_the_first_seconds_of_an_hour_takes_little_memory(form: str) -> None:
    second = file_of(tone((300.0, 700.0), 1.0), form="MP3", subtype="MPEG_LAYER_III")
    body = wav(b"\x80\xff" * (1800 * RATE_HZ), tag=7, bits=8) if form == "wav" else second * 3600
    tracemalloc.start()
    try:
        tracks = decode(body, max_s=20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert tracks.samples.shape == (1, 20 * RATE_HZ)
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("prefix", "content_type"),
    [
        (file_of(SPEECHLIKE)[:64], None),
        (file_of(SPEECHLIKE, form="MP3", subtype="MPEG_LAYER_III")[:1000], "application/octet-stream"),
        (b"ID3\x04\x00\x00\x00\x10\x00\x00" + bytes(5000), "audio/mpeg"),
        (b"\x7f" * 99, "audio/x-ulaw"),
        (b"\x7f" * 99, "Audio/X-MuLaw; rate=8000"),
    ],
)
def test_the_beginning_of_audio_can_be_decoded(prefix: bytes, content_type: str | None) -> None:
    assert can_decode(prefix, content_type)


@pytest.mark.parametrize("content_type", ["audio/x-wav", "audio/basic"])
@pytest.mark.parametrize("page", [b"<?xml version='1.0'?><x/>", b"\n <!DOCTYPE html>", b"\xef\xbb\xbf<html/>"])
def test_a_page_cannot_be_decoded_whatever_its_content_type(page: bytes, content_type: str) -> None:
    assert not can_decode(page, content_type)


def test_ciphertext_cannot_be_decoded() -> None:
    assert not can_decode(np.random.default_rng(7).bytes(64 * 1024), "audio/x-wav")


def prefixes_until_enough(body: bytes, seconds: float) -> int:
    return next(size for size in range(0, len(body) + 512, 512) if has_seconds(body[:size], seconds))


@pytest.mark.parametrize(
    ("form", "subtype", "rate_hz"),
    [("WAV", "PCM_16", 8_000), ("WAV", "ULAW", 8_000), ("WAVEX", "PCM_24", 44_100), ("MP3", "MPEG_LAYER_III", 8_000)],
)
def test_the_smallest_sufficient_prefix_is_little_longer_than_the_seconds(
    form: str, subtype: str, rate_hz: int
) -> None:
    samples = np.resize(tone((300.0, 700.0), 6.0), 6 * rate_hz)
    body = file_of(samples, rate_hz=rate_hz, form=form, subtype=subtype)
    size = prefixes_until_enough(body, 3.0)
    held_s = decode(body[:size]).samples.shape[1] / rate_hz
    assert 3.0 <= held_s < 4.0


def test_a_variable_bit_rate_is_counted_frame_by_frame() -> None:
    quiet_then_loud = np.concatenate([silence(3.0), noise(3.0, -20)])
    body = file_of(quiet_then_loud, rate_hz=44_100, form="MP3", subtype="MPEG_LAYER_III")
    size = prefixes_until_enough(body, 0.5)
    assert decode(body[:size]).samples.shape[1] >= 0.5 * 44_100


@pytest.mark.parametrize("body", [b"", b"RIFF", b"<html>" + b"x" * 500_000, b"\x55" * 500_000, wav(b"", rate_hz=0)])
def test_unreadable_data_never_has_enough_seconds(body: bytes) -> None:
    assert not has_seconds(body, 0.1)


def test_seconds_are_counted_from_the_data_not_from_the_header() -> None:
    assert not has_seconds(wav(pcm16(SPEECHLIKE), data_size=57_600_000), 1.5)
    assert has_seconds(wav(pcm16(SPEECHLIKE), data_size=57_600_000), 1.0)


def test_a_mostly_damaged_mp3_takes_little_time() -> None:
    two_frames = (b"\xff\xfb\x90\xc4" + bytes(413)) * 2
    data = (two_frames + b"\xff" * 8000) * 400
    started = time.thread_time()
    has_seconds(data, 20.0)
    assert time.thread_time() - started < 0.5
