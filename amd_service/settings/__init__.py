"""Settings from the environment and `.env`. A process reads and validates the settings once, when it starts."""

from amd_service.settings.access import Network
from amd_service.settings.accounts import DEFAULT_CHANNELS, Account
from amd_service.settings.detection import PRODUCTION_MODEL
from amd_service.settings.server import RETRY_OVERRIDES
from amd_service.settings.settings import Settings, environment_name, load_settings
from amd_service.settings.types import is_loopback, is_web_url

__all__ = [
    "DEFAULT_CHANNELS",
    "PRODUCTION_MODEL",
    "RETRY_OVERRIDES",
    "Account",
    "Network",
    "Settings",
    "environment_name",
    "is_loopback",
    "is_web_url",
    "load_settings",
]
