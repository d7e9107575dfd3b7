"""Checks the names of settings, the public URL and the API keys."""

import re
from urllib.parse import urlsplit

from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.settings import Settings
from amd_service.settings.unknown_names import unknown_name_warnings

_CALLBACK_PATH = re.compile(r"/twilio/(status|recording|amd|stream\.xml|media)/?$")

# 16 hex digits are 64 bits: too many to guess over a network.
SHORTEST_API_KEY = 16


def check_setting_names() -> CheckResult:
    """Check for AMD_ and TWILIO_ variables that no setting reads."""
    wrong = unknown_name_warnings()
    return CheckResult("settings", Health.WARN if wrong else Health.OK, "; ".join(wrong) or "readable")


def check_public_url(settings: Settings) -> CheckResult:
    """Check whether Twilio can reach the callback URLs."""
    check = "public URL"
    if settings.public_url is None:
        cure = "set AMD_PUBLIC_URL to the base URL that Twilio calls; until then every callback is refused"
        return CheckResult(check, Health.FAIL, cure)
    if not settings.is_published:
        return CheckResult(check, Health.WARN, f"{settings.public_url} is loopback: Twilio cannot reach it")
    url = urlsplit(settings.public_url)
    if "_" in (url.hostname or ""):
        cure = "the host name has an underscore, so Twilio sends no request (warning 13256); use another host name"
        return CheckResult(check, Health.FAIL, f"{settings.public_url}: {cure}")
    if pasted := _CALLBACK_PATH.search(url.path):
        base = url._replace(path=url.path[: pasted.start()]).geturl()
        cure = f"ends in a callback path, which the service appends again; set AMD_PUBLIC_URL={base}"
        return CheckResult(check, Health.WARN, f"{settings.public_url} {cure}")
    if url.scheme != "https":
        return CheckResult(
            check, Health.WARN, f"{settings.public_url} is not https: callbacks contain phone numbers; use https"
        )
    urls = " and ".join(settings.callback_url(path) for path in ("/twilio/status", "/twilio/recording"))
    return CheckResult(check, Health.OK, f"give Twilio {urls}")


def check_api_keys(settings: Settings) -> CheckResult:
    """Check whether API keys are set and long enough."""
    check = "API keys"
    short = sum(len(key.get_secret_value()) < SHORTEST_API_KEY for key in settings.api_keys)
    if short:
        cure = f"shorter than {SHORTEST_API_KEY} characters and can be guessed; make one with `openssl rand -hex 24`"
        return CheckResult(check, Health.WARN, f"{short} of {len(settings.api_keys)} {cure}")
    if settings.api_keys:
        return CheckResult(check, Health.OK, f"{len(settings.api_keys)} set")
    if settings.is_local_only:
        return CheckResult(check, Health.OK, "none: the API answers direct requests from this machine only")
    if settings.is_published:
        cure = "none, and AMD_PUBLIC_URL is public: the API answers 403; set AMD_API_KEYS"
        return CheckResult(check, Health.FAIL, cure)
    cure = f"none, and the service binds to {settings.host}: /predict and /api answer 403; set AMD_API_KEYS"
    return CheckResult(check, Health.WARN, cure)
