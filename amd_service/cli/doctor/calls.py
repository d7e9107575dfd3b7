"""What is done with calls: placing them, listening, acting, asking again, forgetting."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from amd_service.cli.doctor.finding import Finding, Health
from amd_service.settings import RETRY_OVERRIDES, Settings

STREAM_TWIML = "/twilio/stream.xml"

_RETRIES = re.compile(r"(^|&)r[ctp]=")


def check_dialling(settings: Settings) -> Finding:
    """Which numbers may be called."""
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


def check_live(settings: Settings) -> Finding:
    """Whether calls can be listened to while they are up."""
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
    note = _without_retries({"AMD_LIVE_NEXT_URL": settings.live_next_url})
    return Finding(check, Health.OK, f"up to {settings.live_streams} streams a process; {twiml}{note}")


def check_actions(settings: Settings) -> Finding:
    """What is done after a verdict, and whether it can be."""
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
    note = _without_retries({f"AMD_ON_{label.upper()}": action.url for label, action in wanted.items()})
    text = ", ".join(f"{label}: {action.kind}" for label, action in wanted.items())
    return Finding(check, Health.OK, f"{text}{note}")


def _without_retries(urls: Mapping[str, str | None]) -> str:
    """A note on the settings whose URL does not say how often Twilio is to try it."""
    names = [name for name, url in urls.items() if url and not _RETRIES.search(urlsplit(url).fragment)]
    cure = f"without {RETRY_OVERRIDES} at its end Twilio tries it again after a failed connect alone"
    return f"; {' and '.join(names)}: {cure}" if names else ""


def check_lost_callbacks(settings: Settings) -> Finding:
    """Whether Twilio is asked for what it should have told."""
    check = "lost callbacks"
    if settings.reconcile_every_s:
        return Finding(
            check, Health.OK, f"Twilio is asked every {settings.reconcile_every_s:g} s for what they would have told"
        )
    cure = "a call whose end or recording nobody told of waits for ever, unless you run `amd-service reconcile`"
    return Finding(check, Health.WARN, f"AMD_RECONCILE_EVERY_S=0: {cure}")


def check_retention(settings: Settings) -> Finding:
    """What is kept, and what is forgotten."""
    copies = "kept (and paid for) until you delete them"
    if settings.delete_recordings:
        copies = "deleted after the verdict, those judged before this was set as well"
    days = settings.callback_days
    callbacks = "kept" if days is None else f"without their parameters after {days} day{'' if days == 1 else 's'}"
    text = f"recordings at Twilio: {copies}; callbacks: {callbacks}; phone numbers: {settings.phone_numbers}"
    return Finding("retention", Health.OK, text)
