"""How many cores this process may really use."""

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(*, membership: Path = Path("/proc/self/cgroup"), cgroups: Path = _CGROUPS) -> int:
    """Cores by CPU affinity, cut down to the container's CPU quota (cgroup v2 or v1). At least 1.

    A quota of 1.5 cores counts as 1: a second thread would be throttled for half of every period.
    """
    cores = float(_affinity())
    for quota in _quotas(membership, cgroups):
        cores = min(cores, quota)
    return max(1, int(cores))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(membership: Path, cgroups: Path) -> list[float]:
    """Quotas in cores of the process's group and of every group above it; the tightest one counts."""
    quotas: list[float] = []
    for line in _read(membership).splitlines():
        hierarchy, controllers, path = [*line.split(":", 2), "", ""][:3]
        if hierarchy == "0":
            quotas += [_v2_quota(folder) for folder in _upwards(cgroups, path)]
        elif "cpu" in controllers.split(","):
            quotas += [_v1_quota(folder) for folder in _upwards(cgroups / "cpu", path)]
    return quotas


def _upwards(root: Path, path: str) -> list[Path]:
    inner = Path(path.lstrip("/"))
    return [root / part for part in (inner, *inner.parents)]


def _v2_quota(folder: Path) -> float:
    return _cores(*[*_read(folder / "cpu.max").split(), "", ""][:2])


def _v1_quota(folder: Path) -> float:
    return _cores(_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip())


def _cores(quota: str, period: str) -> float:
    """Quota over period; `max` (v2), -1 (v1) and absent files mean no limit."""
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return float("inf")
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
