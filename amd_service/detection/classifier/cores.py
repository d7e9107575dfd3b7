"""Computes the number of CPU cores available to this process."""

import os
from pathlib import Path


def usable_cores(*, membership: Path = Path("/proc/self/cgroup"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of cores in the CPU affinity, limited by the container's CPU quota (cgroup v2 or v1).

    The result is at least 1. A quota of 1.5 cores counts as 1, because the kernel would throttle a second thread for
    half of every period.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([affinity, *_quotas(membership, cgroups)])))


def _quotas(membership: Path, cgroups: Path) -> list[float]:
    """Return the CPU quotas, in cores, of the process's cgroup and of all its parent cgroups.

    The smallest quota applies.
    """
    quotas: list[float] = []
    for line in _read(membership).splitlines():
        hierarchy, controllers, path = [*line.split(":", 2), "", ""][:3]
        if hierarchy == "0":
            limits = [_read(folder / "cpu.max").split() for folder in _with_parents(cgroups, path)]
            quotas += [_cores(*[*limit, "", ""][:2]) for limit in limits]
        elif "cpu" in controllers.split(","):
            quotas += [
                _cores(_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip())
                for folder in _with_parents(cgroups / "cpu", path)
            ]
    return quotas


def _with_parents(root: Path, path: str) -> list[Path]:
    inner = Path(path.lstrip("/"))
    return [root / part for part in (inner, *inner.parents)]


def _cores(quota: str, period: str) -> float:
    """Return the quota divided by the period, in cores.

    The result is infinity (no limit) for `max` (v2), for -1 (v1) and for a missing file.
    """
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return float("inf")
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
