"""Reads the windows and thresholds that a model states, without loading the model."""

from amd_service.detection.classifier.hub import locate_downloaded
from amd_service.detection.classifier.model import read_windows
from amd_service.detection.classifier.model_windows import NO_WINDOWS, ModelWindows
from amd_service.detection.decision import Policy
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings


def find_stated_windows(settings: Settings) -> ModelWindows:
    """Read `windows.json` of AMD_MODEL. A model that cannot be used or is not on this machine states nothing."""
    try:
        located = locate_downloaded(settings.model, settings.model_revision)
        return NO_WINDOWS if located is None else read_windows(located.folder)
    except ModelUnusable:
        return NO_WINDOWS


def find_policy(settings: Settings) -> Policy:
    """Return the policy of the settings and of AMD_MODEL."""
    return Policy.from_settings(settings, find_stated_windows(settings))
