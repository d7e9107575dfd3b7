"""Every setting, read from the environment or `.env`, checked once, passed as a value from then on."""

from amd_service.settings.accounts import DEFAULT_CHANNELS, Account
from amd_service.settings.detection import PRODUCTION_MODEL
from amd_service.settings.doors import RETRY_OVERRIDES
from amd_service.settings.hosts import is_loopback, is_web_url
from amd_service.settings.settings import Settings, environment_name, load_settings

__all__ = [
    "DEFAULT_CHANNELS",
    "PRODUCTION_MODEL",
    "RETRY_OVERRIDES",
    "Account",
    "Settings",
    "environment_name",
    "is_loopback",
    "is_web_url",
    "load_settings",
]
