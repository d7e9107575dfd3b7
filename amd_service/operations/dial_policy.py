"""Rules for placing calls: accounts, numbers, rate, idempotency keys."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amd_service.domain import AccountSid
from amd_service.errors import NotAllowed, RequestRefused
from amd_service.settings import Account
from amd_service.twilio.call_request import CallRequest

_KEY = re.compile(r"[ -~]{1,255}")


@dataclass(frozen=True, slots=True)
class DialPolicy:
    """Rules for placing calls, from the settings.

    `prefixes`: prefixes of numbers that may be called (AMD_DIAL_PREFIXES). `per_minute`: maximum number of calls that
    all processes together may place in a minute. `has_public_url`: whether AMD_PUBLIC_URL is set. Twilio's callbacks
    need this URL. `stream_url`: URL of our TwiML that starts a stream, for requests without `url` and `twiml`; None if
    AMD_LIVE is off.
    """

    accounts: Mapping[AccountSid, Account]
    prefixes: Sequence[str]
    per_minute: int
    has_public_url: bool
    stream_url: str | None

    def choose_account(self, account_sid: str | None) -> Account:
        """Returns the account with this SID. Without a SID, returns the only configured account.

        Raises NotAllowed if no account is configured, RequestRefused if the account is unknown or ambiguous.
        """
        if not self.accounts:
            raise NotAllowed(
                "no account is configured: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or AMD_ACCOUNTS_FILE"
            )
        if account_sid is None and len(self.accounts) > 1:
            raise RequestRefused(f"{len(self.accounts)} accounts are configured: set `account_sid`")
        if account_sid is None:
            return next(iter(self.accounts.values()))
        if account_sid not in self.accounts:
            raise RequestRefused(
                f"account {account_sid} is not configured: see TWILIO_ACCOUNT_SID and AMD_ACCOUNTS_FILE"
            )
        return self.accounts[AccountSid(account_sid)]

    def with_default_twiml(self, request: CallRequest) -> CallRequest:
        """Returns the request with default TwiML.

        If AMD_LIVE is on and the request has no `url` and no `twiml`: sets `url` to the URL of our TwiML, with campaign
        and tags.
        """
        if self.stream_url is None or request.url is not None or request.twiml is not None:
            return request
        return request.model_copy(update={"url": request.tagging.add_to(self.stream_url)})

    def require_allowed(self, request: CallRequest) -> None:
        """Raises NotAllowed if the settings forbid the call, RequestRefused if the request has no TwiML."""
        if not self.prefixes:
            raise NotAllowed(
                "placing calls is off: set AMD_DIAL_PREFIXES to the prefixes of numbers that may be called"
            )
        if not request.to.startswith(tuple(self.prefixes)):
            raise NotAllowed("`to` begins with none of AMD_DIAL_PREFIXES: call another number, or add its prefix")
        if not self.has_public_url:
            raise NotAllowed("AMD_PUBLIC_URL is not set: Twilio needs it to send callbacks about the call")
        if request.url is None and request.twiml is None:
            raise RequestRefused("the request has no TwiML: give either `url` or `twiml`")


def require_valid_key(key: str) -> None:
    """Raises RequestRefused for an invalid idempotency key."""
    if _KEY.fullmatch(key) is None:
        raise RequestRefused("an idempotency key has 1 to 255 printable ASCII characters")
