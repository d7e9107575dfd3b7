"""What the tests marked `node` need of the machine."""

import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "node"
TSC = FOLDER / "node_modules" / "typescript" / "bin" / "tsc"
LEAST_VERSION = (20, 3)  # AbortSignal.any


def missing() -> str | None:
    """What has to be done before they can run; None when all is there."""
    node = shutil.which("node")
    if node is None:
        return "there is no `node`: install Node.js 20 or later"
    answer = subprocess.run((node, "--version"), capture_output=True, text=True, check=True)
    version = tuple(int(part) for part in answer.stdout.strip().lstrip("v").split(".")[:2])
    if version < LEAST_VERSION:
        return f"`node` is {answer.stdout.strip()}: install Node.js 20 or later"
    if not TSC.exists():
        return f"TypeScript is not installed: npm ci --prefix tests/{FOLDER.name}"
    return None
