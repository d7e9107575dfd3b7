"""A file is recognised by its first bytes, also if its content type names raw audio."""

import base64
import io
import json
import time
import tracemalloc

import numpy as np
import pytest
import soundfile

from amd_service.detection.audio.decode import can_decode, decode, has_seconds
from amd_service.detection.audio.ogg import select_stream
from amd_service.errors import Undecodable
from tests.support.ogg_pages import ogg_page, vorbis_headers, vorbis_with_large_codebook
from tests.support.signals import RATE_HZ, Array, file_of, noise, tone

VOICE = tone((300.0, 700.0), 3.0) + noise(3.0, -40)
STEREO = np.stack([tone((300.0,), 3.0), tone((900.0,), 3.0)], axis=1)
CONTENT_TYPES = [None, "audio/basic", "audio/x-mulaw;rate=8000", "audio/L16;rate=8000", "application/octet-stream"]
DECODED = {
    ("FLAC", "PCM_16"): "flac",
    ("FLAC", "PCM_24"): "flac",
    ("OGG", "VORBIS"): "vorbis",
    ("OGG", "OPUS"): "opus",
    ("AU", "ULAW"): "mulaw",
    ("AU", "PCM_16"): "pcm16",
    ("AU", "FLOAT"): "float32",
    ("AIFF", "PCM_16"): "pcm16",
    ("AIFF", "ALAW"): "alaw",
    ("AIFF", "IMA_ADPCM"): "ima_adpcm",
    ("CAF", "PCM_16"): "pcm16",
    ("CAF", "ALAC_16"): "alac_16",
}
FTYP = b"\0\0\0\x20ftyp"
REFUSED = {
    "WebM": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
    "M4A": FTYP + b"M4A \0\0\0\0M4A mp42isom",
    "MP4": FTYP + b"isom\0\0\x02\0isomiso2avc1mp41",
    "3GP": FTYP + b"3gp5\0\0\x01\03gp53gp4isom",
    "QuickTime": b"\0\0\x01\0moov\0\0\0lmvhd",
    "AMR": b"#!AMR\n\x3c\x55\x0a",
    "AMR ": b"#!AMR-WB\n\x24\x01",
    "SILK": b"\x02#!SILK_V3\x17\0",
    "WMA": b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel",
    "AAC": (b"\xff\xf1\x6c\x40\x10\x1f\xfc" + bytes(121)) * 10,
    "Wave64": b"riff.\x91\xcf\x11\xa5\xd6(\xdb\x04\xc1\0\0",
    "RIFX": b"RIFX\0\0\x10\0WAVEfmt \0\0\0\x10",
    "SPHERE": b"NIST_1A\n   1024\nchannel_count -i 1\n",
    "VOC": b"Creative Voice File\x1a\x1a\0\x0a\x01",
    "Ogg Speex": ogg_page(b"Speex   1.2.0"),
    "Ogg FLAC": ogg_page(b"\x7fFLAC\x01\0"),
    "ZIP": b"PK\x03\x04\x14\0\0\0\x08\0",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
    "OpenSSL": b"Salted__\x9a\x01",
}


def problem_with(data: bytes, content_type: str | None = None) -> str:
    with pytest.raises(Undecodable) as raised:
        decode(data, content_type=content_type, max_s=20.0)
    return str(raised.value)


@pytest.mark.parametrize("content_type", [None, "audio/basic"])
@pytest.mark.parametrize(("form", "subtype"), DECODED)
@pytest.mark.parametrize("samples", [VOICE, STEREO], ids=["mono", "stereo"])
def test_a_container_is_decoded_whatever_its_content_type(
    form: str, subtype: str, samples: Array, content_type: str | None
) -> None:
    data = file_of(samples, form=form, subtype=subtype)
    tracks = decode(data, content_type=content_type, max_s=20.0)
    assert (tracks.encoding, tracks.rate_hz, tracks.truncated) == (DECODED[form, subtype], RATE_HZ, False)
    assert tracks.samples.shape == np.atleast_2d(samples.T).shape
    # The codecs that lose information keep the tone, so most of the energy is equal.
    error = tracks.samples - np.atleast_2d(samples.T)
    assert np.mean(error**2) < 0.05 * np.mean(samples**2)
    assert can_decode(data, content_type)


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_mp3_with_the_content_type_of_raw_audio_is_decoded(content_type: str | None) -> None:
    plain = file_of(VOICE, form="MP3", subtype="MPEG_LAYER_III")
    for data in (plain, b"ID3\x04\0\0\0\0\x02\0" + bytes(256) + plain):
        assert decode(data, content_type=content_type).encoding == "mp3"
        assert can_decode(data, content_type)


