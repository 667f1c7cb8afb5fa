"""How many threads a model may have: the cores that this process is let run on, and its quota.

A container's `--cpus`, a Kubernetes limit and systemd's CPUQuota leave every core visible and stop
the process for the rest of a period once its share is used up: threads beyond it only wait, and
spend the others' share in spinning.

Source: the Linux kernel's admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def usable_cores(root: Path = ROOT) -> int:
    """Return the threads worth starting: the smaller of affinity and quota, at least 1.

    A quota of 1.5 cores is 2 threads: they get 1.5 cores' work done and are stopped for a quarter
    of each period (0.1 s, short beside a hop), where one thread would leave a third unused.

    Args:
        root: of the file system that tells the quota.
    """
    if hasattr(os, "sched_getaffinity"):  # what a container or taskset leaves; Linux only
        n_cores = len(os.sched_getaffinity(0))
    else:
        n_cores = os.cpu_count() or 1
    quota = cpu_quota(root)
    return n_cores if quota is None else max(1, min(n_cores, math.ceil(quota)))


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return the cores' worth of time that the control groups allow, None without a limit.

    A group's limit holds for those within it: the smallest from the process's own up to the root.
    """
    quotas = [_quota_v1(group) if is_v1 else _quota_v2(group) for group, is_v1 in _groups(root)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _groups(root: Path) -> Iterator[tuple[Path, bool]]:
    """Yield (folder, whether it is of version 1) of the process's groups, innermost first.

    Within a container the path may be the host's, of which only the mount's root is there.
    """
    mounts = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        is_v1 = "cpu" in controllers.split(",")
        if not is_v1 and (number, controllers) != ("0", ""):
            continue
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        for mount in (mounts / controllers, mounts / "cpu") if is_v1 else (mounts,):
            for depth in range(len(parts), -1, -1):
                yield mount.joinpath(*parts[:depth]), is_v1


def _quota_v1(group: Path) -> float | None:
    return _ratio(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def _quota_v2(group: Path) -> float | None:
    quota, _, period = _read(group / "cpu.max").strip().partition(" ")
    return _ratio(quota, period)


def _ratio(quota_us: str, period_us: str) -> float | None:
    """Return the quota in cores; None for "max", -1 and what is not there."""
    try:
        quota, period = int(quota_us), int(period_us)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
