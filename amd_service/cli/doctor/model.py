"""Checks that the model loads and classifies audio."""

import asyncio

from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.detection.classifier.known_models import find_model
from amd_service.detection.detector import Detector
from amd_service.errors import AmdError
from amd_service.settings import Settings
from amd_service.telemetry import Metrics

MODEL_TIMEOUT_S = 600.0


def check_shadow_model(settings: Settings) -> CheckResult:
    """Check the files of the shadow model. The model is not loaded, because it may need much memory."""
    if settings.shadow_model is None:
        return CheckResult("shadow model", Health.OK, "AMD_SHADOW_MODEL is not set")
    try:
        found = find_model(settings.with_model(settings.shadow_model, settings.shadow_revision), None)
    except AmdError as error:
        return CheckResult("shadow model", Health.WARN, f"the workers skip its runs: {error}")
    return CheckResult(
        "shadow model", Health.OK, f"{found.id} judges {settings.shadow_share:.0%} of the recordings too"
    )


async def check_model(settings: Settings) -> CheckResult:
    """Load the model in the same way as `serve`. If loading fails, the result names the cure."""
    try:
        async with (
            Detector.from_settings(settings, Metrics(), is_service=False) as detector,
            asyncio.timeout(MODEL_TIMEOUT_S),
        ):
            await detector.wait_ready_or_raise()
            policy = detector.policy
    except (AmdError, TimeoutError) as error:
        text = str(error) or f"{settings.model} was not loaded within {MODEL_TIMEOUT_S:g} s"
        return CheckResult("model", Health.FAIL, text)
    if settings.model == "demo":
        return CheckResult(
            "model", Health.WARN, "demo: trained on synthetic speech, not for real calls; unset AMD_MODEL"
        )
    return CheckResult(
        "model",
        Health.OK,
        f"{settings.model} loads and classifies audio: windows of {policy.window_ms} and {policy.long_window_ms} ms "
        f"(longer window: {policy.long_window}), "
        f"human needs {policy.min_confidence_human:g}, voicemail {policy.min_confidence_voicemail:g}",
    )
