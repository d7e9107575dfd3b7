import pytest

from amd_service.lab.dataset.phone_numbers import has_phone_number


@pytest.mark.parametrize(
    "text",
    [
        "+15005550006",
        "call to %2B15005550006",
        "tel:+49 171 1234567",
        "(500) 555-0006",
        "500.555.0006",
        "0171-1234567",
        "5005550006.wav",
        "tel15005550006",
        "2026-11-20_15005550006.wav",
        "0049 171 1234567",
        "+201011234567",
        "rec_5005550006_2.wav",
    ],
)
def test_phone_numbers_are_found_in_any_spelling(text: str) -> None:
    assert has_phone_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "caller-17",
        "CA" + "1" * 32,
        "0" * 64,
        "file-0123456789abcdef.wav",
        "2026-11-20",
        "2026-11-20T15:30:01.123456+01:00",
        "20261120_153000_0001.wav",
        "call-2026-11-20-153000.wav",
        "human/0001234.wav",
        "voice-3",
        "0.0123456",
    ],
)
def test_sids_hashes_and_times_are_not_phone_numbers(text: str) -> None:
    assert not has_phone_number(text)
