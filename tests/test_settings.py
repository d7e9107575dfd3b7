"""Settings: what is wrong is said by the name people typed."""

from pathlib import Path

import pytest

from amd_service.errors import ConfigurationError
from amd_service.settings import Settings, load_settings
from amd_service.settings.unknown import misspelt

SID = "AC" + "1" * 32


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant() -> None:
    assert misspelt(["AMD_MODLE", "AMD_MODEL", "PATH"]) == ["AMD_MODLE is no setting; did you mean AMD_MODEL?"]
    assert misspelt(["TWILIO_ACCOUNT_SDI"]) == ["TWILIO_ACCOUNT_SDI is no setting; did you mean TWILIO_ACCOUNT_SID?"]


def test_other_programs_twilio_variables_are_left_alone() -> None:
    assert misspelt(["TWILIO_REGION", "TWILIO_WORKSPACE_SID"]) == []


def test_an_ill_formed_account_sid_is_named_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC123")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "x")
    with pytest.raises(ConfigurationError, match=r"TWILIO_ACCOUNT_SID.*32 hexadecimal digits"):
        load_settings()


def test_a_wrong_accounts_file_is_named_with_the_account_and_the_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(f'[[account]]\naccount_sid = "{SID}"\nauth_token = "x"\n')
    monkeypatch.setenv("AMD_ACCOUNTS_FILE", str(path))
    with pytest.raises(ConfigurationError, match=r"accounts\.toml, account 1: auth_tokens: Field required"):
        load_settings()


def test_several_tokens_are_accepted_while_rotating() -> None:
    settings = Settings(_env_file=None, twilio_account_sid=SID, twilio_auth_token="current, next")
    (account,) = settings.accounts.values()
    assert [token.get_secret_value() for token in account.auth_tokens] == ["current", "next"]


@pytest.mark.parametrize("url", ["http://api.twilio.com", "ftp://x", "https://user@api.twilio.com", "https://a/b"])
def test_an_api_url_that_could_leak_credentials_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_TWILIO_API_URL", url)
    with pytest.raises(ConfigurationError, match="AMD_TWILIO_API_URL"):
        load_settings()


def test_empty_variables_of_an_env_file_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_API_KEY", "")
    monkeypatch.setenv("TWILIO_API_SECRET", "")
    assert load_settings().twilio_api_key is None
