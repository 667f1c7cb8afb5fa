"""Threads follow the quota of the control groups as well as the affinity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from listen_edge.runtime.threads import cpu_quota, usable_cores

_V1, _V2 = "4:cpu,cpuacct:{}\n2:memory:/other\n0::/\n", "0::{}\n"


def _tree(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Write /proc/self/cgroup and files below /sys/fs/cgroup."""
    paths = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in {"proc/self/cgroup": groups, **paths}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _v1(folder: str, quota_us: int, period_us: int = 100_000) -> dict[str, str]:
    base = f"cpu,cpuacct/{folder}".rstrip("/")
    return {
        f"{base}/cpu.cfs_quota_us": f"{quota_us}\n",
        f"{base}/cpu.cfs_period_us": f"{period_us}\n",
    }


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        (_V2.format("/"), {"cpu.max": "100000 100000\n"}, 1.0),
        (_V2.format("/"), {"cpu.max": "max 100000\n"}, None),
        (_V2.format("/a/b"), {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        (_V2.format("/a/b"), {"a/b/cpu.max": "300000 100000", "a/cpu.max": "20000 10000"}, 2.0),
        (_V2.format("/a/b"), {"a/b/cpu.max": "50000 100000", "a/cpu.max": "400000 100000"}, 0.5),
        (_V2.format("/system.slice/docker-1.scope"), {"cpu.max": "250000 100000"}, 2.5),
        (_V2.format("/../../a"), {"cpu.max": "70000 100000"}, 0.7),
        (_V1.format("/"), _v1("", 200_000), 2.0),
        (_V1.format("/"), _v1("", -1), None),
        (_V1.format("/docker/1"), _v1("docker/1", -1) | _v1("docker", 50_000, 25_000), 2.0),
        (_V1.format("/docker/of/the/host"), _v1("", 350_000), 3.5),
        (
            "3:cpu:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "9000", "cpu/a/cpu.cfs_period_us": "3000"},
            3.0,
        ),
        (_V1.format("/"), {"cpu.max": "nonsense"} | _v1("", 100_000), 1.0),
        (_V2.format("/"), {"cpu.max": "-5 0"}, None),
        ("nonsense\n", {"cpu.max": "100000 100000"}, None),
        ("", {}, None),
    ],
    ids=[
        "v2", "v2-max", "v2-outer", "v2-outer-is-less", "v2-inner-is-less", "v2-host-path",
        "v2-outside", "v1", "v1-unlimited", "v1-outer", "v1-host-path", "v1-cpu-alone",
        "hybrid", "impossible", "unreadable", "no-cgroups",
    ],
)  # fmt: skip
def test_the_smallest_quota_up_to_the_root_counts(
    tmp_path: Path, groups: str, files: dict[str, str], quota: float | None
) -> None:
    assert cpu_quota(_tree(tmp_path, groups, files)) == quota


@pytest.mark.parametrize(
    ("affinity", "cpu_max", "n_threads"),
    [
        (8, "100000 100000", 1),
        (8, "150000 100000", 2),
        (8, "10000 100000", 1),
        (2, "400000 100000", 2),
        (8, "max 100000", 8),
    ],
)
def test_threads_are_what_affinity_and_quota_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, affinity: int, cpu_max: str, n_threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)), raising=False)
    assert usable_cores(_tree(tmp_path, "0::/\n", {"cpu.max": cpu_max})) == n_threads
