"""Masks URLs in Twilio's error messages: a URL may contain secrets, and Twilio repeats a URL that it refuses."""

import re

_WEB_URL = re.compile(r"https?:[^\s]*", re.IGNORECASE)


def mask_urls(text: str, url: str | None = None) -> str:
    """Return `text` with `url` and every other URL replaced by an ellipsis.

    Replacing only `url` would not be enough, because Twilio may spell the same URL differently.
    """
    return _WEB_URL.sub("…", text.replace(url, "…") if url else text)
