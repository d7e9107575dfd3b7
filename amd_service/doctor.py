"""Checks an installation from the settings to the model, and says what to do about each thing found."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape

from amd_service.calls import call_log
from amd_service.calls.database import Database, SchemaState
from amd_service.calls.embedded import check_embedded
from amd_service.detector.detector import Detector
from amd_service.errors import AmdError, DatabaseUnavailable
from amd_service.settings import Account, Settings
from amd_service.settings.unknown import unread
from amd_service.telemetry import Metrics

MODEL_TIMEOUT_S = 600.0

STREAM_TWIML = "/twilio/stream.xml"

_TOKEN = re.compile(r"[0-9a-f]{32}")
_API_KEY = re.compile(r"SK[0-9a-fA-F]{32}")


class Health(StrEnum):
    """What a check found."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


_COLOUR = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its outcome and, unless all is well, what to do."""

    check: str
    health: Health
    text: str


async def print_findings(settings: Settings, *, as_json: bool) -> bool:
    """Print each finding as it comes; whether nothing failed."""
    console = Console()
    well = True
    async for finding in examine(settings):
        well = well and finding.health is not Health.FAIL
        if as_json:
            print(json.dumps(asdict(finding)), flush=True)  # noqa: T201 - the command's output
        else:
            line = (
                f"[{_COLOUR[finding.health]}]{finding.health:>4}[/]  [bold]{finding.check}[/]  {escape(finding.text)}"
            )
            # Wrapped at a terminal's width only: elsewhere a URL would be cut in two.
            console.print(line, soft_wrap=not console.is_terminal)
    return well


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Every check in turn, quick ones first. Raises nothing: what goes wrong is a finding."""
    yield _settings()
    yield _public_url(settings)
    for finding in _accounts(settings):
        yield finding
    yield _api_keys(settings)
    yield _dialling(settings)
    yield _live(settings)
    yield _actions(settings)
    yield _lost_callbacks(settings)
    yield _retention(settings)
    async for finding in _database(settings):
        yield finding
    yield await _model(settings)


def _settings() -> Finding:
    wrong = unread()
    return Finding("settings", Health.WARN if wrong else Health.OK, "; ".join(wrong) or "readable")


def _public_url(settings: Settings) -> Finding:
    check = "public URL"
    if settings.public_url is None:
        return Finding(check, Health.FAIL, "set AMD_PUBLIC_URL to the base URL Twilio calls; every callback is refused")
    if not settings.is_published:
        return Finding(check, Health.WARN, f"{settings.public_url} is loopback: Twilio cannot reach it")
    url = urlsplit(settings.public_url)
    if "_" in (url.hostname or ""):
        cure = "its host name has an underscore, so Twilio calls nothing there (warning 13256): use another name"
        return Finding(check, Health.FAIL, f"{settings.public_url}: {cure}")
    if url.scheme != "https":
        return Finding(check, Health.WARN, f"{settings.public_url} is not https: callbacks hold phone numbers")
    urls = " and ".join(settings.callback_url(path) for path in ("/twilio/status", "/twilio/recording"))
    return Finding(check, Health.OK, f"give Twilio {urls}")


def _accounts(settings: Settings) -> list[Finding]:
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


def _api_keys(settings: Settings) -> Finding:
    check = "API keys"
    if settings.api_keys:
        return Finding(check, Health.OK, f"{len(settings.api_keys)} set")
    if settings.is_private:
        return Finding(check, Health.OK, "none: the API answers direct requests from this machine only")
    if settings.is_published:
        return Finding(check, Health.FAIL, "none, and AMD_PUBLIC_URL is public: the API answers 403; set AMD_API_KEYS")
    return Finding(
        check, Health.WARN, f"none, and bound to {settings.host}: /predict and /api answer 403; set AMD_API_KEYS"
    )


def _dialling(settings: Settings) -> Finding:
    check = "placing calls"
    if not settings.dial_prefixes:
        return Finding(check, Health.OK, "no calls may be placed: AMD_DIAL_PREFIXES is empty")
    wide = [prefix for prefix in settings.dial_prefixes if len(prefix) == len("+1")]
    if wide:
        text = (
            f"AMD_DIAL_PREFIXES allows all of {', '.join(wide)}: premium-rate numbers too, and many countries "
            "(+1 covers the Caribbean, a favourite of toll fraud); name area codes, e.g. +1212"
        )
        return Finding(check, Health.WARN, text)
    allowed = f"numbers beginning with {', '.join(settings.dial_prefixes)}, {settings.dial_per_minute} a minute"
    return Finding(
        check, Health.OK, allowed if settings.api_keys else f"{allowed}; over the API not without AMD_API_KEYS"
    )


