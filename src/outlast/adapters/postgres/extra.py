"""The extra ``postgres``: needed only by those who use it."""

from __future__ import annotations

import importlib.util

from outlast.kernel.error import ConfigurationError


def check_installed() -> None:
    """Call it before `engine` is imported. Raises ConfigurationError that says how to install what is missing."""
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigurationError("the journal on PostgreSQL needs psycopg: run pip install 'outlast[postgres]'")
