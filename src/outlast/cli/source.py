"""Which source files a project has, and when each was changed: what ``outlast up --reload`` compares."""

from __future__ import annotations

import os
from pathlib import Path

from outlast.blueprint.load import blueprint_file

files_max = 10_000
"""More files are not looked at."""

_skipped = frozenset(("node_modules", "__pycache__", "site-packages", "venv"))


def snapshot(home: Path) -> dict[str, int]:
    """Modification times in nanoseconds of ``*.py`` and ``outlast.yaml``, by path below `home`.

    Hidden directories, virtual environments and packages are left out.
    """
    found: dict[str, int] = {}
    for directory, names, files in os.walk(home):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _skipped)
        for file in sorted(files):
            if file.endswith(".py") or (file == blueprint_file and directory == str(home)):
                path = Path(directory, file)
                try:
                    found[str(path.relative_to(home))] = path.stat().st_mtime_ns
                except OSError:  # it was there a moment ago
                    continue
                if len(found) >= files_max:
                    return found
    return found
