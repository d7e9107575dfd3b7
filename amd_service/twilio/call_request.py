"""The call request, with all validation rules that do not depend on settings."""

import re
from typing import Self
from xml.parsers import expat

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails, PydanticCustomError

from amd_service.domain import MAX_TAGS, NAME, NAME_RULE, Tagging, is_name, sid_pattern
from amd_service.errors import RequestRefused
from amd_service.settings import is_web_url

# Maximum characters of `twiml`. The limit is from Twilio's OpenAPI description (operation CreateCall).
MAX_TWIML = 4000
# Maximum characters of `url`. Twilio documents no limit. A longer URL is a mistake.
MAX_URL = 4000
# A plus sign and 7 to 15 digits.
E164 = r"\+[1-9][0-9]{6,14}"
TRACKS = ("inbound", "both")
# Twilio allows at most 600 seconds. A person cannot answer the phone in less than 5 seconds.
MIN_RING_S, MAX_RING_S = 5, 600

MAX_FAULTS = 10

# Error type of the validators below. `_describe` shows the message of such an error unchanged.
_RULE_BROKEN = "rule_broken"

_NUMBER: JsonDict = {"pattern": f"^{E164}$"}


def _broken(message: str) -> PydanticCustomError:
    return PydanticCustomError(_RULE_BROKEN, "{sentence}", {"sentence": message})


def _check_xml(twiml: str) -> None:
    """Refuse invalid XML, because Twilio would place the call and then hang up on the person who answers."""
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(twiml.encode(errors="surrogatepass"), True)
    except expat.ExpatError as error:
        raise _broken(f"`twiml` is not well-formed XML: {error}") from error


def _refuse_doctype(*_declared: object) -> None:
    # A DOCTYPE can declare entities. A few nested entities can expand to gigabytes of text.
    raise _broken("`twiml` must not have a DOCTYPE")


class CallRequest(BaseModel):
    """A call to place, which plays the TwiML of `url` or of `twiml`.

    If both are absent, the call plays the TwiML of this service. This requires AMD_LIVE=true.
    """

    # The field of the calling number has the name `from` in JSON and `from_number` in Python.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_by_name=True, validate_by_alias=True)

    to: str = Field(
        description="Number to call. The number must begin with one of AMD_DIAL_PREFIXES.", json_schema_extra=_NUMBER
    )
    from_number: str = Field(
        validation_alias="from",
        description="Calling number. The number must belong to the account.",
        json_schema_extra=_NUMBER,
    )
    url: str | None = Field(
        None,
        description="URL at which Twilio fetches the TwiML of the call.",
        json_schema_extra={"pattern": "^https?://", "maxLength": MAX_URL},
    )
    twiml: str | None = Field(
        None,
        description="TwiML of the call, as an alternative to `url`.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_TWIML},
    )
    account_sid: str | None = Field(
        None,
        description="SID of the account that places the call. Required if several accounts are configured.",
        json_schema_extra={"pattern": sid_pattern("AC")},
    )
    track: str = Field(
        "inbound",
        description="Audio to record: only the called party (`inbound`), or both parties in two channels (`both`).",
        json_schema_extra={"enum": list(TRACKS)},
    )
    twilio_amd: bool = Field(
        False, description="Also run Twilio's answering-machine detection. Twilio charges for this detection."
    )
    ring_s: int = Field(
        60,
        description="Maximum seconds that the phone rings.",
        json_schema_extra={"minimum": MIN_RING_S, "maximum": MAX_RING_S},
    )

    campaign: str | None = Field(
        None,
        description="Campaign of the call.",
        json_schema_extra={"pattern": f"^{NAME}$"},
    )
    tags: tuple[str, ...] = Field(
        (),
        description="Tags of the call. They are stored in alphabetical order.",
        json_schema_extra={"maxItems": MAX_TAGS, "items": {"type": "string", "pattern": f"^{NAME}$"}},
    )

    @property
    def tagging(self) -> Tagging:
        """Campaign and tags for the callback URLs of the call."""
        return Tagging.of(self.campaign, self.tags)

    @field_validator("campaign")
    @classmethod
    def _is_campaign(cls, campaign: str | None) -> str | None:
        if campaign is not None and not is_name(campaign):
            raise _broken(f"`campaign` {NAME_RULE}")
        return campaign

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(is_name, tags)):
            raise _broken(f"each of `tags` {NAME_RULE}")
        distinct = tuple(sorted(set(tags)))
        if len(distinct) > MAX_TAGS:
            raise _broken(f"`tags` must have at most {MAX_TAGS} different tags; it has {len(distinct)}")
        return distinct

    @field_validator("to", "from_number")
    @classmethod
    def _is_e164(cls, number: str, info: ValidationInfo) -> str:
        if re.fullmatch(E164, number) is None:
            name = "to" if info.field_name == "to" else "from"
            raise _broken(f"`{name}` must be a number in E.164 format: + and 7 to 15 digits, e.g. +15005550006")
        return number

    @field_validator("url")
    @classmethod
    def _is_web_url(cls, url: str | None) -> str | None:
        if url is not None and not (is_web_url(url) and len(url) <= MAX_URL):
            raise _broken(f"`url` must be the http(s) URL of TwiML, with at most {MAX_URL} characters")
        return url

    @field_validator("twiml")
    @classmethod
    def _is_xml(cls, twiml: str | None) -> str | None:
        if twiml is None:
            return None
        if not 1 <= len(twiml) <= MAX_TWIML:
            raise _broken(f"`twiml` must have 1 to {MAX_TWIML} characters; for longer TwiML use `url`")
        _check_xml(twiml)
        return twiml

    @field_validator("track")
    @classmethod
    def _is_track(cls, track: str) -> str:
        if track not in TRACKS:
            raise _broken(f"`track` must be {' or '.join(TRACKS)}")
        return track

    @field_validator("ring_s")
    @classmethod
    def _is_ring_time(cls, ring_s: int) -> int:
        if not MIN_RING_S <= ring_s <= MAX_RING_S:
            raise _broken(f"`ring_s` must be {MIN_RING_S} to {MAX_RING_S} seconds")
        return ring_s

    @model_validator(mode="after")
    def _plays_one_thing(self) -> Self:
        if self.url is not None and self.twiml is not None:
            raise _broken("send either `url` or `twiml`, not both")
        return self


def make_call_request(**fields: object) -> CallRequest:
    """Build a call request from fields by their Python names. Raises RequestRefused, which names each invalid field."""
    try:
        return CallRequest.model_validate(fields, by_alias=False, by_name=True)
    except ValidationError as error:
        raise RequestRefused(describe_faults(error.errors(include_url=False, include_input=False))) from error


def describe_faults(faults: list[ErrorDetails]) -> str:
    """Describe the first ten faults of a call request in one line."""
    return "; ".join(_describe(fault) for fault in faults[:MAX_FAULTS])


def _describe(fault: ErrorDetails) -> str:
    field = ".".join(map(str, fault["loc"]))[:80]
    if fault["type"] == "extra_forbidden":
        return f"`{field}` is not a field of a call request"
    if fault["type"] == "missing":
        return f"`{field}` is missing"
    if fault["msg"].startswith("Input should be "):
        return (
            f"{f'`{field}`' if field else 'the call request'} must be {fault['msg'].removeprefix('Input should be ')}"
        )
    return fault["msg"] if fault["type"] == _RULE_BROKEN or not field else f"`{field}`: {fault['msg']}"
