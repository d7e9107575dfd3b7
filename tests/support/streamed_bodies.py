"""Bodies that arrive in pieces, for POST /predict-stream."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

from tests.support.detectors import speech
from tests.support.signals import file_of, through_mulaw

WAV = {"content-type": "audio/wav"}
LONG = file_of(through_mulaw(speech(8.0, after_s=0.5)))


async def pieces(body: bytes, cuts: Sequence[int]) -> AsyncIterator[bytes]:
    edges = [0, *sorted(cuts), len(body)]
    for start, end in pairwise(edges):
        yield body[start:end]


def every(size: int, body: bytes) -> list[int]:
    return list(range(size, len(body), size))
