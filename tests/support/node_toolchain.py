"""Requirements of the tests marked `node`."""

import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "node"
TSC = FOLDER / "node_modules" / "typescript" / "bin" / "tsc"
MINIMUM_VERSION = (20, 3)  # AbortSignal.any


def missing() -> str | None:
    """The missing requirement and how to install it; None when nothing is missing."""
    node = shutil.which("node")
    if node is None:
        return "`node` is not installed: install Node.js 20 or later"
    answer = subprocess.run((node, "--version"), capture_output=True, text=True, check=True)
    version = tuple(int(part) for part in answer.stdout.strip().lstrip("v").split(".")[:2])
    if version < MINIMUM_VERSION:
        return f"`node` is {answer.stdout.strip()}: install Node.js 20 or later"
    if not TSC.exists():
        return f"TypeScript is not installed: npm ci --prefix tests/{FOLDER.name}"
    return None
