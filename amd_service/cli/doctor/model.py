"""The model: whether it loads and answers."""

import asyncio

from amd_service.cli.doctor.finding import Finding, Health
from amd_service.detection.detector import Detector
from amd_service.errors import AmdError
from amd_service.settings import Settings
from amd_service.telemetry import Metrics

MODEL_TIMEOUT_S = 600.0


async def check_model(settings: Settings) -> Finding:
    """Load the model as `serve` would; the report holds the cure where that fails."""
    try:
        async with Detector.from_settings(settings, Metrics()) as detector, asyncio.timeout(MODEL_TIMEOUT_S):
            await detector.wait_ready_or_raise()
    except (AmdError, TimeoutError) as error:
        return Finding("model", Health.FAIL, f"{settings.model}: {error}")
    if settings.model == "demo":
        return Finding("model", Health.WARN, "demo: trained on synthetic speech, never for real calls; unset AMD_MODEL")
    return Finding("model", Health.OK, f"{settings.model} loads and answers")
