"""Requirements of the tests marked `node`."""

import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "node"
TSC = FOLDER / "node_modules" / "typescript" / "bin" / "tsc"
REDOCLY = FOLDER / "node_modules" / "@redocly" / "cli" / "bin" / "cli.js"
OPENAPI_TYPESCRIPT = FOLDER / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
STANDARD_WEBHOOKS = FOLDER / "node_modules" / "standardwebhooks"
MINIMUM_VERSION = (20, 19)  # Redocly; docs/nextjs needs 20.3 (AbortSignal.any)


def missing() -> str | None:
    """The missing requirement and how to install it; None when nothing is missing."""
    node = shutil.which("node")
    if node is None:
        return "`node` is not installed: install Node.js 20.19 or later"
    answer = subprocess.run((node, "--version"), capture_output=True, text=True, check=True)
    version = tuple(int(part) for part in answer.stdout.strip().lstrip("v").split(".")[:2])
    if version < MINIMUM_VERSION:
        return f"`node` is {answer.stdout.strip()}: install Node.js 20.19 or later"
    if not all(path.exists() for path in (TSC, REDOCLY, OPENAPI_TYPESCRIPT, STANDARD_WEBHOOKS)):
        return f"a package of tests/{FOLDER.name}/package.json is not installed: npm ci --prefix tests/{FOLDER.name}"
    return None
