"""Ogg pages with correct checksums."""

from amd_service.detection.audio.ogg import checksum


def ogg_page(packet: bytes, *, serial: int = 7, number: int = 0, granule: int = 0, flags: int = 2) -> bytes:
    """A page with one packet. `flags`: 2 for the first page of a stream."""
    lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    head = b"OggS\0" + bytes([flags]) + granule.to_bytes(8, "little") + serial.to_bytes(4, "little")
    head += number.to_bytes(4, "little")
    tail = bytes([len(lacing)]) + lacing + packet
    return head + checksum(head + bytes(4) + tail).to_bytes(4, "little") + tail


def vorbis_with_large_codebook() -> bytes:
    """The three header packets of a Vorbis stream. Each of 64 codebooks has 2**23 entries of two dimensions."""
    identification = b"\x01vorbis" + bytes(4) + b"\x01" + (8000).to_bytes(4, "little") + bytes(12) + b"\xb8\x01"
    comment = b"\x03vorbis" + bytes(8) + b"\x01"
    codebook = b"BCV" + (2).to_bytes(2, "little") + (2**23).to_bytes(3, "little") + b"\x2d" + bytes(8)
    setup = b"\x05vorbis\x3f" + codebook * 64 + b"\x01"
    return b"".join(
        ogg_page(packet, number=number, flags=2 * (number == 0))
        for number, packet in enumerate([identification, comment, setup])
    )
