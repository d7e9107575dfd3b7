"""Finds the chunks of a RIFF file, including chunks with a wrong size and odd chunks without a pad byte."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

# Chunk names of WAV files, from the Multimedia Programming Interface, EBU Tech 3285, AES46 and common programs.
_KNOWN = re.compile(
    rb"fmt |data|fact|LIST|PEAK|bext|iXML|axml|chna|ds64|JUNK|junk|PAD |FLLR|cue |plst|smpl|inst|labl|note|ltxt|DISP"
    rb"|id3 |ID3 |cart|levl|umid|qlty|minf|elm1|regn|afsp|wavl|slnt|acid|strc|_PMX"
)
# Data sizes that recorders write before they know the length of the recording. SoX writes 0x7FFFF000, and FFmpeg
# writes 0xFFFFFFFF.
UNKNOWN_SIZES = (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF)
# Maximum number of chunks to read. Real files have only a few chunks before their samples.
MAX_CHUNKS = 64
# Four ASCII letters read as a size are at least 0x20202020. The word "data" in a comment has such a size.
_MAX_SEARCHED_SIZE = 0x20000000
_SEARCHED = re.compile(rb"fmt |data")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of `size` bytes. `at`: byte offset of the chunk's body."""

    name: bytes
    at: int
    size: int


def chunks(data: bytes) -> Iterator[Chunk]:
    """Return the first MAX_CHUNKS chunks of a RIFF file, or of the beginning of a RIFF file."""
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(data):
            return
        chunk = _read_chunk(data, at)
        yield chunk
        at = _next_chunk(data, chunk)


def is_followed_by_chunk(data: bytes, chunk: Chunk) -> bool:
    """Return True if another chunk begins at the end of `chunk`, with or without a pad byte."""
    return _following(data, chunk) is not None


def _read_chunk(data: bytes, at: int) -> Chunk:
    return Chunk(data[at : at + 4], at + 8, int.from_bytes(data[at + 4 : at + 8], "little"))


def _next_chunk(data: bytes, chunk: Chunk) -> int:
    """Return the byte offset of the next chunk, or the length of the data if there is none.

    If no chunk begins at the end of `chunk`, its size is wrong. The next format or data chunk is then searched.
    """
    following = _following(data, chunk)
    if following is not None:
        return following
    for match in islice(_SEARCHED.finditer(data, chunk.at), MAX_CHUNKS):
        size = _read_chunk(data, match.start()).size
        if size < _MAX_SEARCHED_SIZE or size in UNKNOWN_SIZES:
            return match.start()
    return len(data)


def _following(data: bytes, chunk: Chunk) -> int | None:
    """Return the byte offset at which a chunk follows `chunk`, or None.

    A chunk of odd size should end with a pad byte, but some programs write none. The offset without a pad byte is
    therefore a second candidate. The better candidate counts: one byte too late, `data` and a size of 0x20 to 0x7E
    read as the chunk name "ata ".
    """
    end = chunk.at + chunk.size
    best = max((end + chunk.size % 2, end), key=lambda at: _score(data, at))
    return best if _score(data, best) else None


def _score(data: bytes, at: int) -> int:
    """Return how surely a chunk begins at byte `at`: 3 if its name is known and its size fits, 0 if none begins."""
    chunk = _read_chunk(data, at)
    fits = chunk.at + chunk.size <= len(data) + 1  # The last pad byte may be missing.
    if _KNOWN.fullmatch(chunk.name):
        return 2 + fits
    is_printable = len(chunk.name) == 4 and all(0x20 <= byte < 0x7F for byte in chunk.name)
    return int(is_printable and fits)
