"""Settings: defaults, priorities, warnings, and errors that name the variable, field or file to correct."""

import re
import subprocess
from pathlib import Path

import pytest

from amd_service.errors import ConfigurationError
from amd_service.settings import Settings, load_settings
from amd_service.settings.warnings import setting_warnings, warnings_for
from amd_service.simulator.service_process import COMMAND

SID = "AC" + "1" * 32


def test_a_misspelt_setting_gets_a_suggestion() -> None:
    assert warnings_for(dict.fromkeys(["AMD_MODLE", "AMD_MODEL", "PATH"], "x")) == [
        "AMD_MODLE is not a setting; did you mean AMD_MODEL?"
    ]
    assert warnings_for({"TWILIO_ACCOUNT_SDI": "x"}) == [
        "TWILIO_ACCOUNT_SDI is not a setting; did you mean TWILIO_ACCOUNT_SID?"
    ]


def test_twilio_variables_of_other_programs_get_no_warning() -> None:
    assert warnings_for({"TWILIO_REGION": "ie1", "TWILIO_WORKSPACE_SID": "x"}) == []


def test_an_invalid_account_sid_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC123")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "x")
    with pytest.raises(ConfigurationError, match=r"TWILIO_ACCOUNT_SID.*32 hexadecimal digits"):
        load_settings()


def test_an_invalid_accounts_file_names_file_account_and_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(f'[[account]]\naccount_sid = "{SID}"\nauth_token = "x"\n')
    monkeypatch.setenv("AMD_ACCOUNTS_FILE", str(path))
    with pytest.raises(ConfigurationError, match=r"accounts\.toml, account 1: ") as caught:
        load_settings()
    message = "auth_tokens is missing; auth_token is not a field of an account, did you mean auth_tokens = […]?"
    assert str(caught.value).endswith(f"account 1: {message}")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('auth_tokens = ["x", ""]', "auth_tokens.1: must not be blank"),
        ('auth_tokens = [" "]', "auth_tokens.0: must not be blank"),
        ('auth_tokens = ["x"]\napi_key = "SK1"\napi_secret = ""', "api_secret: must not be blank"),
        ('auth_tokens = ["x"]\napi_key = " "\napi_secret = "y"', "api_key= : must not be blank"),
        ('auth_tokens = ["x"]\napi_key = "SK1"', "api_key is set without api_secret: set both, or neither"),
        ('auth_tokens = ["x"]\napi_secret = "y"', "api_secret is set without api_key: set both, or neither"),
        ('auth_tokens = "x"', "auth_tokens: must be a list in square brackets"),
        ("auth_tokens = []", "auth_tokens: must not be empty"),
        ("auth_tokens = [1]", "auth_tokens.0: must be a text in quotation marks"),
        ('auth_tokens = ["x"]\nchannels = 1', "channels=1: must be a table, e.g. {OutboundAPI = 1}"),
        (
            'auth_tokens = ["x"]\nchannels = {OutboundAPI = "left"}',
            "channels: must be 1 or 2 for OutboundAPI, not left",
        ),
    ],
)
def test_blank_and_incomplete_credentials_are_refused(
    keys: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(f'[[account]]\naccount_sid = "{SID}"\n{keys}\n')
    monkeypatch.setenv("AMD_ACCOUNTS_FILE", str(path))
    with pytest.raises(ConfigurationError, match=f"account 1: {re.escape(message)}"):
        load_settings()


@pytest.mark.parametrize("second", ["in the file", "in the environment"])
def test_an_account_configured_twice_is_refused(second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = f'[[account]]\naccount_sid = "{SID}"\nauth_tokens = ["us1"]\n'
    path = tmp_path / "accounts.toml"
    path.write_text(table)
    monkeypatch.setenv("AMD_ACCOUNTS_FILE", str(path))
    assert list(load_settings().accounts) == [SID]
    if second == "in the file":
        path.write_text(table + table.replace("us1", "ie1"))
    else:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", "ie1")
    with pytest.raises(
        ConfigurationError, match=f"account {SID} is configured twice.*write one table with all its tokens"
    ):
        load_settings()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),
        ("::", "http://[::1]:9000"),
        ("amd.internal", "http://amd.internal:9000"),
    ],
)
def test_the_local_url_uses_loopback_when_serve_listens_on_all_addresses(host: str, url: str) -> None:
    assert Settings(_env_file=None, host=host, port=9000).local_url == url


