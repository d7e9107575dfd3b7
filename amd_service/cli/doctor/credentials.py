"""Checks the origin of Twilio's API and the credentials of each account."""

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import urlsplit

from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.errors import ConfigurationError, RequestRefused, TwilioUnavailable
from amd_service.settings import Account, Settings
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient

_TOKEN = re.compile(r"[0-9a-f]{32}")
_API_KEY = re.compile(r"SK[0-9a-fA-F]{32}")

_REGION_OR_EDGE_ALONE = re.compile(r"api\.[a-z0-9-]+\.twilio\.com")


def check_api_origin(settings: Settings) -> CheckResult:
    """Check whether REST requests go to Twilio."""
    check, url = "Twilio's API", urlsplit(settings.api_origin)
    host = url.hostname or ""
    if url.scheme != "https" or not host.endswith(".twilio.com"):
        cure = "is not a host of Twilio. Unset AMD_TWILIO_API_URL for real calls"
        return CheckResult(check, Health.WARN, f"{settings.api_origin} {cure}")
    if _REGION_OR_EDGE_ALONE.fullmatch(host):
        cure = "contains a region or an edge but not both; Twilio has no such host"
        both = "instead of AMD_TWILIO_API_URL set TWILIO_REGION and TWILIO_EDGE, e.g. ie1 and dublin"
        return CheckResult(check, Health.WARN, f"{host} {cure}; {both}")
    return CheckResult(check, Health.OK, host)


async def check_accounts(settings: Settings) -> list[CheckResult]:
    """Test the credentials of all accounts concurrently. The requests change nothing."""
    if not settings.accounts:
        cure = (
            "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or AMD_ACCOUNTS_FILE; "
            "without an account the service refuses every callback"
        )
        return [CheckResult("credentials", Health.FAIL, cure)]
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(http_client(settings))
        except ConfigurationError as error:
            return [CheckResult("credentials", Health.FAIL, f"no request can be sent to Twilio: {error}")]
        rest = RestClient(client, settings)
        return await asyncio.gather(*(_try_credentials(account, rest) for account in settings.accounts.values()))


async def _try_credentials(account: Account, rest: RestClient) -> CheckResult:
    result = _check_format(account)
    try:
        await rest.check_credentials(account)
    except TwilioUnavailable as error:
        return replace(result, health=Health.WARN, text=f"{result.text}; not tried: {error}")
    except RequestRefused as error:
        return replace(result, health=Health.FAIL, text=str(error))
    if account.api_key is None:
        return replace(result, text=f"{result.text}; Twilio accepts the token")
    return replace(result, text=f"{result.text}; Twilio accepts the key; the first callback will test the token")


def _check_format(account: Account) -> CheckResult:
    check = f"credentials of {account.account_sid[:6]}…"
    if not all(_TOKEN.fullmatch(token.get_secret_value()) for token in account.auth_tokens):
        text = "an auth token usually has 32 lower-case hexadecimal digits; check that it is complete"
        return CheckResult(check, Health.WARN, text)
    if account.api_key is None:
        text = "recordings are fetched with the auth token; prefer an API key, which can be revoked separately"
        return CheckResult(check, Health.WARN, text)
    if not _API_KEY.fullmatch(account.api_key):
        return CheckResult(check, Health.WARN, "an API key is SK followed by 32 hexadecimal digits")
    return CheckResult(check, Health.OK, f"{len(account.auth_tokens)} token(s), API key {account.api_key[:6]}…")
