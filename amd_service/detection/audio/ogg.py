"""Selects the pages of the first Vorbis or Opus stream of an Ogg file (RFC 3533).

libsndfile gets only intact pages. libsndfile searches all other bytes for pages, which takes half a minute for 20 MB
that repeat the first bytes of a page.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import islice

from amd_service.errors import Undecodable

MAGIC = b"OggS"
# Maximum number of pages to read. With one page per 20 ms, these are 20 minutes.
MAX_PAGES = 65_536
# Maximum number of bytes to search for the next intact page, and maximum number of pages to try.
RESYNC_BYTES = 65_536
MAX_TRIES = 256
# Maximum number of values in the codebooks of a Vorbis stream. libvorbis writes fewer than 100,000 values. A codebook
# of 60 bytes can declare 16 million values, for which libvorbis allocates 64 MB.
MAX_CODEBOOK_VALUES = 1_000_000
# Maximum size of the packet with the codebooks. libvorbis writes fewer than 10,000 bytes. Counting the codebooks of a
# packet of 20 MB would take 18 s.
MAX_SETUP_BYTES = 262_144
CODECS = {
    b"\x01vorbis": "Vorbis",
    b"OpusHead": "Opus",
    b"\x7fFLAC": "FLAC",
    b"Speex   ": "Speex",
    b"\x80theora": "Theora",
}
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def codec_of(data: bytes) -> str | None:
    """Return the codec of the first stream in an Ogg file, or None if its first page is damaged or unknown."""
    return next((_codec(page) for page in islice(_pages(data), 1)), None)


def select_stream(data: bytes) -> bytes:
    """Return the pages of the first Vorbis or Opus stream.

    Raises:
        Undecodable: there is no such stream, or its codebooks need too much memory.
    """
    pages = list(_pages(data))
    first = next((page for page in pages if _codec(page) in ("Vorbis", "Opus")), None)
    if first is None:
        raise Undecodable("The Ogg file has no intact Vorbis or Opus stream: convert it to WAV, or send it again.")
    selected = [page for page in pages if page[14:18] == first[14:18]]
    for packet in islice(_packets(selected), 3):
        is_setup = packet.startswith(b"\x05vorbis")
        if is_setup and (len(packet) > MAX_SETUP_BYTES or _codebook_values(packet) > MAX_CODEBOOK_VALUES):
            raise Undecodable("The Ogg Vorbis file needs too much memory: convert it to WAV.")
    return b"".join(selected)


def _codec(page: bytes) -> str | None:
    body = page[27 + page[26] :]
    return next((name for magic, name in CODECS.items() if body.startswith(magic)), None)


def _pages(data: bytes) -> Iterator[bytes]:
    """Return the intact pages. Damaged pages are skipped."""
    at, tries = 0, 0
    for _ in range(MAX_PAGES):
        page = _read_page(data, at)
        while page is None and tries < MAX_TRIES:
            tries += 1
            at = data.find(MAGIC, at + 1, at + RESYNC_BYTES)
            if at < 0:
                return
            page = _read_page(data, at)
        if page is None:
            return
        yield page
        at += len(page)


def _read_page(data: bytes, at: int) -> bytes | None:
    """Return the page at byte `at`, or None if no complete page with a correct checksum begins there."""
    header = data[at : at + 27]
    if len(header) < 27 or not header.startswith(MAGIC):
        return None
    lacing = data[at + 27 : at + 27 + header[26]]
    page = data[at : at + 27 + header[26] + sum(lacing)]
    if len(page) < 27 + header[26] + sum(lacing) or checksum(page) != int.from_bytes(header[22:26], "little"):
        return None
    return page


def checksum(page: bytes) -> int:
    """Return the CRC-32 of a page (RFC 3533): the CRC-32 of zlib with all bits reversed and without inversion."""
    blank = page[:22] + bytes(4) + page[26:]
    reversed_crc = zlib.crc32(blank.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reversed_crc.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


def _packets(pages: Iterable[bytes]) -> Iterator[bytes]:
    packet = bytearray()
    for page in pages:
        at = 27 + page[26]
        for length in page[27:at]:
            packet += page[at : at + length]
            at += length
            if length < 255:
                yield bytes(packet)
                packet.clear()


def _codebook_values(setup: bytes) -> int:
    """Return the number of values in all codebooks of a Vorbis setup packet.

    A codebook begins at any bit with the bytes BCV, then its dimensions (2 bytes) and its entries (3 bytes). Source:
    Vorbis I specification, section 3.2.1.
    """
    values, bits = 0, int.from_bytes(setup, "little")
    for shift in range(8):
        shifted = (bits >> shift).to_bytes(len(setup), "little")
        at = shifted.find(b"BCV")
        while at >= 0:
            values += int.from_bytes(shifted[at + 3 : at + 5], "little") * int.from_bytes(
                shifted[at + 5 : at + 8], "little"
            )
            at = shifted.find(b"BCV", at + 1)
    return values
