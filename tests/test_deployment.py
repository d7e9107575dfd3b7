"""The release workflow, the Dockerfile, the wheel's contents and docker-compose.yml agree with the code."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INCLUDED = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]


def read_yaml(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    return loaded


def test_no_job_that_may_sign_runs_code_of_the_project_or_of_its_dependencies() -> None:
    jobs = read_yaml(".github/workflows/release.yml")["jobs"]
    signing = {name: job for name, job in jobs.items() if {"id-token", "attestations"} & set(job["permissions"])}
    assert set(signing) == {"sign", "publish"}
    allowed = ("actions/download-artifact@", "actions/attest-build-provenance@", "pypa/gh-action-pypi-publish@")
    for job in signing.values():
        assert [step for step in job["steps"] if not step.get("uses", "").startswith(allowed)] == []


def test_the_workflows_of_a_release_give_every_artifact_its_own_name() -> None:
    jobs = [*read_yaml(".github/workflows/ci.yml")["jobs"].values()]
    jobs += [job for job in read_yaml(".github/workflows/release.yml")["jobs"].values() if "steps" in job]
    steps = [step for job in jobs for step in job["steps"]]
    names = [step["with"]["name"] for step in steps if step.get("uses", "").startswith("actions/upload-artifact@")]
    assert len(names) == len(set(names)) == 4


def test_the_calls_in_the_wheel_exist_and_stay_small() -> None:
    calls = {ROOT / path: target for path, target in INCLUDED.items() if path.startswith("fixtures/")}
    assert all((folder / "callbacks.jsonl").is_file() for folder in calls)
    assert all(target == f"amd_service/_calls/{folder.name}" for folder, target in calls.items())
    assert sum(file.stat().st_size for folder in calls for file in folder.iterdir()) < 200_000


def test_the_image_is_built_from_all_files_that_the_wheel_needs() -> None:
    needed = {path.partition("/")[0] for path in INCLUDED} | {"amd_service"}
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    allowed = re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert needed <= set(copied)
    assert needed <= set(allowed)
