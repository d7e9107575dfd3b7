"""Logs and rows contain no URLs."""

import pytest

from amd_service.operations.masking import mask_urls

URL = "https://user:pass word@example.com/twiml?key=se cret"


@pytest.mark.parametrize(
    ("said", "masked"),
    [
        (f"Url is not a valid url: {URL}", "Url is not a valid url: …"),
        (f"'{URL}' and again {URL}.", "'…' and again …."),
        ("Url is not a valid url: HTTPS://user:pass%20word@example.com/?key=se%20cret", "Url is not a valid url: …"),
        ("Call is not in-progress", "Call is not in-progress"),
    ],
)
def test_a_url_is_masked_in_every_spelling(said: str, masked: str) -> None:
    assert mask_urls(said, URL) == masked


def test_every_url_is_masked_without_a_given_one() -> None:
    assert mask_urls("see http://example.com/?key=secret now") == "see … now"
