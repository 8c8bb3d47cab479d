"""On what, with what and how it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import apsw


def file_system(path: Path) -> str:
    """Device and type of the file system that holds `path`, as in /proc/mounts."""
    best = ("", "unknown")
    try:
        mounts = Path("/proc/mounts").read_text()
    except OSError:
        return "unknown"
    for line in mounts.splitlines():
        device, point, kind, *_ = line.split()
        point = point.replace("\\040", " ")
        if path.resolve().is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, f"{kind} on {device}")
    return best[1]


def processor() -> str:
    """The model name of the first processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def commit_of_the_tree(root: Path) -> str:
    """The git commit that was measured, with a mark if files were changed since."""
    try:
        shown = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(shown, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def describe(directory: Path, root: Path, command: str) -> dict[str, object]:
    """All of it, for the head of the report."""
    return {
        "command": command,
        "commit": commit_of_the_tree(root),
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": file_system(directory),
        "python": platform.python_version(),
        "outlast": version("outlast"),
        "sqlite": apsw.sqlite_lib_version(),
    }
