"""Settings of deliveries."""

import base64

import pytest

from amd_service.errors import ConfigurationError
from amd_service.settings import load_settings

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


def refusal(**values: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**values)
    return str(caught.value)


def test_several_urls_and_secrets_are_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_DELIVERY_URL", "https://a.example.com/x, https://b.example.com/y,https://a.example.com/x")
    monkeypatch.setenv("AMD_DELIVERY_SECRET", f"{SECRET},{SECRET}")
    settings = load_settings()
    assert settings.delivery_url == ["https://a.example.com/x", "https://b.example.com/y"]
    assert len(settings.delivery_secret) == 2


def test_urls_without_a_secret_name_the_cure() -> None:
    assert refusal(delivery_url="https://a.example.com").startswith("AMD_DELIVERY_URL needs AMD_DELIVERY_SECRET: make")


@pytest.mark.parametrize("secret", ["whsec_", "whsec_c2hvcnQ=", "whsec_no base64", f"sk_{SECRET[6:]}", SECRET[6:]])
def test_a_wrong_secret_is_refused_and_not_shown(secret: str) -> None:
    text = refusal(delivery_secret=secret)
    assert text.startswith("AMD_DELIVERY_SECRET must")
    assert SECRET[6:] not in text


@pytest.mark.parametrize(
    "url", ["backend.example.com", "ftp://a.example.com", "https://user:pass@a.example.com", "https://a.example.com/#x"]
)
def test_a_wrong_url_is_refused(url: str) -> None:
    assert "must be" in refusal(delivery_url=url, delivery_secret=SECRET)


def test_a_wrong_network_is_refused() -> None:
    assert refusal(delivery_networks="10.0.0.1/8").endswith("must be networks such as 10.0.0.0/8, not '10.0.0.1/8'")
