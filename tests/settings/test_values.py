"""Values that were copied with white space, quotation marks or invisible characters, and placeholders."""

from pathlib import Path

import pytest

from amd_service.errors import ConfigurationError
from amd_service.settings import Settings, load_settings

SID = "AC" + "1" * 32
CREDENTIALS = {
    "TWILIO_ACCOUNT_SID": SID,
    "TWILIO_AUTH_TOKEN": "0" * 32,
    "TWILIO_API_KEY": "SK" + "2" * 32,
    "TWILIO_API_SECRET": "s3cr3t",
}
ONE_WORD = (
    *CREDENTIALS,
    "AMD_API_KEYS",
    "AMD_PHONE_NUMBER_KEY",
    "AMD_DATABASE_URL",
    "AMD_PUBLIC_URL",
    "AMD_TWILIO_API_URL",
    "AMD_LIVE_NEXT_URL",
)
SECRET = {*CREDENTIALS, "AMD_API_KEYS", "AMD_PHONE_NUMBER_KEY", "AMD_DATABASE_URL"} - {
    "TWILIO_ACCOUNT_SID",
    "TWILIO_API_KEY",
}
AROUND = (" ", "\n", "\r\n", "\t", "\u00a0", "\ufeff", "\u200b", "\u2028", "\u200e")


@pytest.mark.parametrize("around", AROUND, ids=ascii)
def test_white_space_and_invisible_characters_around_a_value_are_removed(
    around: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = CREDENTIALS | {
        "AMD_PUBLIC_URL": "https://amd.acme.dev",
        "AMD_API_KEYS": "k" * 16,
        "AMD_MODEL": "demo",
        "AMD_PORT": "8090",
        "AMD_LIVE": "true",
        "AMD_WINDOW_ANCHOR": "onset",
        "AMD_DIAL_PREFIXES": "+1212",
        "AMD_DATA_DIR": "/data",
        "AMD_DATABASE_URL": "postgresql://u:p@h/d",
        "AMD_LOG_LEVEL": "error",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    clean = load_settings()
    for name, value in values.items():
        monkeypatch.setenv(name, f"{around}{value}{around}")
    assert load_settings() == clean
    (account,) = clean.accounts.values()
    assert account.basic_auth == (CREDENTIALS["TWILIO_API_KEY"], "s3cr3t")


@pytest.mark.parametrize("name", ONE_WORD)
@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("a b", "must not contain a space"),
        ("a\nb", "must not contain a line break"),
        ("a\u00a0b", "must not contain a non-breaking space"),
        ("a\u200bb", "must not contain the invisible character U+200B (ZERO WIDTH SPACE)"),
        ("a\ufeffb", "must not contain the invisible character U+FEFF (ZERO WIDTH NO-BREAK SPACE)"),
        ('"ab"', "must not be in quotation marks: remove the quotation marks"),
        ("“ab”", "must not be in quotation marks: remove the quotation marks"),
        ("'ab", "must not be in quotation marks: remove the quotation marks"),
    ],
    ids=ascii,
)
def test_a_url_sid_key_or_secret_with_a_blank_or_a_quotation_mark_is_refused_with_one_line(
    name: str, inside: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, inside)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    (line,) = str(caught.value).splitlines()
    assert line.endswith(f" {message}")
    if name in SECRET:
        assert line == f"{name} {message}"
    else:
        assert line.startswith(f"{name}=")
        assert line.isprintable()


@pytest.mark.parametrize("name", ["AMD_MODEL", "AMD_PORT", "AMD_DATA_DIR", "AMD_DIAL_PREFIXES", "AMD_LOG_LEVEL"])
@pytest.mark.parametrize(("opening", "closing"), ['""', "''", "“”", "„“", "«»", "``"])
def test_quotation_marks_around_any_value_are_refused(
    name: str, opening: str, closing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"{opening}demo{closing}")
    with pytest.raises(ConfigurationError, match=rf"^{name}={opening}demo{closing}: .*remove the quotation marks$"):
        load_settings()


@pytest.mark.parametrize("name", [*CREDENTIALS, "AMD_API_KEYS", "AMD_PHONE_NUMBER_KEY"])
@pytest.mark.parametrize(
    "placeholder",
    [
        "ACxxxxxxxxxxxxxxxx",
        "AC…",
        "changeme",
        "change-me",
        "your_auth_token",
        "YOUR_API_KEY",
        "<token>",
        "${TOKEN}",
        "xxxx",
    ],
)
def test_a_placeholder_is_not_a_credential(name: str, placeholder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, placeholder)
    with pytest.raises(ConfigurationError, match=rf"^{name}.*(placeholder|32 hexadecimal digits)$"):
        load_settings()


@pytest.mark.parametrize("token", ["x" * 3, "0123456789abcdef" * 2, "your", "Change4me!", "$ecret", "correct-horse"])
def test_a_real_secret_is_not_taken_for_a_placeholder(token: str) -> None:
    settings = Settings(_env_file=None, TWILIO_ACCOUNT_SID=SID, TWILIO_AUTH_TOKEN=token)
    assert settings.accounts[next(iter(settings.accounts))].basic_auth == (SID, token)


@pytest.mark.parametrize("blank", [" ", "\n", "\u200b"], ids=ascii)
def test_a_blank_variable_counts_as_unset_so_the_env_file_applies(
    blank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    (tmp_path / ".env").write_text("AMD_PORT=8090\n")
    monkeypatch.setenv("AMD_PORT", blank)
    monkeypatch.setenv("AMD_MODEL", blank)
    settings = load_settings()
    assert (settings.port, settings.model) == (8090, Settings.model_fields["model"].default)


@pytest.mark.parametrize(
    "table",
    [
        f'account_sid = " {SID}\\n"\nauth_tokens = ["token\\n"]',
        f'account_sid = "{SID}\u200b"\nauth_tokens = ["\ufefftoken "]',
    ],
    ids=ascii,
)
def test_values_in_the_accounts_file_are_trimmed(table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "accounts.toml"
    path.write_bytes(b"\xef\xbb\xbf" + f"[[account]]\r\n{table}".encode())
    monkeypatch.setenv("AMD_ACCOUNTS_FILE", str(path))
    (account,) = load_settings().accounts.values()
    assert account.basic_auth == (SID, "token")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[account]]\naccount_sid = 1".encode("utf-16"), "is in UTF-16: save the file in UTF-8"),
        (b"[[account]]\n\xff", "line 2 is not in UTF-8: save the file in UTF-8"),
        (b"[[account]\n", "is not valid TOML: "),
        (b"[[accounts]]\n", "contains accounts: only [[account]] is read"),
        (None, "does not exist: correct the path"),
    ],
)
def test_an_accounts_file_that_cannot_be_read_names_the_file_and_the_cure(
    content: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "accounts.toml"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("AMD_ACCOUNTS_FILE", str(path))
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"AMD_ACCOUNTS_FILE {path} {message}")


def test_campaigns_with_their_own_time_series_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_CAMPAIGN_METRICS", "spring, autumn-2026")
    assert load_settings().campaign_metrics == ["spring", "autumn-2026"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("spring sale", "'spring sale' is not a campaign: a campaign must have 1 to 64 letters"),
        (",".join(f"c{number}" for number in range(21)), "at most 20 campaigns; it has 21"),
    ],
)
def test_an_invalid_list_of_campaigns_is_refused(value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_CAMPAIGN_METRICS", value)
    with pytest.raises(ConfigurationError, match=message):
        load_settings()
