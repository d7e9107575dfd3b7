"""Requirements of the tests marked `browser`. This module does not import Playwright: some environments lack it."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

AXE = Path(__file__).parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"


def missing() -> str | None:
    """The missing requirement and how to install it; None when nothing is missing."""
    if program() is None:
        return "Chromium is not installed: apt install chromium"
    if find_spec("playwright") is None:
        return "Playwright is not installed: pip install --group test"
    if not AXE.exists():
        return "axe-core is not installed: npm ci --prefix tests/node"
    return None


def program() -> str | None:
    """Return the path of the installed Chromium or Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def arguments() -> list[str]:
    """Return the command line arguments. A simulated microphone sends beeps, and needs no permission dialog."""
    simulated_devices = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    # Chromium refuses to run as root with its sandbox. Containers often have a small /dev/shm.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return [*sandbox, "--disable-dev-shm-usage", *simulated_devices]
