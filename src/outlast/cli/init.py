"""``outlast init``: a project that works at once, without a network and without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outlast.cli.option import Json


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="Where to; made if needed. Default: here.")
    ] = Path(),
    yaml: Annotated[bool, typer.Option("--yaml", help="Also write a small, explained outlast.yaml.")] = False,
    json: Json = False,
) -> None:
    """Make a new project: an agent that works at once, and its test.

    Writes app.py and test_app.py (and outlast.yaml with --yaml). Nothing that exists is overwritten.

    For example:

        outlast init desk && cd desk
        outlast run support "Refund order 1043, 80 EUR" --crash-in refund
    """
    import shlex
    from importlib import resources

    from outlast.blueprint.load import name_of
    from outlast.cli.output import note, print_json
    from outlast.kernel.error import ConfigurationError, Conflict

    names = ["app.py", "test_app.py", *(["outlast.yaml"] if yaml else [])]
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"{directory} is a file: name a directory")
    taken = [name for name in names if (directory / name).exists() or (directory / name).is_symlink()]
    if taken:
        raise Conflict(
            f"{', '.join(taken)} already in {directory.resolve()}, nothing was written: "
            "name another directory, or move what is there"
        )
    directory.mkdir(parents=True, exist_ok=True)
    template = resources.files("outlast.cli") / "template"
    for name in names:
        text = (template / f"{name}.txt").read_text().replace("PROJECT", name_of(directory))
        with (directory / name).open("x") as file:  # "x": also refuses what appeared in the meantime
            file.write(text)
    if json:
        print_json({"directory": str(directory.resolve()), "written": names})
        return
    note(f"wrote {', '.join(names)} in {directory.resolve()}")
    change = "" if directory.resolve() == Path.cwd() else f"cd {shlex.quote(str(directory))} && "
    note(f'now: {change}outlast run support "Refund order 1043, 80 EUR" --crash-in refund')
