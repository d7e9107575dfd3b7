"""Checks which folders import which libraries. Run `python -m tools.check_fences`.

Prints each import that is not allowed, and then exits 1. The table ALLOWED is an allow-list: a folder that is
not listed may import none of these libraries, and no folder may import a library that is not listed.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "amd_service"
EVERYWHERE = ("",)
CLASSIFIER_AND_LAB = ("detection/classifier", "lab")
STORAGE = ("calls", "database")

# For each library: the folders and files that may import the library, as paths below `amd_service`.
ALLOWED: Mapping[str, tuple[str, ...]] = {
    # Model and engines
    "torch": CLASSIFIER_AND_LAB,
    "transformers": CLASSIFIER_AND_LAB,
    "onnxruntime": CLASSIFIER_AND_LAB,
    "openvino": CLASSIFIER_AND_LAB,
    "huggingface_hub": CLASSIFIER_AND_LAB,
    "safetensors": CLASSIFIER_AND_LAB,
    "onnx": ("lab",),
    "nncf": ("lab",),
    "peft": ("lab",),
    # Measurements
    "matplotlib": ("lab",),
    "scipy": ("lab",),
    "sklearn": ("lab",),
    "cleanlab": ("lab",),
    # Audio
    "numpy": ("detection", "lab", "simulator", "domain", "operations/review"),
    "soundfile": ("detection/audio", "lab", "simulator"),
    "soxr": ("detection/audio", "lab", "simulator"),
    "librosa": ("lab",),
    "audioop": ("detection/audio", "lab", "simulator"),
    # HTTP
    "starlette": ("web", "simulator"),
    "sse_starlette": ("web/pages",),
    "python_multipart": ("web",),
    "uvicorn": ("web", "simulator"),
    "h11": ("web",),
    "websockets": ("simulator",),
    "httpx2": ("twilio", "runtime", "simulator", "operations/deliver"),
    "twilio": ("twilio", "simulator"),
    "standardwebhooks": ("operations/deliver",),
    # Database
    "sqlalchemy": (*STORAGE, "operations"),
    "asyncpg": ("database",),
    "alembic": ("database",),
    # Pages
    "argon2": ("operations",),
    "jinja2": ("web", "lab"),
    # Settings, command line, telemetry
    "pydantic": ("settings", "web", "twilio", "calls", "simulator"),
    "pydantic_core": ("settings", "web", "twilio"),
    "pydantic_settings": ("settings",),
    "dotenv": ("settings",),
    "typer": ("cli",),
    "rich": ("cli", "simulator", "lab"),
    "uvloop": ("cli", "web"),
    "anyio": ("web", "database", "detection"),
    "structlog": EVERYWHERE,
    "opentelemetry": ("tracing/otlp.py",),
    "prometheus_client": ("telemetry", "web", "detection/classifier"),
}
# The only names that a folder may import from a library, by folder and library. `operations` passes sessions to
# `calls` and must not contain SQL.
ONLY_NAMES: Mapping[tuple[str, str], frozenset[str]] = {
    ("operations", "sqlalchemy"): frozenset({"sqlalchemy.ext.asyncio.AsyncSession"}),
}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name.

    `file`: path below the package. `name`: dotted name that begins with the library.
    """

    file: str
    line: int
    name: str

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]


def main() -> int:
    """Print every import that the table does not allow. Returns 1 if there are any, otherwise 0."""
    found = [each for path in sorted(PACKAGE.rglob("*.py")) for each in imports_of(path)]
    findings = [finding for each in found if (finding := objection(each))]
    print(f"{len(found)} imports of {len({each.package for each in found})} libraries")
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def imports_of(path: Path) -> Iterator[Import]:
    """Return the imports of third-party libraries in a file, including imports inside functions."""
    file = path.relative_to(PACKAGE).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                names = [f"{module}.{alias.name}" for alias in node.names]
            case _:
                continue
        for name in names:
            if name.partition(".")[0] not in {*sys.stdlib_module_names, "amd_service"} or name == "audioop":
                yield Import(file, node.lineno, name)


def objection(found: Import) -> str | None:
    """Return the reason why an import is not allowed, or None if it is allowed."""
    where = f"amd_service/{found.file}:{found.line}"
    if found.package not in ALLOWED:
        cure = "add the library and the folders that may import it"
        return f"{where}: {found.package} is not in the table of tools/check_fences.py: {cure}"
    if not any(_is_within(found.file, allowed) for allowed in ALLOWED[found.package]):
        return f"{where}: only {', '.join(ALLOWED[found.package])} may import {found.package}"
    for (folder, library), names in ONLY_NAMES.items():
        if library == found.package and _is_within(found.file, folder) and found.name not in names:
            return f"{where}: {folder} may import from {library} only {', '.join(sorted(names))}"
    return None


def _is_within(file: str, allowed: str) -> bool:
    return allowed == "" or file == allowed or file.startswith((f"{allowed}/", f"{allowed}.py"))


if __name__ == "__main__":
    sys.exit(main())
