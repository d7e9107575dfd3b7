"""What a deployment allows when a call is to be placed: accounts, numbers, rate, idempotency keys."""

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
    """What the settings allow.

    `prefixes`: beginnings of numbers that may be called (AMD_DIAL_PREFIXES). `per_minute`: calls that all processes
    together may place in a minute. `has_public_url`: whether Twilio can report to us. `stream_url`: our own TwiML, for
    requests without `url` and `twiml`; None where AMD_LIVE is off.
    """

    accounts: Mapping[AccountSid, Account]
    prefixes: Sequence[str]
    per_minute: int
    has_public_url: bool
    stream_url: str | None

    def choose_account(self, account_sid: str | None) -> Account:
        """The account that places a call: the one named, or the only one. Raises NotAllowed and RequestRefused."""
        if not self.accounts:
            raise NotAllowed(
                "no account places calls: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or AMD_ACCOUNTS_FILE"
            )
        if account_sid is None and len(self.accounts) > 1:
            raise RequestRefused(f"{len(self.accounts)} accounts are configured: say which one places the call")
        if account_sid is None:
            return next(iter(self.accounts.values()))
        if account_sid not in self.accounts:
            raise RequestRefused(
                f"account {account_sid} is not configured: see TWILIO_ACCOUNT_SID and AMD_ACCOUNTS_FILE"
            )
        return self.accounts[AccountSid(account_sid)]

    def with_default_twiml(self, request: CallRequest) -> CallRequest:
        """The request, with our own TwiML where AMD_LIVE is on and the request says nothing about what is played."""
        if self.stream_url is None or request.url is not None or request.twiml is not None:
            return request
        return request.model_copy(update={"url": self.stream_url})

    def require_allowed(self, request: CallRequest) -> None:
        """Raises NotAllowed where the settings forbid the call, RequestRefused where it would play nothing."""
        if not self.prefixes:
            raise NotAllowed(
                "no calls may be placed: set AMD_DIAL_PREFIXES to the beginnings of numbers that may be called"
            )
        if not request.to.startswith(tuple(self.prefixes)):
            raise NotAllowed("`to` begins with none of AMD_DIAL_PREFIXES: only such numbers may be called")
        if not self.has_public_url:
            raise NotAllowed("set AMD_PUBLIC_URL first: Twilio would have nowhere to report the call to")
        if request.url is None and request.twiml is None:
            raise RequestRefused("say what the call plays: one of `url` and `twiml`, and not both")


def require_valid_key(key: str) -> None:
    """Raises RequestRefused for an invalid idempotency key."""
    if _KEY.fullmatch(key) is None:
        raise RequestRefused("an idempotency key has 1 to 255 printable ASCII characters")
