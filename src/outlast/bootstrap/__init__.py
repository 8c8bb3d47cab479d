"""Reads the blueprint, picks adapters, assembles a Platform; nothing else knows which adapter runs.

`app` loads the user's code, `home` knows where things lie, `platform` assembles, `cell` runs all processes of a cell,
`child` is what each of those processes does.
"""

from __future__ import annotations

from outlast.bootstrap.app import configure_app, load_app
from outlast.bootstrap.home import StateDirectory, state_directory

__all__ = ["StateDirectory", "configure_app", "load_app", "state_directory"]
