"""A request to place a call, with every rule that does not depend on the deployment."""

import re
from typing import Self
from xml.parsers import expat

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails, PydanticCustomError

from amd_service.errors import RequestRefused
from amd_service.settings import is_web_url

# Twilio's OpenAPI description (CreateCall) sets this limit.
MAX_TWIML = 4000
# The description has no limit for a URL. A longer one is a mistake.
MAX_URL = 4000
# + and 7 to 15 digits.
E164 = r"\+[1-9][0-9]{6,14}"
TRACKS = ("inbound", "both")
# The maximum is Twilio's. Nobody reaches a phone in less than the minimum.
MIN_RING_S, MAX_RING_S = 5, 600

MOST_FAULTS = 10

# Type of the errors that the validators below raise. Their message is a whole sentence.
_RULE_BROKEN = "rule_broken"

_NUMBER: JsonDict = {"pattern": f"^{E164}$"}


def _broken(message: str) -> PydanticCustomError:
    return PydanticCustomError(_RULE_BROKEN, "{sentence}", {"sentence": message})


def _check_xml(twiml: str) -> None:
    """Raise an error for invalid XML. Twilio accepts it and then hangs up on the person who answered."""
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(twiml.encode(errors="surrogatepass"), True)
    except expat.ExpatError as error:
        raise _broken(f"`twiml` is not well-formed XML: {error}") from error


def _refuse_doctype(*_declared: object) -> None:
    # A DOCTYPE can declare entities, and a few nested ones expand without bounds.
    raise _broken("`twiml` has no DOCTYPE")


class CallRequest(BaseModel):
    """A call to place. It plays the TwiML of `url` or `twiml`; without both and with AMD_LIVE on, our own TwiML."""

    # In JSON the calling number is `from`; Python code uses the field's name.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_by_name=True, validate_by_alias=True)

    to: str = Field(description="Who is called; begins with one of AMD_DIAL_PREFIXES.", json_schema_extra=_NUMBER)
    from_number: str = Field(validation_alias="from", description="A number of the account.", json_schema_extra=_NUMBER)
    url: str | None = Field(
        None,
        description="Where Twilio asks for TwiML.",
        json_schema_extra={"pattern": "^https?://", "maxLength": MAX_URL},
    )
    twiml: str | None = Field(
        None, description="The TwiML itself.", json_schema_extra={"minLength": 1, "maxLength": MAX_TWIML}
    )
    account_sid: str | None = Field(None, description="The account that places it, where several are configured.")
    track: str = Field(
        "inbound",
        description="What is recorded: the called party alone, or both sides in two channels.",
        json_schema_extra={"enum": list(TRACKS)},
    )
    twilio_amd: bool = Field(False, description="Have Twilio's own detection run beside ours, at its price.")
    ring_s: int = Field(
        60,
        description="For how long it may ring.",
        json_schema_extra={"minimum": MIN_RING_S, "maximum": MAX_RING_S},
    )

    @field_validator("to", "from_number")
    @classmethod
    def _is_e164(cls, number: str, info: ValidationInfo) -> str:
        if re.fullmatch(E164, number) is None:
            name = "to" if info.field_name == "to" else "from"
            raise _broken(f"`{name}` is a number in E.164 format: + and 7 to 15 digits, e.g. +15005550006")
        return number

    @field_validator("url")
    @classmethod
    def _is_web_url(cls, url: str | None) -> str | None:
        if url is not None and not (is_web_url(url) and len(url) <= MAX_URL):
            raise _broken(f"`url` is the http(s) URL of TwiML, of at most {MAX_URL} characters")
        return url

    @field_validator("twiml")
    @classmethod
    def _is_xml(cls, twiml: str | None) -> str | None:
        if twiml is None:
            return None
        if not 1 <= len(twiml) <= MAX_TWIML:
            raise _broken(f"`twiml` has 1 to {MAX_TWIML} characters; put longer TwiML behind a `url`")
        _check_xml(twiml)
        return twiml

    @field_validator("track")
    @classmethod
    def _is_track(cls, track: str) -> str:
        if track not in TRACKS:
            raise _broken(f"`track` is {' or '.join(TRACKS)}")
        return track

    @field_validator("ring_s")
    @classmethod
    def _is_ring_time(cls, ring_s: int) -> int:
        if not MIN_RING_S <= ring_s <= MAX_RING_S:
            raise _broken(f"`ring_s` is {MIN_RING_S} to {MAX_RING_S} seconds")
        return ring_s

    @model_validator(mode="after")
    def _plays_one_thing(self) -> Self:
        if self.url is not None and self.twiml is not None:
            raise _broken("say what the call plays: one of `url` and `twiml`, and not both")
        return self


def make_call_request(**fields: object) -> CallRequest:
    """A call request from fields by their Python names. Raises RequestRefused that names each wrong field."""
    try:
        return CallRequest.model_validate(fields, by_alias=False, by_name=True)
    except ValidationError as error:
        raise RequestRefused(describe_faults(error.errors(include_url=False, include_input=False))) from error


def describe_faults(faults: list[ErrorDetails]) -> str:
    """The faults of a call request as one line, at most ten of them."""
    return "; ".join(_describe(fault) for fault in faults[:MOST_FAULTS])


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
