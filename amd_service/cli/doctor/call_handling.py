"""Checks the settings for placing calls, live streams, actions, reconciliation and retention."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.settings import RETRY_OVERRIDES, Settings

STREAM_TWIML = "/twilio/stream.xml"

_RETRIES = re.compile(r"(^|&)r[ctp]=")


def check_placing_calls(settings: Settings) -> CheckResult:
    """Check which numbers the service may call."""
    check = "placing calls"
    if not settings.dial_prefixes:
        return CheckResult(check, Health.OK, "the service places no calls: AMD_DIAL_PREFIXES is empty")
    wide = [prefix for prefix in settings.dial_prefixes if len(prefix) == len("+1")]
    if wide:
        text = (
            f"AMD_DIAL_PREFIXES allows all numbers that begin with {', '.join(wide)}: many countries and premium-rate "
            "numbers (+1 covers the Caribbean, a frequent target of toll fraud); list area codes instead, e.g. +1212"
        )
        return CheckResult(check, Health.WARN, text)
    allowed = f"numbers beginning with {', '.join(settings.dial_prefixes)}, {settings.dial_per_minute} calls per minute"
    note = "" if settings.api_keys else "; placing calls over the API needs AMD_API_KEYS"
    return CheckResult(check, Health.OK, f"{allowed}{note}")


def check_live(settings: Settings) -> CheckResult:
    """Check whether Twilio can stream live calls to the service."""
    check = "live"
    if not settings.live:
        return CheckResult(check, Health.OK, "off: recordings are judged after the call")
    if settings.public_url is None:
        return CheckResult(
            check,
            Health.FAIL,
            "AMD_LIVE needs AMD_PUBLIC_URL: Twilio opens its streams at that URL; set AMD_PUBLIC_URL",
        )
    if urlsplit(settings.public_url).scheme != "https":
        return CheckResult(
            check, Health.WARN, "AMD_LIVE needs an https AMD_PUBLIC_URL: Twilio opens streams over wss only"
        )
    if urlsplit(settings.live_next_url or "").scheme == "http":
        return CheckResult(
            check, Health.WARN, "AMD_LIVE_NEXT_URL is not https: Twilio's request contains phone numbers"
        )
    twiml = f"start calls with the TwiML of {settings.callback_url(STREAM_TWIML)}"
    note = _without_retries({"AMD_LIVE_NEXT_URL": settings.live_next_url})
    return CheckResult(check, Health.OK, f"up to {settings.live_streams} streams per process; {twiml}{note}")


def check_actions(settings: Settings) -> CheckResult:
    """Check whether the service can perform the configured actions."""
    check = "actions"
    actions = settings.actions
    if not actions:
        return CheckResult(check, Health.OK, "none: the service changes no call after its verdict")
    plain = [label for label, action in actions.items() if urlsplit(action.url or "").scheme == "http"]
    if plain:
        names = " and ".join(f"AMD_ON_{label.upper()}" for label in plain)
        return CheckResult(
            check, Health.WARN, f"the URL in {names} is not https: Twilio's request contains phone numbers"
        )
    note = _without_retries({f"AMD_ON_{label.upper()}": action.url for label, action in actions.items()})
    text = ", ".join(f"{label}: {action.kind}" for label, action in actions.items())
    return CheckResult(check, Health.OK, f"{text}{note}")


def _without_retries(urls: Mapping[str, str | None]) -> str:
    """Return a note that names the settings whose URL has no retry overrides, or an empty string."""
    names = [name for name, url in urls.items() if url and not _RETRIES.search(urlsplit(url).fragment)]
    cure = f"without {RETRY_OVERRIDES} at the end of the URL, Twilio retries only failed connections"
    return f"; {' and '.join(names)}: {cure}" if names else ""


def check_reconciliation(settings: Settings) -> CheckResult:
    """Check whether the service asks Twilio for lost callbacks."""
    check = "lost callbacks"
    if settings.reconcile_every_s:
        return CheckResult(
            check, Health.OK, f"the service reconciles its calls with Twilio every {settings.reconcile_every_s:g} s"
        )
    cure = "a call whose callbacks are lost stays `waiting` until you run `amd-service reconcile`"
    return CheckResult(check, Health.WARN, f"AMD_RECONCILE_EVERY_S=0: {cure}")


def check_retention(settings: Settings) -> CheckResult:
    """Report which data the service keeps and which data it deletes."""
    recordings = "kept until you delete them; Twilio charges for storage"
    if settings.delete_recordings:
        recordings = "deleted after the verdict, including recordings that already have a verdict"
    days = settings.callback_days
    callbacks = "kept" if days is None else f"parameters deleted after {days} day{'' if days == 1 else 's'}"
    text = f"recordings at Twilio: {recordings}; callbacks: {callbacks}; phone numbers: {settings.phone_numbers}"
    return CheckResult("retention", Health.OK, text)
