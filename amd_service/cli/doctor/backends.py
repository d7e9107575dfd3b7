"""Checks the URLs of the backends."""

from urllib.parse import urlsplit

from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.operations.deliver.targets import find_bad_targets
from amd_service.settings import Settings


async def check_backends(settings: Settings) -> CheckResult:
    """Check whether the service may deliver events to the backends."""
    check, urls = "deliveries", settings.delivery_url
    if not urls:
        return CheckResult(check, Health.OK, "off: AMD_DELIVERY_URL is empty")
    bad = await find_bad_targets(urls, settings.delivery_allowed_networks)
    if bad.refused:
        return CheckResult(check, Health.FAIL, f"AMD_DELIVERY_URL: {'; '.join(bad.refused)}")
    if bad.unresolved:
        cure = "events are retried until the name server answers; check the host in AMD_DELIVERY_URL"
        return CheckResult(check, Health.WARN, f"{'; '.join(bad.unresolved)}; {cure}")
    plain = [urlsplit(url).hostname for url in urls if urlsplit(url).scheme == "http"]
    if plain and not settings.delivery_networks:
        return CheckResult(check, Health.WARN, f"events to {', '.join(map(str, plain))} are not encrypted: use https")
    hosts = ", ".join(dict.fromkeys(str(urlsplit(url).hostname) for url in urls))
    return CheckResult(check, Health.OK, f"events go to {hosts}")