@pytest.mark.parametrize("name", REFUSED)
def test_a_format_that_cannot_be_decoded_is_named_with_the_cure(name: str) -> None:
    data = REFUSED[name] + np.random.default_rng(3).bytes(40_000)
    for content_type in CONTENT_TYPES:
        message = problem_with(data, content_type)
        assert name.strip() in message
        assert "WAV or MP3" in message
        assert "may be encrypted" not in message
        assert not can_decode(data, content_type)


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (base64.b64encode(file_of(VOICE)), "base64"),
        (base64.encodebytes(noise(1.0, -20).tobytes()), "base64"),
        (b"data:audio/wav;base64," + base64.b64encode(file_of(VOICE)), "base64"),
        (json.dumps({"audio": base64.b64encode(file_of(VOICE)).decode()}).encode(), "JSON"),
        (b'\xef\xbb\xbf{\n "error": "not found"}', "JSON"),
        (b"<html><body>Not found</body></html>", "HTML"),
        ("Aufnahme nicht verfügbar. ".encode() * 40, "text"),
    ],
)
def test_text_is_named_with_the_cure(data: bytes, kind: str, content_type: str | None) -> None:
    assert kind in problem_with(data, content_type)
    assert not can_decode(data, content_type)


@pytest.mark.parametrize("level", [0x55, 0xD5, 0x54, 0x7F, 0xFF, 0x7E, 0x30])
def test_silence_in_raw_audio_is_not_text(level: int) -> None:
    offset = np.random.default_rng(1).integers(0, 8, 8000, dtype=np.uint8) ^ level
    for data in (bytes([level]) * 8000, offset.tobytes()):
        assert decode(data, content_type="audio/x-alaw;rate=8000").samples.shape == (1, 8000)
        assert decode(data, content_type="audio/x-mulaw;rate=8000").samples.shape == (1, 8000)


@pytest.mark.parametrize("dbfs", [-80, -60, -40, -20, -6])
def test_raw_audio_is_never_mistaken_for_a_file(dbfs: int) -> None:
    for seed in range(20):
        linear = (np.clip(noise(2.0, dbfs, seed), -1, 1) * 32767).astype(np.int16)
        assert decode(soundfile_mulaw(linear), content_type="audio/basic").encoding == "mulaw"
        assert decode(linear.astype(">i2").tobytes(), content_type="audio/l16;rate=8000").encoding == "pcm16be"


def soundfile_mulaw(linear: np.ndarray[tuple[int], np.dtype[np.int16]]) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, linear, RATE_HZ, format="RAW", subtype="ULAW")
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
def test_l16_is_big_endian_with_rate_and_channels(channels: int, rate_hz: int) -> None:
    values = (VOICE[: 1000 * channels] * 32767).astype(np.int16).reshape(-1, channels)
    tracks = decode(values.astype(">i2").tobytes(), content_type=f"audio/l16; rate={rate_hz}; channels={channels}")
    assert (tracks.encoding, tracks.rate_hz) == ("pcm16be", rate_hz)
    np.testing.assert_array_equal(tracks.samples, values.T / np.float32(32768))


def test_flac_after_an_id3_tag_is_decoded() -> None:
    plain = file_of(VOICE, form="FLAC")
    tagged = decode(b"ID3\x04\0\0\0\0\x02\0" + bytes(256) + plain)
    np.testing.assert_array_equal(tagged.samples, decode(plain).samples)


