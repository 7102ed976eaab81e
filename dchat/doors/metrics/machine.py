"""The process and the machine it runs on: the usual `process_*` metrics, which build it is, and the memory there is.

A container's limit counts as the machine's memory where it is lower: beyond either the kernel kills.
Source: proc(5), Linux' Documentation/admin-guide/cgroup-v2.rst (memory.max, memory.current, memory.stat).
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric

from dchat.doors.metrics.exposition import gauge, labelled
from dchat.home.version import build_version

FILE_BYTES_MAX = 65_536  # of a file of the kernel's that is read
KIB = 1024
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def build_metrics() -> Iterator[Metric]:
    yield labelled(
        GaugeMetricFamily,
        "dchat_build_info",
        "Always 1; its labels say which build of dchat runs, on which Python.",
        ("version", "python"),
        [((build_version(), platform.python_version()), 1.0)],
    )


def memory_metrics(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> Iterator[Metric]:
    """Absent where the kernel does not tell it (not Linux)."""
    room = memory_room(meminfo, cgroup)
    if room is None:
        return
    limit, available = room
    yield gauge("dchat_memory_limit_bytes", "Memory of the machine, or of the container where that is less.", limit)
    yield gauge("dchat_memory_available_bytes", "Memory that is left before anything has to be killed.", available)


def memory_room(meminfo: Path, cgroup: Path) -> tuple[int, int] | None:
    """(what there is, what is left), in bytes."""
    found = _numbers(meminfo)
    if "MemTotal" not in found or "MemAvailable" not in found:
        return None
    limit, available = found["MemTotal"] * KIB, found["MemAvailable"] * KIB
    most, used = _text(cgroup / "memory.max").strip(), _text(cgroup / "memory.current").strip()
    if most.isdecimal() and used.isdecimal() and int(most) < limit:
        limit = int(most)
        # Files that are only cached give way, as MemAvailable counts them.
        cached = _numbers(cgroup / "memory.stat").get("inactive_file", 0)
        available = min(available, max(0, limit - int(used) + cached))
    return limit, available


def _numbers(path: Path) -> dict[str, int]:
    """Of lines of `name: 12 kB` or `name 12`."""
    rows = (line.replace(":", " ").split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdecimal()}


def _text(path: Path) -> str:
    """Empty: there is no such file."""
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError:
        return ""
