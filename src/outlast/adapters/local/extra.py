"""The packages of the extra ``local``, imported when they are first needed."""

from __future__ import annotations

import importlib
from typing import Any

from outlast.kernel.error import ConfigurationError


def required(module: str, what: str) -> Any:
    """A module of the extra. Raises ConfigurationError that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{what} needs {module}, which cannot be imported ({error}): run pip install 'outlast[local]'"
        ) from None