def test_flac_of_unknown_length_is_decoded() -> None:
    data = bytearray(file_of(VOICE, form="FLAC"))
    data[21] &= 0xF0  # the upper 4 of the 36 bits of the length
    data[22:26] = bytes(4)
    np.testing.assert_array_equal(decode(bytes(data)).samples, decode(file_of(VOICE, form="FLAC")).samples)


@pytest.mark.parametrize("size", [0, 2, 0xFFFFFFFF, 0x7FFFFFFF])
def test_an_au_file_with_a_wrong_data_size_is_decoded(size: int) -> None:
    data = file_of(VOICE, form="AU", subtype="ULAW")
    assert decode(data[:8] + size.to_bytes(4, "big") + data[12:]).samples.shape == (1, len(VOICE))


@pytest.mark.parametrize(("form", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("AU", "ULAW")])
def test_the_complete_part_of_a_truncated_container_is_decoded(form: str, subtype: str) -> None:
    data = file_of(VOICE, form=form, subtype=subtype)
    whole, part = decode(data).samples, decode(data[: len(data) * 3 // 4]).samples
    assert RATE_HZ < part.shape[1] < whole.shape[1]
    np.testing.assert_allclose(part[:, :RATE_HZ], whole[:, :RATE_HZ], atol=1e-6)


def test_other_bytes_between_ogg_pages_are_skipped() -> None:
    data = file_of(VOICE, form="OGG", subtype="OPUS")
    at = data.index(b"OggS", len(data) // 2)
    damaged = data[:at] + b"OggS\0 junk" * 100 + data[at:]
    np.testing.assert_array_equal(decode(damaged).samples, decode(data).samples)


@pytest.mark.parametrize("channels", [3, 8])
def test_a_container_with_more_than_two_channels_is_refused(channels: int) -> None:
    many = np.zeros((8000, channels), dtype=np.float32)
    assert f"{channels} channels" in problem_with(file_of(many, form="FLAC"))


def half_a_minute_of_silence(form: str, subtype: str, rate_hz: int) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate_hz, 2, format=form, subtype=subtype) as file:
        for _ in range(30):
            file.write(np.zeros((rate_hz, 2), dtype=np.float32))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("form", "subtype", "rate_hz"),
    [
        ("FLAC", "PCM_16", 192_000),
        pytest.param("OGG", "OPUS", 48_000, marks=pytest.mark.slow),
        pytest.param("OGG", "VORBIS", 48_000, marks=pytest.mark.slow),
    ],
)
def test_the_first_seconds_of_a_small_file_take_little_time_and_memory(form: str, subtype: str, rate_hz: int) -> None:
    data = half_a_minute_of_silence(form, subtype, rate_hz)
    tracemalloc.start()
    started = time.thread_time()
    try:
        tracks = decode(data, max_s=20.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert tracks.samples.shape == (2, 20 * rate_hz)
    assert time.thread_time() - started < 1.0
    assert peak < 100_000_000


@pytest.mark.parametrize("repeated", [b"OggS", b"OggS" + bytes(24), ogg_page(b"")])
def test_millions_of_ogg_pages_take_little_time(repeated: bytes) -> None:
    body = file_of(VOICE, form="OGG", subtype="OPUS")[:3000] + repeated * (8_000_000 // len(repeated))
    started = time.thread_time()
    assert has_seconds(body, 1.0) is False
    select_stream(body)
    assert can_decode(body, "audio/ogg")
    assert time.thread_time() - started < 1.0


def test_vorbis_codebooks_that_need_gigabytes_are_refused() -> None:
    assert "too much memory" in problem_with(vorbis_with_large_codebook())


def test_a_long_packet_of_empty_vorbis_codebooks_takes_little_time() -> None:
    body = vorbis_headers(b"\x05vorbis" + (b"BCV" + bytes(2)) * 1_000_000)
    started = time.thread_time()
    assert "too much memory" in problem_with(body)
    assert time.thread_time() - started < 1.0
