"""The number of available cores."""

import os
from pathlib import Path

import pytest

from amd_service.detection.classifier.cores import usable_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def cores(tmp_path: Path, membership: str, files: dict[str, str]) -> int:
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return usable_cores(membership=tmp_path / "membership", cgroups=tmp_path)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("200000 100000", 2), ("max 100000", 8), ("150000 100000", 1), ("10000 100000", 1), ("nonsense", 8)],
)
def test_a_v2_quota_limits_the_affinity(tmp_path: Path, quota: str, expected: int) -> None:
    assert cores(tmp_path, "0::/\n", {"cpu.max": quota}) == expected


def test_the_smallest_quota_of_all_parent_groups_applies(tmp_path: Path) -> None:
    files = {"pod/cpu.max": "300000 100000", "pod/app/cpu.max": "max 100000"}
    assert cores(tmp_path, "0::/pod/app\n", files) == 3


def test_a_v1_quota_applies(tmp_path: Path) -> None:
    files = {"cpu/job/cpu.cfs_quota_us": "400000\n", "cpu/job/cpu.cfs_period_us": "100000\n"}
    assert cores(tmp_path, "3:cpu,cpuacct:/job\n", files) == 4


def test_minus_one_is_no_v1_limit(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert cores(tmp_path, "3:cpu:/\n", files) == 8


def test_without_cgroups_the_affinity_applies(tmp_path: Path) -> None:
    assert usable_cores(membership=tmp_path / "absent", cgroups=tmp_path) == 8
