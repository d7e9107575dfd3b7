"""Masks URLs in Twilio's error messages: they may contain secrets, and Twilio repeats a URL that it refuses."""

import re

_WEB_URL = re.compile(r"https?:[^\s]*", re.IGNORECASE)


def mask_urls(text: str, url: str | None = None) -> str:
    """`text` with an ellipsis for `url` and for every other URL. Twilio may spell `url` in a different way."""
    return _WEB_URL.sub("…", text.replace(url, "…") if url else text)
