"""URLs in what Twilio says: they may carry secrets, and Twilio repeats one that it does not like."""

import re

_WEB_URL = re.compile(r"https?:[^\s]*", re.IGNORECASE)


def mask_urls(text: str, url: str | None = None) -> str:
    """`text` with an ellipsis for `url`, and for every other URL: Twilio may write the same one in another way."""
    return _WEB_URL.sub("…", text.replace(url, "…") if url else text)
