"""Downloads the front-end libraries of the pages from npm. Run `python -m tools.vendor` after a change of PACKAGES.

The libraries are part of the repository, so that the pages need no build step and load nothing from other hosts.
`vendored.json` records the version, the licence and the SHA-256 of every file; a test compares the files with it.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "amd_service" / "web" / "pages" / "static" / "vendor"
RECORD = FOLDER / "vendored.json"


@dataclass(frozen=True, slots=True)
class Package:
    """A package of npm with an exact version. `files`: paths in the package, without LICENSE, which is always taken."""

    name: str
    version: str
    files: tuple[str, ...]


PACKAGES = (
    Package("htmx.org", "4.0.1", ("dist/htmx.min.js", "dist/ext/hx-sse.min.js")),
    Package("uplot", "1.6.32", ("dist/uPlot.esm.js", "dist/uPlot.min.css")),
    Package("wavesurfer.js", "8.0.1", ("dist/wavesurfer.esm.js", "dist/plugins/regions.esm.js")),
)


def main() -> int:
    """Download every package and write its files, its licence and the record."""
    record = {package.name: download(package, FOLDER / package.name) for package in PACKAGES}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {sum(len(entry['files']) for entry in record.values())} files to {FOLDER}")
    return 0


def download(package: Package, folder: Path) -> dict[str, dict[str, str] | str]:
    """Write the files of a package to `folder` and return its entry in the record.

    Raises CalledProcessError if npm fails, and KeyError if a file is not in the package.
    """
    with tempfile.TemporaryDirectory() as scratch:
        command = ("npm", "pack", f"{package.name}@{package.version}", "--silent", "--pack-destination", scratch)
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - the names come from PACKAGES
        [archive] = Path(scratch).glob("*.tgz")
        with tarfile.open(archive) as members:
            contents = {path: _read(members, path) for path in ("package.json", "LICENSE", *package.files)}
    folder.mkdir(parents=True, exist_ok=True)
    for path in ("LICENSE", *package.files):
        (folder / Path(path).name).write_bytes(contents[path])
    return {
        "version": package.version,
        "license": str(json.loads(contents["package.json"])["license"]),
        "files": {Path(path).name: sha256(contents[path]) for path in ("LICENSE", *package.files)},
    }


def sha256(content: bytes) -> str:
    """Return the SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def _read(members: tarfile.TarFile, path: str) -> bytes:
    file = members.extractfile(f"package/{path}")
    if file is None:
        raise KeyError(f"{path} is not a file of the package")
    return file.read()


if __name__ == "__main__":
    sys.exit(main())