def _live(settings: Settings) -> Finding:
    check = "live"
    if not settings.live:
        return Finding(check, Health.OK, "off: recordings are judged, after the call")
    if settings.public_url is None:
        return Finding(check, Health.FAIL, "AMD_LIVE needs AMD_PUBLIC_URL: it is where Twilio opens its streams")
    if urlsplit(settings.public_url).scheme != "https":
        return Finding(check, Health.WARN, "AMD_LIVE needs an https AMD_PUBLIC_URL: Twilio opens streams to wss only")
    if urlsplit(settings.live_next_url or "").scheme == "http":
        return Finding(check, Health.WARN, "AMD_LIVE_NEXT_URL is not https: Twilio's request holds phone numbers")
    twiml = f"give calls the TwiML of {settings.callback_url(STREAM_TWIML)}"
    return Finding(check, Health.OK, f"up to {settings.live_streams} streams a process; {twiml}")


def _actions(settings: Settings) -> Finding:
    check = "actions"
    wanted = settings.actions
    if not wanted:
        return Finding(check, Health.OK, "nothing is done with a call after its verdict")
    if not settings.live:
        cure = (
            "AMD_ON_HUMAN and AMD_ON_VOICEMAIL need AMD_LIVE=true: recordings are judged after the call, when only a "
            "call that outlives its recording can still be acted on; all others are refused"
        )
        return Finding(check, Health.WARN, cure)
    plain = [label for label, action in wanted.items() if urlsplit(action.url or "").scheme == "http"]
    if plain:
        names = " and ".join(f"AMD_ON_{label.upper()}" for label in plain)
        return Finding(check, Health.WARN, f"the URL in {names} is not https: Twilio's request holds phone numbers")
    return Finding(check, Health.OK, ", ".join(f"{label}: {action.kind}" for label, action in wanted.items()))


def _lost_callbacks(settings: Settings) -> Finding:
    check = "lost callbacks"
    if settings.reconcile_every_s:
        return Finding(
            check, Health.OK, f"Twilio is asked every {settings.reconcile_every_s:g} s for what they would have told"
        )
    cure = "a call whose end or recording nobody told of waits for ever, unless you run `amd-service reconcile`"
    return Finding(check, Health.WARN, f"AMD_RECONCILE_EVERY_S=0: {cure}")


def _retention(settings: Settings) -> Finding:
    copies = "kept (and paid for) until you delete them"
    if settings.delete_recordings:
        copies = "deleted after the verdict, those judged before this was set as well"
    days = settings.callback_days
    callbacks = "kept" if days is None else f"without their parameters after {days} day{'' if days == 1 else 's'}"
    text = f"recordings at Twilio: {copies}; callbacks: {callbacks}; phone numbers: {settings.phone_numbers}"
    return Finding("retention", Health.OK, text)


async def _database(settings: Settings) -> AsyncIterator[Finding]:
    if settings.database_url is None:
        yield await _embedded(settings)
        return
    database = Database(settings.database_url.get_secret_value(), pool_size=settings.database_pool_size)
    try:
        state = await database.schema_state()
        copies = await _copies(database) if settings.delete_recordings and state is SchemaState.CURRENT else None
    except DatabaseUnavailable as error:
        yield Finding("database", Health.FAIL, f"{error}; check AMD_DATABASE_URL and that Postgres runs")
        return
    finally:
        await database.dispose()
    yield Finding("database", Health.OK, "reachable")
    yield _schema(state)
    if copies is not None:
        yield Finding("deleting", Health.OK, f"copies at Twilio of up to {copies} recordings, which have their verdict")


async def _copies(database: Database) -> int:
    async with database.transaction() as session:
        return await call_log.count_copies(session)


def _schema(state: SchemaState) -> Finding:
    match state:
        case SchemaState.CURRENT:
            return Finding("schema", Health.OK, "current")
        case SchemaState.NEWER:
            return Finding("schema", Health.WARN, "newer than this version knows; upgrade amd-service")
        case _:
            return Finding("schema", Health.FAIL, f"{state}: run `amd-service migrate`")


async def _embedded(settings: Settings) -> Finding:
    try:
        binaries = await asyncio.to_thread(check_embedded, settings.data_dir)
    except AmdError as error:
        return Finding("database", Health.FAIL, str(error))
    text = f"embedded, in {settings.data_dir}, with the binaries in {binaries}; for production set AMD_DATABASE_URL"
    return Finding("database", Health.OK, text)


async def _model(settings: Settings) -> Finding:
    """Load the model as `serve` would; the report holds the cure where that fails."""
    try:
        async with Detector.from_settings(settings, Metrics()) as detector, asyncio.timeout(MODEL_TIMEOUT_S):
            await detector.wait_ready_or_raise()
    except (AmdError, TimeoutError) as error:
        return Finding("model", Health.FAIL, f"{settings.model}: {error}")
    if settings.model == "demo":
        return Finding("model", Health.WARN, "demo: trained on synthetic speech, never for real calls; unset AMD_MODEL")
    return Finding("model", Health.OK, f"{settings.model} loads and answers")
