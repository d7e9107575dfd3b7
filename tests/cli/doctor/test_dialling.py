"""What the doctor says about placing calls."""

import pytest
from pydantic import SecretStr

from amd_service.cli.doctor import Finding, Health, examine
from amd_service.settings import Settings

pytestmark = pytest.mark.anyio


async def finding(**changes: object) -> Finding:
    settings = Settings(_env_file=None, **changes)  # type: ignore[arg-type]
    findings = examine(settings)
    async for found in findings:
        if found.check == "placing calls":
            await findings.aclose()  # type: ignore[attr-defined]
            return found
    raise AssertionError("nothing is said about placing calls")


async def test_no_prefix_is_well_and_means_no_calls() -> None:
    found = await finding()
    assert found.health is Health.OK
    assert "no calls may be placed" in found.text


@pytest.mark.parametrize("prefix", ["+1", "+4"])
async def test_a_prefix_as_wide_as_a_continent_is_warned_of(prefix: str) -> None:
    found = await finding(dial_prefixes=["+1212", prefix])
    assert found.health is Health.WARN
    assert "premium-rate" in found.text
    assert f"all of {prefix}:" in found.text


async def test_narrow_prefixes_are_named_with_the_limit() -> None:
    found = await finding(dial_prefixes=["+1212", "+4930"], dial_per_minute=7, api_keys=[SecretStr("k" * 32)])
    assert (found.health, found.text) == (Health.OK, "numbers beginning with +1212, +4930, 7 a minute")
    assert "AMD_API_KEYS" in (await finding(dial_prefixes=["+1212"])).text
