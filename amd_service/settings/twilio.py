"""Settings about Twilio: accounts, recordings, placing calls, listening live, acting, reconciling, forgetting."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, BaseModel, Field, SecretStr, field_validator, model_validator

from amd_service.domain import AccountSid, Action, ActionKind, Label
from amd_service.settings.accounts import Account, make_account, read_accounts
from amd_service.settings.hosts import is_loopback, is_web_url
from amd_service.settings.lists import ChannelMap, SecretList, TextList, split, split_pairs
from amd_service.settings.shapes import like, one_of

# 16 random hex digits are 64 bits, which nobody tries out one by one.
SHORTEST_NUMBER_KEY = 16


class TwilioSettings(BaseModel):
    """What is said to Twilio and taken from it."""

    # Accounts and recordings
    twilio_api_url: str = Field(
        "https://api.twilio.com",
        description="Twilio's API: recordings are fetched and calls placed there. Plain http only on loopback.",
    )
    twilio_region: Annotated[str, like("[a-z]{2}[0-9]", example="us1 or ie1")] | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_REGION"),
        description="Region of the account's calls, e.g. `ie1`, instead of `AMD_TWILIO_API_URL`; needs `TWILIO_EDGE`.",
    )
    twilio_edge: Annotated[str, like("[a-z-]+", example="ashburn or dublin")] | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_EDGE"),
        description="Edge that belongs to it, e.g. `dublin`. Region or edge alone leads to hosts that do not serve it.",
    )
    twilio_timeout_s: float = Field(10.0, gt=0, description="Time-out for one request to Twilio's API, all in all.")
    accounts_file: Path | None = Field(None, description="TOML file with several accounts.")
    twilio_account_sid: str | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_ACCOUNT_SID"),
        description="The account whose callbacks are accepted.",
    )
    twilio_auth_token: SecretList = Field(
        default_factory=list,
        validation_alias=AliasChoices("TWILIO_AUTH_TOKEN"),
        description="Its auth token; while rotating both, comma-separated, the new one first: Twilio takes it for REST "
        "already, and signatures by either are accepted.",
    )
    twilio_api_key: str | None = Field(
        None,
        validation_alias=AliasChoices("TWILIO_API_KEY"),
        description="API key for all that is asked of Twilio, preferred to the token.",
    )
    twilio_api_secret: SecretStr | None = Field(
        None, validation_alias=AliasChoices("TWILIO_API_SECRET"), description="The API key's secret."
    )
    channels: ChannelMap = Field(
        default_factory=dict,
        description="The called party's channel in dual-channel recordings, by RecordingSource, e.g. "
        "`OutboundAPI=1,DialVerb=2`, which stands without it. Twilio documents `<Dial>` alone: verify others on "
        "a live call, or record with `RecordingTrack=inbound`.",
    )
    media_max_bytes: int = Field(8 * 1024 * 1024, ge=64 * 1024, description="Most that is ever read of one recording.")
    media_connect_timeout_s: float = Field(5.0, gt=0, description="Time-out to connect to Twilio.")
    media_read_timeout_s: float = Field(10.0, gt=0, description="Time-out between two reads of what Twilio answers.")
    media_total_timeout_s: float = Field(30.0, gt=0, description="Time-out for one whole download.")

    # Placing calls
    dial_prefixes: TextList = Field(
        default_factory=list,
        description="Comma-separated beginnings of the numbers that may be called, e.g. `+1212,+49`. None: no calls.",
    )
    dial_per_minute: int = Field(
        60, ge=1, description="Calls that may be placed in a minute, by all processes together."
    )

    # Live
    live: bool = Field(
        False, description="Listen to calls while they are up, over Media Streams; recordings are judged all the same."
    )
    live_streams: int = Field(32, ge=1, description="Streams one process listens to at once; more are turned away.")
    live_next_url: str | None = Field(
        None, description="TwiML that goes on once the stream has begun. Unset: a pause that leaves time to act."
    )

    # After the verdict
    on_human: str = Field(
        "nothing", description="For a human on a call that is still up: `nothing`, `hang_up`, or the URL of TwiML."
    )
    on_voicemail: str = Field("nothing", description="The same for a voicemail.")

    # Reconciliation
    reconcile_every_s: float = Field(
        600.0,
        ge=0,
        description="How often Twilio is asked for what its callbacks left out. 0: only by hand; until then a call "
        "whose end or recording no callback told of waits.",
    )
    reconcile_after_s: float = Field(
        300.0, ge=0, le=3600, description="For how long a callback may be late before Twilio is asked, at most an hour."
    )
    reconcile_per_s: float = Field(5.0, gt=0, description="Requests a second that reconciling and deleting may make.")

    # Retention
    delete_recordings: bool = Field(
        False,
        description="Delete Twilio's copy of a recording after its verdict, where a signed callback named its call or "
        "this service placed it.",
    )
    phone_numbers: Annotated[str, one_of("keep", "hash", "drop")] = Field(
        "keep",
        description="What is stored of phone numbers and of what Twilio tells of their owners: `keep`, `hash`, `drop`.",
    )
    phone_number_key: SecretStr | None = Field(
        None,
        description="Secret of the hash, at least 16 characters: whoever knows it can try out all numbers.",
    )
    callback_days: int | None = Field(
        None, ge=1, description="Drop the parameters of callbacks this many days old. Unset: they are kept."
    )

    @field_validator("twilio_auth_token", "dial_prefixes", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return split(value)

    @field_validator("channels", mode="before")
    @classmethod
    def _channels_by_source(cls, value: object) -> object:
        return split_pairs(value)

    @field_validator("twilio_api_url")
    @classmethod
    def _api_url_shape(cls, value: str) -> str:
        parts = urlsplit(value)
        if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise ValueError("must be https://host[:port]")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("must be https; plain http is accepted for a loopback host only")
        return value.rstrip("/")

    @field_validator("dial_prefixes")
    @classmethod
    def _prefix_shape(cls, value: list[str]) -> list[str]:
        if not all(re.fullmatch(r"\+[1-9][0-9]*", prefix) for prefix in value):
            raise ValueError("must hold beginnings of E.164 numbers, e.g. +1212")
        return value

    @field_validator("on_human", "on_voicemail")
    @classmethod
    def _action_shape(cls, value: str) -> str:
        if value in ("nothing", ActionKind.HANG_UP) or is_web_url(value):
            return value
        raise ValueError("must be nothing, hang_up, or the http(s) URL of TwiML")

    @field_validator("live_next_url")
    @classmethod
    def _next_url_shape(cls, value: str | None) -> str | None:
        if value is not None and not is_web_url(value):
            raise ValueError("must be the http(s) URL of TwiML")
        return value

    @field_validator("phone_number_key")
    @classmethod
    def _key_cannot_be_guessed(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_NUMBER_KEY:
            raise ValueError(
                f"must have at least {SHORTEST_NUMBER_KEY} characters, e.g. from `openssl rand -hex 24`: "
                "whoever guesses it can try out all numbers"
            )
        return value

    @model_validator(mode="after")
    def _region_and_edge_go_together(self) -> Self:
        if (self.twilio_region is None) != (self.twilio_edge is None):
            raise ValueError("TWILIO_REGION and TWILIO_EDGE belong together: set both or neither")
        if self.twilio_region is not None and "twilio_api_url" in self.model_fields_set:
            raise ValueError("AMD_TWILIO_API_URL and TWILIO_REGION both say where Twilio's API is: set one of them")
        return self

    @model_validator(mode="after")
    def _hashing_has_a_key(self) -> Self:
        if self.phone_numbers == "hash" and self.phone_number_key is None:
            raise ValueError("AMD_PHONE_NUMBERS=hash needs AMD_PHONE_NUMBER_KEY, e.g. from `openssl rand -hex 24`")
        return self

    @model_validator(mode="after")
    def _accounts_are_complete(self) -> Self:
        if self.twilio_account_sid and not self.twilio_auth_token:
            raise ValueError(
                "TWILIO_ACCOUNT_SID is set without TWILIO_AUTH_TOKEN: callbacks are signed with that token"
            )
        if self.twilio_account_sid and (self.twilio_api_key is None) != (self.twilio_api_secret is None):
            raise ValueError("TWILIO_API_KEY and TWILIO_API_SECRET belong together: set both or neither")
        _ = self.accounts  # read the file now: a broken one must stop the start, not the first callback
        return self

    @cached_property
    def accounts(self) -> dict[AccountSid, Account]:
        """Every account we know, by SID."""
        known = [] if self.accounts_file is None else read_accounts(self.accounts_file)
        if self.twilio_account_sid:
            values = {
                "account_sid": self.twilio_account_sid,
                "auth_tokens": self.twilio_auth_token,
                "api_key": self.twilio_api_key,
                "api_secret": self.twilio_api_secret,
                "channels": self.channels,
            }
            known.append(make_account(values, "the account in TWILIO_ACCOUNT_SID and its companions: "))
        by_sid: dict[AccountSid, Account] = {}
        for account in known:
            if account.account_sid in by_sid:
                raise ValueError(
                    f"account {account.account_sid} is given twice, in AMD_ACCOUNTS_FILE or there and by "
                    "TWILIO_ACCOUNT_SID: write one table with all its tokens"
                )
            by_sid[account.account_sid] = account
        return by_sid

    @property
    def api_origin(self) -> str:
        """Scheme, host and port of Twilio's API: as configured, or of region and edge."""
        if self.twilio_region is None:
            return self.twilio_api_url
        return f"https://api.{self.twilio_edge}.{self.twilio_region}.twilio.com"

    @property
    def actions(self) -> dict[Label, Action]:
        """What is to be done after a verdict, by its label; a label that is not there asks for nothing."""
        wanted = {Label.HUMAN: self.on_human, Label.VOICEMAIL: self.on_voicemail}
        return {label: _action(value) for label, value in wanted.items() if value != "nothing"}


def _action(value: str) -> Action:
    return Action(ActionKind.HANG_UP) if value == ActionKind.HANG_UP else Action(ActionKind.REDIRECT, value)
