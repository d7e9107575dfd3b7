"""The vendored front-end libraries are the published ones."""

import json

from tools.vendor import FOLDER, PACKAGES, RECORD, sha256


def test_every_vendored_file_is_the_recorded_one() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    recorded = {f"{name}/{file}": digest for name, entry in record.items() for file, digest in entry["files"].items()}
    found = {
        path.relative_to(FOLDER).as_posix(): sha256(path.read_bytes()) for path in FOLDER.glob("*/*") if path.is_file()
    }
    assert found == recorded


def test_the_record_holds_the_wanted_versions() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert {name: entry["version"] for name, entry in record.items()} == {each.name: each.version for each in PACKAGES}
