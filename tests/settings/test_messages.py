"""Every setting, with a value that it must refuse: the message names the variable, the value and the requirement."""

import re

import pytest

from amd_service.domain import NAME_RULE
from amd_service.errors import ConfigurationError
from amd_service.settings import Settings, environment_name, load_settings

# Settings that accept every text. A file or folder that is missing is reported when it is opened.
ANY_TEXT = {
    "model",
    "model_revision",
    "shadow_model",
    "shadow_revision",
    "labels",
    "cache_dir",
    "golden_dir",
    "data_dir",
}
# A refused value for the settings that do not refuse the text `no such value`.
REFUSED = {
    "campaign_metrics": (
        "no such value",
        f"AMD_CAMPAIGN_METRICS=no such value: 'no such value' is not a campaign: a campaign {NAME_RULE}",
    ),
    "accounts_file": ("/no/such/file", "AMD_ACCOUNTS_FILE /no/such/file does not exist: correct the path"),
}
SECRET = {
    "api_keys",
    "database_url",
    "database_listen_url",
    "delivery_secret",
    "phone_number_key",
    "twilio_auth_token",
    "twilio_api_secret",
}
RAW_WORDS = re.compile(
    r"input should|valid |value_error|errors\.pydantic|validation error|type=|\[|field required", re.IGNORECASE
)


