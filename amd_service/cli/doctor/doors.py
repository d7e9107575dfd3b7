"""Names of settings, and the doors: where Twilio finds us, and who else may ask."""

import re
from urllib.parse import urlsplit

from amd_service.cli.doctor.finding import Finding, Health
from amd_service.settings import Settings
from amd_service.settings.unknown_names import unknown_name_warnings

_CALLBACK_PATH = re.compile(r"/twilio/(status|recording|amd|stream\.xml|media)/?$")

# 16 hex digits are 64 bits, which nobody tries out over a network.
SHORTEST_API_KEY = 16


def check_names() -> Finding:
    """Settings whose names nobody reads."""
    wrong = unknown_name_warnings()
    return Finding("settings", Health.WARN if wrong else Health.OK, "; ".join(wrong) or "readable")


def check_public_url(settings: Settings) -> Finding:
    """Whether Twilio can call what it is given."""
    check = "public URL"
    if settings.public_url is None:
        return Finding(check, Health.FAIL, "set AMD_PUBLIC_URL to the base URL Twilio calls; every callback is refused")
    if not settings.is_published:
        return Finding(check, Health.WARN, f"{settings.public_url} is loopback: Twilio cannot reach it")
    url = urlsplit(settings.public_url)
    if "_" in (url.hostname or ""):
        cure = "its host name has an underscore, so Twilio calls nothing there (warning 13256): use another name"
        return Finding(check, Health.FAIL, f"{settings.public_url}: {cure}")
    if pasted := _CALLBACK_PATH.search(url.path):
        base = url._replace(path=url.path[: pasted.start()]).geturl()
        cure = f"ends in a callback's path, which is added to it again; set AMD_PUBLIC_URL={base}"
        return Finding(check, Health.WARN, f"{settings.public_url} {cure}")
    if url.scheme != "https":
        return Finding(check, Health.WARN, f"{settings.public_url} is not https: callbacks hold phone numbers")
    urls = " and ".join(settings.callback_url(path) for path in ("/twilio/status", "/twilio/recording"))
    return Finding(check, Health.OK, f"give Twilio {urls}")


def check_api_keys(settings: Settings) -> Finding:
    """Who may ask, and whether anybody can."""
    check = "API keys"
    short = sum(len(key.get_secret_value()) < SHORTEST_API_KEY for key in settings.api_keys)
    if short:
        cure = f"shorter than {SHORTEST_API_KEY} characters, which can be guessed; make one with `openssl rand -hex 24`"
        return Finding(check, Health.WARN, f"{short} of {len(settings.api_keys)} {cure}")
    if settings.api_keys:
        return Finding(check, Health.OK, f"{len(settings.api_keys)} set")
    if settings.is_local_only:
        return Finding(check, Health.OK, "none: the API answers direct requests from this machine only")
    if settings.is_published:
        return Finding(check, Health.FAIL, "none, and AMD_PUBLIC_URL is public: the API answers 403; set AMD_API_KEYS")
    return Finding(
        check, Health.WARN, f"none, and bound to {settings.host}: /predict and /api answer 403; set AMD_API_KEYS"
    )
