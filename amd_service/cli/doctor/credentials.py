"""Where Twilio's API is, the accounts, and what Twilio says to their credentials."""

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import urlsplit

from amd_service.cli.doctor.finding import Finding, Health
from amd_service.errors import RequestRefused, TwilioUnavailable
from amd_service.settings import Account, Settings
from amd_service.twilio.recordings import http_client
from amd_service.twilio.rest import RestClient

_TOKEN = re.compile(r"[0-9a-f]{32}")
_API_KEY = re.compile(r"SK[0-9a-fA-F]{32}")

_REGION_OR_EDGE_ALONE = re.compile(r"api\.[a-z0-9-]+\.twilio\.com")


def check_api_origin(settings: Settings) -> Finding:
    """Whether requests go to Twilio at all."""
    check, url = "Twilio's API", urlsplit(settings.api_origin)
    host = url.hostname or ""
    if url.scheme != "https" or not host.endswith(".twilio.com"):
        cure = "is not Twilio's; a stand-in? Unset AMD_TWILIO_API_URL for real calls"
        return Finding(check, Health.WARN, f"{settings.api_origin} {cure}")
    if _REGION_OR_EDGE_ALONE.fullmatch(host):
        cure = "names a region or an edge alone, which Twilio does not serve"
        both = "instead of AMD_TWILIO_API_URL set TWILIO_REGION and TWILIO_EDGE, e.g. ie1 and dublin"
        return Finding(check, Health.WARN, f"{host} {cure}: {both}")
    return Finding(check, Health.OK, host)


async def check_accounts(settings: Settings) -> list[Finding]:
    """The credentials of each account, all tried at once with a request that changes nothing."""
    if not settings.accounts:
        cure = "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or AMD_ACCOUNTS_FILE; every callback is refused"
        return [Finding("credentials", Health.FAIL, cure)]
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(http_client(settings))
        except (OSError, ValueError, ImportError) as error:
            cure = "check the certificates (SSL_CERT_FILE) and proxies (HTTPS_PROXY) of the environment"
            return [Finding("credentials", Health.FAIL, f"nothing can be asked of Twilio: {error}; {cure}")]
        rest = RestClient(client, settings)
        return await asyncio.gather(*(_tried(account, rest) for account in settings.accounts.values()))


async def _tried(account: Account, rest: RestClient) -> Finding:
    looks = _looks(account)
    try:
        await rest.check_credentials(account)
    except TwilioUnavailable as error:
        return replace(looks, health=Health.WARN, text=f"{looks.text}; not tried: {error}")
    except RequestRefused as error:
        return replace(looks, health=Health.FAIL, text=str(error))
    if account.api_key is None:
        return replace(looks, text=f"{looks.text}; the token is accepted by Twilio")
    return replace(looks, text=f"{looks.text}; the key is accepted by Twilio, callbacks will try the token")


def _looks(account: Account) -> Finding:
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
