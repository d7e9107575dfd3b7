"""Checks that the model loads and classifies audio."""

import asyncio

from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.detection.detector import Detector
from amd_service.errors import AmdError
from amd_service.settings import Settings
from amd_service.telemetry import Metrics

MODEL_TIMEOUT_S = 600.0


async def check_model(settings: Settings) -> CheckResult:
    """Load the model in the same way as `serve`. If loading fails, the result names the cure."""
    try:
        async with (
            Detector.from_settings(settings, Metrics(), is_service=False) as detector,
            asyncio.timeout(MODEL_TIMEOUT_S),
        ):
            await detector.wait_ready_or_raise()
    except (AmdError, TimeoutError) as error:
        text = str(error) or f"{settings.model} was not loaded within {MODEL_TIMEOUT_S:g} s"
        return CheckResult("model", Health.FAIL, text)
    if settings.model == "demo":
        return CheckResult(
            "model", Health.WARN, "demo: trained on synthetic speech, not for real calls; unset AMD_MODEL"
        )
    return CheckResult("model", Health.OK, f"{settings.model} loads and classifies audio")
