"""Chunks with wrong sizes, and odd chunks without a pad byte, before and after the samples of a WAV file."""

import struct
import time

import numpy as np
import pytest

from amd_service.detection.audio.decode import decode, has_seconds
from tests.support.signals import pcm16, tone, wav

SAMPLES = tone((300.0, 700.0), 1.0)
FORMAT = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)


def chunk(name: bytes, body: bytes, *, size: int | None = None, pad: bool = False) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * pad


def assert_decodes_to(data: bytes, samples: int) -> None:
    tracks = decode(data)
    assert tracks.samples.shape == (1, samples)
    assert not tracks.truncated
    np.testing.assert_allclose(tracks.samples[0], SAMPLES[:samples], atol=1e-4)


@pytest.mark.parametrize("name", [b"LIST", b"XyZ1"])
@pytest.mark.parametrize("pad", [True, False])
def test_samples_of_any_length_follow_an_odd_chunk(name: bytes, pad: bool) -> None:
    before = chunk(name, b"INFOISFT\x05\0\0\0Lavf.", pad=pad)
    for samples in range(7_000, 7_128):  # the low byte of the size takes every even value
        assert_decodes_to(wav(pcm16(SAMPLES[:samples]), before_data=before), samples)


@pytest.mark.parametrize("pad", [True, False])
def test_an_odd_chunk_of_any_size_after_odd_samples_is_not_decoded(pad: bool) -> None:
    for size in range(128):
        body = b"\xff\x7f" * 2000 + b"\xff"
        after = b"\0" * pad + chunk(b"LIST", b"INFO" + b"x" * size)
        assert decode(wav(body, tag=7, bits=8, after_data=after)).samples.shape == (1, len(body))


def test_a_chunk_after_the_samples_that_is_cut_off_is_not_decoded() -> None:
    after = chunk(b"LIST", b"INFOICMT" + b"x" * 40)[:-20]
    assert_decodes_to(wav(pcm16(SAMPLES), after_data=after), len(SAMPLES))


@pytest.mark.parametrize("text", [b"metadata set", b"my fmt is data, see data sheet"])
def test_a_comment_with_a_chunk_name_in_a_chunk_of_wrong_size_is_not_a_chunk(text: bytes) -> None:
    before = chunk(b"LIST", b"INFOICMT" + text, size=9_999_999)
    assert_decodes_to(wav(pcm16(SAMPLES), before_data=before), len(SAMPLES))


@pytest.mark.parametrize("size", [0, 3, 9_999_999])
def test_a_chunk_of_wrong_size_before_the_format_is_skipped(size: int) -> None:
    body = pcm16(SAMPLES)
    rest = chunk(b"JUNK", bytes(28), size=size) + FORMAT + chunk(b"data", body)
    assert_decodes_to(b"RIFF" + struct.pack("<I", 4 + len(rest)) + b"WAVE" + rest, len(SAMPLES))


@pytest.mark.parametrize("size", [0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_the_sizes_that_recorders_write_into_a_pipe_count_as_unknown(size: int) -> None:
    assert_decodes_to(wav(pcm16(SAMPLES), data_size=size), len(SAMPLES))


def test_a_chunk_name_repeated_millions_of_times_takes_little_time() -> None:
    body = wav(b"", before_data=chunk(b"LIST", b"data" * 4_000_000, size=0xFFFFFF00))
    started = time.thread_time()
    assert not has_seconds(body, 0.1)
    assert time.thread_time() - started < 0.5
