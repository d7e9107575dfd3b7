"""Checks the names of settings and the public URL."""

import re
from urllib.parse import urlsplit

from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.settings import Settings
from amd_service.settings.warnings import setting_warnings
from amd_service.twilio.public_address import probe_public_address

_CALLBACK_PATH = re.compile(r"/twilio/(status|recording|amd|stream\.xml|media)/?$")


def check_setting_names(settings: Settings) -> CheckResult:
    """Check for environment variables named AMD_… or TWILIO_… that no setting uses, and for an example URL."""
    wrong = setting_warnings(settings)
    return CheckResult("settings", Health.WARN if wrong else Health.OK, "; ".join(wrong) or "all names known")


def check_public_url(settings: Settings) -> CheckResult:
    """Check whether Twilio can reach the callback URLs."""
    check = "public URL"
    if settings.public_url is None:
        cure = "set AMD_PUBLIC_URL to the base URL for Twilio's requests; without a URL every callback is refused"
        return CheckResult(check, Health.FAIL, cure)
    if not settings.is_published:
        return CheckResult(check, Health.WARN, f"{settings.public_url} is a loopback address: Twilio cannot reach it")
    url = urlsplit(settings.public_url)
    if "_" in (url.hostname or ""):
        cure = "the host name contains an underscore, so Twilio sends no request (warning 13256); use another host name"
        return CheckResult(check, Health.FAIL, f"{settings.public_url}: {cure}")
    if pasted := _CALLBACK_PATH.search(url.path):
        base = url._replace(path=url.path[: pasted.start()]).geturl()
        cure = f"ends with a callback path, but the service appends this path itself; set AMD_PUBLIC_URL={base}"
        return CheckResult(check, Health.WARN, f"{settings.public_url} {cure}")
    if url.scheme != "https":
        return CheckResult(
            check, Health.WARN, f"{settings.public_url} is not https: callbacks contain phone numbers; use https"
        )
    urls = " and ".join(settings.callback_url(path) for path in ("/twilio/status", "/twilio/recording"))
    return CheckResult(check, Health.OK, f"URLs for Twilio: {urls}")


async def check_proxy(settings: Settings) -> CheckResult:
    """Check whether requests to AMD_PUBLIC_URL reach the service unchanged."""
    check = "proxy"
    if settings.public_url is None:
        return CheckResult(check, Health.WARN, "not tried: set AMD_PUBLIC_URL")
    report = await probe_public_address(settings.public_url)
    if report.unreachable is not None:
        cure = "start the service, and check the name, the proxy and its certificate; see docs/proxy.md"
        return CheckResult(check, Health.WARN, f"{settings.public_url} does not respond: {report.unreachable}; {cure}")
    if report.faults:
        return CheckResult(check, Health.FAIL, f"{'; '.join(report.faults)}; see docs/proxy.md")
    return CheckResult(check, Health.OK, f"requests to {settings.public_url} reach the service")
