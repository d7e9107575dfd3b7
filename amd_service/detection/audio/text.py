"""Recognises bodies that are text: error pages, JSON and base64."""

import re

CHECKED_BYTES = 512
SEND_BYTES = "send the bytes of a WAV or MP3 file"
_MARKUP = re.compile(r"\s*(?:<\?xml|<!doctype|<html|<twilioresponse|<response|<error)", re.IGNORECASE)
_JSON = re.compile(r"\s*[{\[].*\"", re.DOTALL)
# Base64 has lower case, upper case and digits. In telephone audio, the bytes of all three would be loud samples of one
# sign for 64 ms.
_BASE64 = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])(?:data:[\w/;=.+-]*,)?[\w+/=\r\n-]{16,}", re.ASCII | re.DOTALL)
_WORDS = re.compile(r"(?=.*[a-z]).* ", re.DOTALL)


def describe_text(data: bytes, *, is_raw: bool) -> str | None:
    """Return what kind of text the body is, with the cure, or None if the body is not text.

    `is_raw`: whether the content type names raw audio. Raw audio can consist of printable characters: silence in A-law
    is the letter U.
    """
    # The last character may be incomplete, so it counts as the end.
    start = data[:CHECKED_BYTES].removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace").rstrip("\ufffd")
    if _MARKUP.match(start):
        return "The body is XML or HTML, not audio. It may be an error page for a missing recording."
    if not start or not all((each.isprintable() and each != "\ufffd") or each.isspace() for each in start):
        return None
    if _JSON.match(start):
        return f"The body is JSON, not audio: {SEND_BYTES}."
    if _BASE64.fullmatch(start):
        return f"The body is base64 text: decode it and {SEND_BYTES}."
    return None if is_raw and not _WORDS.match(start) else f"The body is text, not audio: {SEND_BYTES}."
