"""Warns about variables whose names resemble settings. Most of these names are typing errors."""

import os
from collections.abc import Iterable
from difflib import get_close_matches

from dotenv import dotenv_values

from amd_service.settings.settings import ENV_FILE, Settings, environment_name

# Variables that docker-compose.yml, the tests and the development tools read.
_USED_ELSEWHERE = (
    "AMD_BIND",
    "AMD_SERVICE_THREADS",
    "AMD_WORKER_THREADS",
    "AMD_TEST_DATABASE_URL",
    "AMD_TEST_TWILIO_OPENAPI",
    "AMD_REQUIRE_TOOLS",
)


def unknown_name_warnings() -> list[str]:
    """Return warnings about the variables in the environment and in `.env`."""
    return warnings_for([*os.environ, *dotenv_values(ENV_FILE)])


def warnings_for(names: Iterable[str]) -> list[str]:
    """Return a warning for each name that resembles a setting but is not a setting.

    Each warning names the closest setting.
    Other programs also use `TWILIO_` variables, so a `TWILIO_` name gets a warning only if it is similar to a setting.
    """
    known = {environment_name(field) for field in Settings.model_fields}
    lines = []
    for name in sorted(set(names) - known - set(_USED_ELSEWHERE)):
        close = get_close_matches(name, known, n=1, cutoff=0.8)
        if name.startswith("AMD_") or (name.startswith("TWILIO_") and close):
            lines.append(f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else ""))
    return lines
