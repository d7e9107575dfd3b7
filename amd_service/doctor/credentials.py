"""The accounts, and what we ask Twilio with."""

import re

from amd_service.doctor.finding import Finding, Health
from amd_service.settings import Account, Settings

_TOKEN = re.compile(r"[0-9a-f]{32}")
_API_KEY = re.compile(r"SK[0-9a-fA-F]{32}")


def check_accounts(settings: Settings) -> list[Finding]:
    """The credentials of each account."""
    if not settings.accounts:
        cure = "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or AMD_ACCOUNTS_FILE; every callback is refused"
        return [Finding("credentials", Health.FAIL, cure)]
    return [_account(account) for account in settings.accounts.values()]


def _account(account: Account) -> Finding:
    check = f"credentials of {account.account_sid[:6]}…"
    if not all(_TOKEN.fullmatch(token.get_secret_value()) for token in account.auth_tokens):
        return Finding(
            check, Health.WARN, "an auth token is usually 32 lower-case hexadecimal digits; is it the whole?"
        )
    if account.api_key is None:
        return Finding(
            check, Health.WARN, "recordings are fetched with the auth token; an API key can be revoked alone"
        )
    if not _API_KEY.fullmatch(account.api_key):
        return Finding(check, Health.WARN, "an API key is SK followed by 32 hexadecimal digits")
    return Finding(check, Health.OK, f"{len(account.auth_tokens)} token(s), API key {account.api_key[:6]}…")
