"""What may be asked of Twilio when a call is to be placed: by whom, to whom, with what."""

import re
from collections.abc import Mapping
from xml.parsers import expat

from amd_service.domain import AccountSid
from amd_service.errors import NotAllowed, RequestRefused
from amd_service.settings import Account, Settings, is_web_url
from amd_service.twilio.rest import CallRequest

# Twilio's OpenAPI description (CreateCall): at most so many characters.
MAX_TWIML = 4000
# Its limit for a URL is not told there; one that is longer is a mistake.
MAX_URL = 4000
# + and 7 to 15 digits.
E164 = r"\+[1-9][0-9]{6,14}"
TRACKS = ("inbound", "both")
# Twilio's own limit is the upper one; within less than the lower one nobody gets to a telephone.
MIN_RING_S, MAX_RING_S = 5, 600

_KEY = re.compile(r"[ -~]{1,255}")


def choose_account(accounts: Mapping[AccountSid, Account], account_sid: str | None) -> Account:
    """The account that places a call: the one named, or the only one. Raises NotAllowed and RequestRefused."""
    if not accounts:
        raise NotAllowed("no account places calls: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or AMD_ACCOUNTS_FILE")
    if account_sid is None and len(accounts) > 1:
        raise RequestRefused(f"{len(accounts)} accounts are configured: say which one places the call")
    if account_sid is None:
        return next(iter(accounts.values()))
    if account_sid not in accounts:
        raise RequestRefused(f"account {account_sid} is not configured: see TWILIO_ACCOUNT_SID and AMD_ACCOUNTS_FILE")
    return accounts[AccountSid(account_sid)]


def check_call_request(order: CallRequest, settings: Settings) -> None:
    """Raises NotAllowed where the deployment's settings forbid it, RequestRefused where no call could come of it."""
    for name, number in (("to", order.to), ("from", order.from_number)):
        if re.fullmatch(E164, number) is None:
            raise RequestRefused(f"`{name}` is a number in E.164 format: + and 7 to 15 digits, e.g. +15005550006")
    if not settings.dial_prefixes:
        raise NotAllowed(
            "no calls may be placed: set AMD_DIAL_PREFIXES to the beginnings of numbers that may be called"
        )
    if not order.to.startswith(tuple(settings.dial_prefixes)):
        raise NotAllowed("`to` begins with none of AMD_DIAL_PREFIXES: only such numbers may be called")
    if settings.public_url is None:
        raise NotAllowed("set AMD_PUBLIC_URL first: Twilio would have nowhere to report the call to")
    _check_contents(order)
    if order.track not in TRACKS:
        raise RequestRefused(f"`track` is {' or '.join(TRACKS)}")
    if not MIN_RING_S <= order.ring_s <= MAX_RING_S:
        raise RequestRefused(f"`ring_s` is {MIN_RING_S} to {MAX_RING_S} seconds")


def _check_contents(order: CallRequest) -> None:
    if (order.url is None) == (order.twiml is None):
        raise RequestRefused("say what the call plays: one of `url` and `twiml`, and not both")
    if order.twiml is not None and not 1 <= len(order.twiml) <= MAX_TWIML:
        raise RequestRefused(f"`twiml` has 1 to {MAX_TWIML} characters; put longer TwiML behind a `url`")
    if order.twiml is not None:
        _check_xml(order.twiml)
    if order.url is not None and not (is_web_url(order.url) and len(order.url) <= MAX_URL):
        raise RequestRefused(f"`url` is the http(s) URL of TwiML, of at most {MAX_URL} characters")


def _check_xml(twiml: str) -> None:
    """Twilio takes the order whatever it says, and hangs up on whoever has answered where it cannot read it."""
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(twiml.encode(errors="surrogatepass"), True)
    except expat.ExpatError as error:
        raise RequestRefused(f"`twiml` is not well-formed XML: {error}") from error


def _refuse_doctype(*_declared: object) -> None:
    # Entities are declared there, and a few lines of them grow without bounds.
    raise RequestRefused("`twiml` has no DOCTYPE")


def check_key(key: str) -> None:
    """Raises RequestRefused for an idempotency key that is none."""
    if _KEY.fullmatch(key) is None:
        raise RequestRefused("an idempotency key has 1 to 255 printable ASCII characters")