def test_several_tokens_may_be_configured_and_the_first_is_used_for_rest() -> None:
    settings = Settings(_env_file=None, twilio_account_sid=SID, twilio_auth_token="next, current")
    (account,) = settings.accounts.values()
    assert [token.get_secret_value() for token in account.auth_tokens] == ["next", "current"]
    assert account.basic_auth == (SID, "next")


@pytest.mark.parametrize("url", ["http://api.twilio.com", "ftp://x", "https://user@api.twilio.com", "https://a/b"])
def test_an_api_url_that_could_leak_credentials_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_TWILIO_API_URL", url)
    with pytest.raises(ConfigurationError, match="AMD_TWILIO_API_URL"):
        load_settings()


@pytest.mark.parametrize(
    ("alone", "missing"), [("TWILIO_API_KEY", "TWILIO_API_SECRET"), ("TWILIO_API_SECRET", "TWILIO_API_KEY")]
)
def test_an_incomplete_api_key_names_the_missing_setting(
    alone: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TWILIO_ACCOUNT_SID", SID), ("TWILIO_AUTH_TOKEN", "x"), (alone, "y")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value) == f"{alone} is set without {missing}: set both, or neither"


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_API_KEY", "")
    monkeypatch.setenv("TWILIO_API_SECRET", "")
    assert load_settings().twilio_api_key is None


@pytest.mark.parametrize("key", ["k" * 15, "secret"])
def test_a_short_hash_key_is_refused_and_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_PHONE_NUMBERS", "hash")
    monkeypatch.setenv("AMD_PHONE_NUMBER_KEY", key)
    with pytest.raises(ConfigurationError, match="AMD_PHONE_NUMBER_KEY must have at least 16 characters") as caught:
        load_settings()
    assert key not in str(caught.value)
    monkeypatch.setenv("AMD_PHONE_NUMBER_KEY", "k" * 16)
    assert load_settings().phone_numbers == "hash"


def test_values_are_case_insensitive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_LOG_LEVEL", "WARNING")
    assert load_settings().log_level == "warning"


def test_a_misspelt_setting_in_the_env_file_gets_a_suggestion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    (tmp_path / ".env").write_text("AMD_MODEL=demo\nAMD_DAIL_PREFIXES=+1212\n")
    assert setting_warnings(load_settings()) == ["AMD_DAIL_PREFIXES is not a setting; did you mean AMD_DIAL_PREFIXES?"]


def test_the_environment_overrides_the_env_file_except_with_empty_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    (tmp_path / ".env").write_text("AMD_DIAL_PREFIXES=+1212\nAMD_PORT=8081\n")
    monkeypatch.setenv("AMD_PORT", "8082")
    monkeypatch.setenv("AMD_DIAL_PREFIXES", "")
    settings = load_settings()
    assert (settings.port, settings.dial_prefixes) == (8082, ["+1212"])
    # A single comma is an empty list. It overrides .env, so no calls are allowed.
    monkeypatch.setenv("AMD_DIAL_PREFIXES", ",")
    assert load_settings().dial_prefixes == []


def test_a_command_warns_about_misspelt_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AMD_ON_VOICEMIAL=hang_up\n")
    command = [*COMMAND, "requeue", "--reason", "none of them"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "AMD_ON_VOICEMIAL is not a setting; did you mean AMD_ON_VOICEMAIL?" in result.stderr


def test_the_called_partys_channel_can_be_configured_by_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC" + "a" * 32)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "token")
    monkeypatch.setenv("AMD_CHANNELS", "OutboundAPI=2, Conference=1")
    (account,) = load_settings().accounts.values()
    assert [account.called_party_channel(source) for source in ("OutboundAPI", "DialVerb", "Conference")] == [2, 2, 1]
    for wrong in ("OutboundAPI", "OutboundAPI=3", "=1", "OutboundAPI=left", "Outbound=1"):
        monkeypatch.setenv("AMD_CHANNELS", wrong)
        with pytest.raises(ConfigurationError, match=r"AMD_CHANNELS=.*: must b"):
            load_settings()
