"""The doctor's check of AMD_DIAL_PREFIXES."""

import pytest
from pydantic import SecretStr

from amd_service.cli.doctor.all_checks import run_checks
from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.settings import Settings

pytestmark = pytest.mark.anyio


async def result_of(**changes: object) -> CheckResult:
    settings = Settings(_env_file=None, **changes)  # type: ignore[arg-type]
    results = run_checks(settings)
    async for result in results:
        if result.check == "placing calls":
            await results.aclose()  # type: ignore[attr-defined]
            return result
    raise AssertionError("no check named `placing calls`")


async def test_without_prefixes_the_service_places_no_calls() -> None:
    result = await result_of()
    assert result.health is Health.OK
    assert "the service places no calls" in result.text


@pytest.mark.parametrize("prefix", ["+1", "+4"])
async def test_a_prefix_as_wide_as_a_continent_is_a_warning(prefix: str) -> None:
    result = await result_of(dial_prefixes=["+1212", prefix])
    assert result.health is Health.WARN
    assert "premium-rate" in result.text
    assert f"that begin with {prefix}:" in result.text


async def test_narrow_prefixes_are_ok_and_listed_with_the_rate_limit() -> None:
    result = await result_of(dial_prefixes=["+1212", "+4930"], dial_per_minute=7, api_keys=[SecretStr("k" * 32)])
    assert (result.health, result.text) == (Health.OK, "numbers beginning with +1212, +4930, 7 calls per minute")
    assert "AMD_API_KEYS" in (await result_of(dial_prefixes=["+1212"])).text
