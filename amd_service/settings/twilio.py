"""Settings for Twilio: accounts, recordings, calls, Media Streams, actions, reconciliation and retention."""

import re
from functools import cached_property
from typing import Annotated, Self

from pydantic import AliasChoices, BaseModel, Field, SecretStr, field_validator, model_validator

from amd_service.domain import AccountSid, Action, ActionKind, Label
from amd_service.settings.accounts import Account, make_account, read_accounts
from amd_service.settings.text import shown
from amd_service.settings.types import (
    ChannelMap,
    Credential,
    ExpandedPath,
    OneWord,
    Secret,
    SecretList,
    Sid,
    TextList,
    is_loopback,
    is_web_url,
    matching,
    one_of,
    split_url,
)

# Minimum characters of AMD_PHONE_NUMBER_KEY. 16 random hex digits have 64 bits, too many to find by trial.
MIN_NUMBER_KEY_LENGTH = 16


class TwilioSettings(BaseModel):
    """The settings for Twilio."""

    # Accounts and recordings
    twilio_api_url: OneWord = Field(
        "https://api.twilio.com",
        description="Base URL of Twilio's API. Plain http is accepted for loopback hosts only.",
    )
    twilio_region: Annotated[str, matching("[a-z]{2}[0-9]", example="us1 or ie1")] | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_REGION"),
        description="Region of the account, e.g. `ie1`. Requires `TWILIO_EDGE`. Cannot be combined with "
        "`AMD_TWILIO_API_URL`.",
    )
    twilio_edge: Annotated[str, matching("[a-z-]+", example="ashburn or dublin")] | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_EDGE"),
        description="Edge of the region, e.g. `dublin`. Requires `TWILIO_REGION`, because the API host contains "
        "region and edge.",
    )
    twilio_timeout_s: float = Field(10.0, gt=0, description="Maximum seconds for one request to Twilio's API.")
    accounts_file: ExpandedPath | None = Field(None, description="TOML file that lists several accounts.")
    twilio_account_sid: Sid | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_ACCOUNT_SID"),
        description="SID of the account whose callbacks are accepted.",
    )
    twilio_auth_token: SecretList = Field(
        default_factory=list,
        validation_alias=AliasChoices("TWILIO_AUTH_TOKEN"),
        description="Auth token of the account. During a rotation, list both tokens, separated by a comma, with the "
        "new token first. The first token is used for REST requests. Signatures by both tokens are accepted.",
    )
    twilio_api_key: Credential | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_API_KEY"),
        description="API key for REST requests. If unset, the auth token is used.",
    )
    twilio_api_secret: Secret | None = Field(
        None, validation_alias=AliasChoices("TWILIO_API_SECRET"), description="Secret of the API key."
    )
    channels: ChannelMap = Field(
        default_factory=dict,
        description="Channel of the called party in dual-channel recordings, by RecordingSource. If unset, the value "
        "is `OutboundAPI=1,DialVerb=2,StartCallRecordingAPI=1`. Twilio documents the channel only for `<Dial>`. Verify "
        "the other sources on a live call, or record with `RecordingTrack=inbound`.",
    )
    media_max_bytes: int = Field(
        8 * 1024 * 1024, ge=64 * 1024, description="Maximum bytes that are downloaded per recording."
    )
    media_connect_timeout_s: float = Field(5.0, gt=0, description="Maximum seconds to connect to Twilio.")
    media_read_timeout_s: float = Field(10.0, gt=0, description="Maximum seconds for one read from Twilio.")
    media_first_timeout_s: float = Field(
        5.0,
        gt=0,
        description="Maximum seconds for the first download of a recording. Each time-out doubles this limit for the "
        "next download of the same recording, up to `AMD_MEDIA_TOTAL_TIMEOUT_S`.",
    )
    media_total_timeout_s: float = Field(
        120.0, gt=0, description="Maximum seconds for one download of a recording that has already timed out."
    )

    # Placing calls
    dial_prefixes: TextList = Field(
        default_factory=list,
        description="Comma-separated prefixes of the numbers that the service may call, e.g. `+1212,+49`. If unset, "
        "the service places no calls.",
    )
    dial_per_minute: int = Field(
        60, ge=1, description="Maximum number of calls that all processes together place per minute."
    )

    # Media Streams
    live: bool = Field(
        False, description="Classify calls in progress over Media Streams, in addition to their recordings."
    )
    live_streams: int = Field(
        32, ge=1, description="Maximum number of concurrent streams per process. Further streams are refused."
    )
    live_next_url: OneWord | None = Field(
        None,
        description="URL of the TwiML that the call plays after the start of the stream. If unset, the call ends after "
        "a pause of 60 s.",
    )

    # After the verdict
    on_human: OneWord = Field(
        "nothing",
        description="Action on a call in progress that a human answered: `nothing`, `hang_up`, or the URL of TwiML "
        "that the call plays next.",
    )
    on_voicemail: OneWord = Field(
        "nothing",
        description="Action on a call in progress that a voicemail answered: `nothing`, `hang_up`, or the URL of "
        "TwiML that the call plays next.",
    )

    # Reconciliation
    reconcile_every_s: float = Field(
        600.0,
        ge=0,
        description="Seconds between reconciliations. A reconciliation asks Twilio for calls and recordings whose "
        "callback is missing. If 0, calls with a lost callback wait until you run `amd-service reconcile`.",
    )
    reconcile_after_s: float = Field(
        300.0, ge=0, le=3600, description="Seconds after which a missing callback counts as lost. The maximum is 3600."
    )
    reconcile_per_s: float = Field(
        5.0, gt=0, description="Maximum number of REST requests per second for reconciliation and deletion."
    )

    # Retention
    delete_recordings: bool = Field(
        False,
        description="Delete Twilio's copy of a recording after its verdict. A copy is deleted only if a signed "
        "callback named the call, or if this service placed the call.",
    )
    phone_numbers: Annotated[str, one_of("keep", "hash", "drop")] = Field(
        "keep",
        description="Storage of phone numbers, and of Twilio's data about their owners: `keep`, `hash` or `drop`.",
    )
    phone_number_key: Secret | None = Field(
        None,
        description="Secret key of the hash, with at least 16 characters. Anyone who has the key can find the "
        "numbers by trial.",
    )
    callback_days: int | None = Field(
        None,
        ge=1,
        description="Days after which the parameters of a callback are deleted. If unset, the service keeps them.",
    )

    @field_validator("twilio_api_url")
    @classmethod
    def _check_api_url(cls, value: str) -> str:
        if not value.lower().startswith(("http://", "https://")):
            raise ValueError("must begin with https:// (http:// for a loopback address)")
        parts = split_url(value)
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise ValueError("must be https://host[:port]")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ValueError("must be https; plain http is accepted only for a loopback host")
        return value.rstrip("/")

    @field_validator("dial_prefixes")
    @classmethod
    def _check_prefixes(cls, value: list[str]) -> list[str]:
        if not all(re.fullmatch(r"\+[1-9][0-9]*", prefix) for prefix in value):
            raise ValueError("must be prefixes of E.164 numbers, e.g. +1212")
        return value

    @field_validator("on_human", "on_voicemail")
    @classmethod
    def _check_action(cls, value: str) -> str:
        if value.lower() in ("nothing", ActionKind.HANG_UP):
            return value.lower()
        if is_web_url(value):
            return value
        raise ValueError("must be nothing, hang_up or an http(s) URL of TwiML")

    @field_validator("live_next_url")
    @classmethod
    def _check_next_url(cls, value: str | None) -> str | None:
        if value is not None and not is_web_url(value):
            raise ValueError("must be an http(s) URL of TwiML")
        return value

    @field_validator("phone_number_key")
    @classmethod
    def _check_key_length(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_NUMBER_KEY_LENGTH:
            raise ValueError(
                f"must have at least {MIN_NUMBER_KEY_LENGTH} characters, e.g. from `openssl rand -hex 24`: "
                "anyone who guesses the key can find the numbers by trial"
            )
        return value

    @model_validator(mode="after")
    def _check_region_and_edge(self) -> Self:
        _refuse_one_alone("TWILIO_REGION", self.twilio_region, "TWILIO_EDGE", self.twilio_edge)
        if self.twilio_region is not None and "twilio_api_url" in self.model_fields_set:
            raise ValueError(
                f"AMD_TWILIO_API_URL={self.twilio_api_url} and TWILIO_REGION={self.twilio_region} are both set: "
                "unset one of the two"
            )
        return self

    @model_validator(mode="after")
    def _check_actions_are_live(self) -> Self:
        for name, action in (("AMD_ON_HUMAN", self.on_human), ("AMD_ON_VOICEMAIL", self.on_voicemail)):
            if action != "nothing" and not self.live:
                raise ValueError(
                    f"{name}={shown(action)} needs AMD_LIVE=true: without live streams, the verdict is made after the "
                    "end of the call"
                )
        return self

    @model_validator(mode="after")
    def _check_hash_key(self) -> Self:
        if self.phone_numbers == "hash" and self.phone_number_key is None:
            raise ValueError("AMD_PHONE_NUMBERS=hash needs AMD_PHONE_NUMBER_KEY, e.g. from `openssl rand -hex 24`")
        return self

    @model_validator(mode="after")
    def _check_accounts(self) -> Self:
        _refuse_one_alone("TWILIO_API_KEY", self.twilio_api_key, "TWILIO_API_SECRET", self.twilio_api_secret)
        _refuse_one_alone("TWILIO_ACCOUNT_SID", self.twilio_account_sid, "TWILIO_AUTH_TOKEN", self.twilio_auth_token)
        if self.twilio_api_key and not self.twilio_account_sid:
            raise ValueError("TWILIO_API_KEY is set without TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN: set all of them")
        # Read the accounts file now, because an invalid file must fail at startup, not at the first callback.
        _ = self.accounts
        return self

    @cached_property
    def accounts(self) -> dict[AccountSid, Account]:
        """All configured accounts by SID."""
        known = [] if self.accounts_file is None else read_accounts(self.accounts_file)
        if self.twilio_account_sid:
            values = {
                "account_sid": self.twilio_account_sid,
                "auth_tokens": self.twilio_auth_token,
                "api_key": self.twilio_api_key,
                "api_secret": self.twilio_api_secret,
                "channels": self.channels,
            }
            known.append(make_account(values, "account from TWILIO_ACCOUNT_SID: "))
        by_sid: dict[AccountSid, Account] = {}
        for account in known:
            if account.account_sid in by_sid:
                raise ValueError(
                    f"account {account.account_sid} is configured twice (in AMD_ACCOUNTS_FILE, or in this file and by "
                    "TWILIO_ACCOUNT_SID): write one table with all its tokens"
                )
            by_sid[account.account_sid] = account
        return by_sid

    @property
    def api_origin(self) -> str:
        """Scheme, host and port of Twilio's API: AMD_TWILIO_API_URL, or the host of the region and edge."""
        if self.twilio_region is None:
            return self.twilio_api_url
        return f"https://api.{self.twilio_edge}.{self.twilio_region}.twilio.com"

    @property
    def actions(self) -> dict[Label, Action]:
        """Configured actions by label. Labels without an action are absent."""
        configured = {Label.HUMAN: self.on_human, Label.VOICEMAIL: self.on_voicemail}
        return {
            label: Action(ActionKind.HANG_UP) if value == ActionKind.HANG_UP else Action(ActionKind.REDIRECT, value)
            for label, value in configured.items()
            if value != "nothing"
        }


def _refuse_one_alone(name: str, value: object, other_name: str, other: object) -> None:
    """Raise ValueError if exactly one of two settings that need each other is set."""
    if bool(value) != bool(other):
        given, missing = (name, other_name) if value else (other_name, name)
        raise ValueError(f"{given} is set without {missing}: set both, or neither")