@pytest.mark.parametrize("field", sorted(Settings.model_fields.keys() - ANY_TEXT))
def test_every_setting_refuses_a_bad_value_in_one_plain_line(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = environment_name(field)
    value, expected = REFUSED.get(field, ("no such value", None))
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    (line,) = str(caught.value).splitlines()
    assert RAW_WORDS.search(line) is None, line
    if expected is not None:
        assert line == expected
    elif field in SECRET:
        assert re.match(rf"{name} must ", line), line
        assert value not in line
    else:
        assert re.match(rf"{name}={value}: must ", line), line


NUMBERS = [
    name
    for name, field in Settings.model_fields.items()
    if str(field.annotation).startswith(("<class 'int", "<class 'float", "int", "float"))
]


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", ["-1", "1e400", "nan"])
def test_every_number_refuses_a_negative_and_an_infinite_value(
    field: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment_name(field), value)
    with pytest.raises(ConfigurationError, match=rf"^{environment_name(field)}={value}: must ") as caught:
        load_settings()
    assert RAW_WORDS.search(str(caught.value)) is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AMD_PHONE_NUMBERS", "forget", "must be keep, hash or drop"),
        ("AMD_PRECISION", "fp16", "must be fp32, bf16 or int8"),
        ("AMD_GOLDEN", "off", "must be enforce or warn"),
        ("AMD_LOG_FORMAT", "xml", "must be auto, json or text"),
        ("AMD_LOG_LEVEL", "loud", "must be debug, info, warning or error"),
        ("TWILIO_REGION", "Ireland", "must look like us1 or ie1"),
        ("TWILIO_EDGE", "dublin.", "must look like ashburn or dublin"),
        ("AMD_ON_HUMAN", "hangup", "must be nothing, hang_up or an http(s) URL of TwiML"),
        ("AMD_DIAL_PREFIXES", "0049", "must be prefixes of E.164 numbers, e.g. +1212"),
        ("AMD_PORT", "80.5", "must be a whole number"),
        ("AMD_PORT", "65536", "must be at most 65535"),
        ("AMD_MEDIA_MAX_BYTES", "1", "must be at least 65536"),
        ("AMD_POLL_S", "0", "must be above 0.0"),
        ("AMD_POLL_S", "inf", "must be a finite number"),
        (
            "AMD_MIN_CONFIDENCE",
            "70",
            "must be below 1: no confidence reaches it, so the label would never be given",
        ),
        (
            "AMD_MIN_CONFIDENCE_VOICEMAIL",
            "1.0",
            "must be below 1: no confidence reaches it, so the label would never be given",
        ),
        (
            "AMD_MIN_CONFIDENCE",
            "-0.7",
            "must be above 0.5: the more probable label always has a confidence of at least 0.5",
        ),
        ("AMD_MIN_CONFIDENCE_HUMAN", "0,7", "must be a number"),
        ("AMD_LIVE", "maybe", "must be true or false"),
        ("AMD_WINDOW_ANCHOR", "start", "must be auto, answer or onset"),
        (
            "AMD_CHANNELS",
            "Outbound=1",
            "must begin with a RecordingSource (OutboundAPI, DialVerb, StartCallRecordingAPI, "
            "RecordVerb, Conference, StartConferenceRecordingAPI, Trunking), not with Outbound",
        ),
        ("AMD_CHANNELS", "DialVerb=3", "must be 1 or 2 for DialVerb, not 3"),
        ("AMD_ENGINE", "cuda", "must be auto, torch, onnx or openvino"),
        *(
            (
                "AMD_PUBLIC_URL",
                value,
                "must begin with https:// (http:// for a loopback address), e.g. https://amd.example.com",
            )
            for value in ("amd.example.com", "amd.example.com:8443/amd", "ftp://amd.example.com", "//amd.example.com")
        ),
        (
            "AMD_TWILIO_API_URL",
            "127.0.0.1:8099",
            "must begin with https:// (http:// for a loopback address)",
        ),
        (
            "AMD_PUBLIC_URL",
            "https://h:99999",
            "must have a valid host and port, e.g. https://amd.example.com or https://amd.example.com:8443",
        ),
        (
            "AMD_TWILIO_API_URL",
            "http://[",
            "must have a valid host and port, e.g. https://amd.example.com or https://amd.example.com:8443",
        ),
    ],
)
def test_a_bad_value_is_repeated_with_the_requirement(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value) == f"{name}={value}: {message}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"WINDOW_MS": "6000", "LONG_WINDOW_MS": "5000"},
            "AMD_WINDOW_MS=6000 is above AMD_LONG_WINDOW_MS=5000: the second window must not be "
            "shorter than the first window",
        ),
        ({"ON_VOICEMAIL": "hang_up"}, "AMD_ON_VOICEMAIL=hang_up needs AMD_LIVE=true: "),
        ({"ON_HUMAN": "https://a.dev/x?key=secret"}, "AMD_ON_HUMAN=https://a.dev/x?… needs AMD_LIVE=true: "),
        ({"PHONE_NUMBERS": "hash"}, "AMD_PHONE_NUMBERS=hash needs AMD_PHONE_NUMBER_KEY"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(
    values: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"AMD_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["ACCOUNT_SID"], "TWILIO_ACCOUNT_SID is set without TWILIO_AUTH_TOKEN: set both, or neither"),
        (["AUTH_TOKEN"], "TWILIO_AUTH_TOKEN is set without TWILIO_ACCOUNT_SID: set both, or neither"),
        (["API_KEY"], "TWILIO_API_KEY is set without TWILIO_API_SECRET: set both, or neither"),
        (["API_SECRET"], "TWILIO_API_SECRET is set without TWILIO_API_KEY: set both, or neither"),
        (["API_KEY", "API_SECRET"], "TWILIO_API_KEY is set without TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN: "),
        (["REGION"], "TWILIO_REGION is set without TWILIO_EDGE: set both, or neither"),
        (["EDGE"], "TWILIO_EDGE is set without TWILIO_REGION: set both, or neither"),
    ],
)
def test_half_of_a_pair_names_the_missing_half(given: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "ACCOUNT_SID": "AC" + "1" * 32,
        "AUTH_TOKEN": "t",
        "API_KEY": "SK1",
        "API_SECRET": "s",
        "REGION": "ie1",
        "EDGE": "dublin",
    }
    for name in given:
        monkeypatch.setenv(f"TWILIO_{name}", values[name])
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value).startswith(message)


def test_the_password_of_a_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMD_PUBLIC_URL", "https://me:hidden@amd.acme.dev")
    with pytest.raises(ConfigurationError, match=r"^AMD_PUBLIC_URL=https://…@amd\.acme\.dev: must be "):
        load_settings()


@pytest.mark.parametrize(
    ("words", "value"), [("true TRUE 1 yes on On", True), ("false False 0 no off OFF", False)], ids=["true", "false"]
)
def test_a_boolean_accepts_the_documented_words(words: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for word in words.split():
        monkeypatch.setenv("AMD_DELETE_RECORDINGS", word)
        assert load_settings().delete_recordings is value
