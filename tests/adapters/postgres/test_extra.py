"""Without psycopg the options can be read, and the error says what to install."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
sys.modules["psycopg"] = None
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "psycopg" else found(name, package)
from outlast.adapters.postgres.extra import check_installed
from outlast.adapters.postgres.options import PostgresOptions
from outlast.adapters.postgres.schema import grants
from outlast.kernel.error import ConfigurationError
PostgresOptions(url="postgresql://x"), grants("app")
try:
    check_installed()
except ConfigurationError as error:
    print(error)
"""


def test_a_missing_extra_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'outlast[postgres]'" in done.stdout
