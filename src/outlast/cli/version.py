"""``outlast version``."""

from __future__ import annotations

from outlast.cli.option import Json


def installed() -> str:
    """The version of the installed package."""
    import importlib.metadata

    return importlib.metadata.version("outlast")


def version(json: Json = False) -> None:
    """Print the version of Outlast and of what it stands on.

    For example:

        outlast version --json
    """
    import platform

    import apsw

    from outlast.cli.output import print_json

    found = {
        "outlast": installed(),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "platform": platform.platform(),
    }
    if json:
        print_json(found)
        return
    for name, value in found.items():
        print(f"{name:9} {value}")
