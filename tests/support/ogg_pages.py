"""Ogg pages with correct checksums."""

from amd_service.detection.audio.ogg import checksum

# A page holds at most this part of a packet.
MAX_PAGE_BYTES = 255 * 255


def ogg_page(packet: bytes, *, serial: int = 7, number: int = 0, granule: int = 0, flags: int = 2) -> bytes:
    """A page with one packet, or with MAX_PAGE_BYTES bytes of a longer packet.

    `flags`: 2 for the first page of a stream.
    """
    lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])[:255]
    head = b"OggS\0" + bytes([flags]) + granule.to_bytes(8, "little") + serial.to_bytes(4, "little")
    head += number.to_bytes(4, "little")
    tail = bytes([len(lacing)]) + lacing + packet
    return head + checksum(head + bytes(4) + tail).to_bytes(4, "little") + tail


def vorbis_with_large_codebook() -> bytes:
    """The headers of a Vorbis stream. Each of 64 codebooks has 2**23 entries of two dimensions."""
    codebook = b"BCV" + (2).to_bytes(2, "little") + (2**23).to_bytes(3, "little") + b"\x2d" + bytes(8)
    return vorbis_headers(b"\x05vorbis\x3f" + codebook * 64 + b"\x01")


def vorbis_headers(setup: bytes) -> bytes:
    """The three header packets of a Vorbis stream. `setup`: the third packet, which contains the codebooks."""
    identification = b"\x01vorbis" + bytes(4) + b"\x01" + (8000).to_bytes(4, "little") + bytes(12) + b"\xb8\x01"
    comment = b"\x03vorbis" + bytes(8) + b"\x01"
    parts = [setup[at : at + MAX_PAGE_BYTES] for at in range(0, len(setup), MAX_PAGE_BYTES)]
    return b"".join(
        ogg_page(packet, number=number, flags=2 * (number == 0))
        for number, packet in enumerate([identification, comment, *parts])
    )
