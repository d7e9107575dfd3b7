"""Settings of the proxy that signs people in."""

import pytest

from amd_service.errors import ConfigurationError
from amd_service.settings import load_settings


def refusal(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    return str(caught.value)


def test_a_user_header_without_trusted_proxies_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusal(monkeypatch, AMD_USER_HEADER="X-Forwarded-User")
    assert text == (
        "AMD_USER_HEADER needs AMD_TRUSTED_PROXIES: set it to the addresses of the proxy that sends the header"
    )


@pytest.mark.parametrize("network", ["10.0.0.1/8", "proxy", "10.0.0.0/33", "10.0.0.0-10.0.0.9"])
def test_a_wrong_network_is_refused(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusal(monkeypatch, AMD_TRUSTED_PROXIES=f"127.0.0.1,{network}")
    assert text.endswith(f"must be addresses or networks such as 10.0.0.0/8, not {network!r}")


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_every_address_is_no_trusted_proxy(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "must not be every address" in refusal(monkeypatch, AMD_TRUSTED_PROXIES=network)


def test_a_wrong_header_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusal(monkeypatch, AMD_USER_HEADER="X-User: ann", AMD_TRUSTED_PROXIES="127.0.0.1")
    assert "must be the name of a header" in text


def test_trusted_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8, fd00::/8")
    assert [str(network) for network in load_settings().trusted_networks] == ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"]
