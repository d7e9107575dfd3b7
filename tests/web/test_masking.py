"""Phone numbers in texts are masked."""

import pytest

from amd_service.domain import ALL_SCOPES, Principal
from amd_service.web.masking import masked_text

VIEWER = Principal("ann", frozenset(), sees_numbers=False)
ADMIN = Principal("ada", ALL_SCOPES, sees_numbers=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("To +15005550006 failed", "To +15•••06 failed"),
        ("To=%2B15005550006&a=1", "To=%2B•••06&a=1"),
        ("+1 (500) 555-0006, please", "+1 •••06, please"),
        ("020 7946 0000", "020•••00"),
        ("555 0006", "•••6"),
        ("Twilio error 21220 after 60 s", "Twilio error 21220 after 60 s"),
        ("CA11111111111111111111111111111111", "CA11111111111111111111111111111111"),
        ("500 characters", "500 characters"),
    ],
)
def test_a_number_in_a_text_is_masked(text: str, shown: str) -> None:
    assert masked_text(text, VIEWER) == shown
    assert masked_text(text, ADMIN) == text
