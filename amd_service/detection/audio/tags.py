"""Skips the tags that programs write before the audio: ID3v2 and APEv2."""

# Maximum number of tags to skip.
MAX_TAGS = 8


def is_tag(data: bytes, at: int = 0) -> bool:
    """Return True if an ID3v2 or APEv2 tag begins at byte `at`."""
    return data.startswith((b"ID3", b"APETAGEX"), at)


def tag_ends(data: bytes, at: int) -> tuple[int, ...]:
    """Return the byte offsets at which the tag at byte `at` may end. The most probable offset comes first.

    The size of an ID3v2 tag uses seven bits of each byte, but some programs write a plain integer. Zeros after a tag
    are skipped. Source: https://id3.org/id3v2.4.0-structure, https://wiki.hydrogenaudio.org/index.php?title=APEv2
    """
    if data.startswith(b"APETAGEX", at):
        return (skip_zeros(data, at + 32 + int.from_bytes(data[at + 12 : at + 16], "little")),)
    flags, size = data[at + 5 : at + 6], data[at + 6 : at + 10]
    footer = 10 if flags and flags[0] & 0x10 else 0
    seven_bits = sum((byte & 0x7F) << 7 * (3 - index) for index, byte in enumerate(size))
    return tuple(skip_zeros(data, at + 10 + footer + number) for number in (seven_bits, int.from_bytes(size, "big")))


def skip_zeros(data: bytes, at: int) -> int:
    """Return the byte offset of the first byte from byte `at` that is not zero."""
    if data[at : at + 1] != b"\0":
        return at
    rest = data[at:]
    return at + len(rest) - len(rest.lstrip(b"\0"))
