"""Settings that nobody reads: most of them are spelt wrong."""

import os
from collections.abc import Iterable
from difflib import get_close_matches

from dotenv import dotenv_values

from amd_service.settings.settings import ENV_FILE, Settings, environment_name

# Read by docker-compose.yml, the tests and the tools around them.
_ELSEWHERE = (
    "AMD_BIND",
    "AMD_SERVICE_THREADS",
    "AMD_WORKER_THREADS",
    "AMD_TEST_DATABASE_URL",
    "AMD_TEST_TWILIO_OPENAPI",
    "AMD_REQUIRE_TOOLS",
)


def unread() -> list[str]:
    """`misspelt` of what settings are read from: the environment and `.env`."""
    return misspelt([*os.environ, *dotenv_values(ENV_FILE)])


def misspelt(names: Iterable[str]) -> list[str]:
    """A line for each variable that looks like a setting and is none, with the one that was probably meant.

    Other programs have `TWILIO_` variables too, so of those only near misses count.
    """
    known = {environment_name(field) for field in Settings.model_fields}
    lines = []
    for name in sorted(set(names) - known - set(_ELSEWHERE)):
        close = get_close_matches(name, known, n=1, cutoff=0.8)
        if name.startswith("AMD_") or (name.startswith("TWILIO_") and close):
            lines.append(f"{name} is no setting" + (f"; did you mean {close[0]}?" if close else ""))
    return lines
