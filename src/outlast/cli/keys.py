"""`outlast keys`: make and rotate the keys that payloads are encrypted with. A key is never printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.option import Json, command_group

if TYPE_CHECKING:
    from outlast.adapters.keyring.document import Document

keys_app = command_group("Make and rotate the keys that payloads are encrypted with.")

File = Annotated[
    Path,
    typer.Option("--file", "-f", metavar="FILE", help="The key file; kept with mode 0600, out of version control."),
]
_file = Path("keys.json")


@keys_app.command()
def new(file: File = _file, json: Json = False) -> None:
    """Make a key file with one new key. A file that is there is left as it is.

    Keep a copy apart from the data: without the key, nothing that it sealed can be read by anybody.

    For example:

        outlast keys new --file keys.json
        # then in outlast.yaml:   stores: {journal: {encrypt: file:keys.json}}
    """
    from outlast.adapters.host.randomness import OsRandomness
    from outlast.adapters.keyring.file import make_keys

    _told(file, make_keys(file, OsRandomness()), json, "made")


@keys_app.command()
def rotate(file: File = _file, json: Json = False) -> None:
    """Put a new key before those in the file: it seals what is written from now on, the old ones still open theirs.

    Old keys stay as long as the history that they sealed. Processes that run take it up when they start again, or meet
    what is sealed with it. On several machines: copy the file to all of them before one starts with it.

    For example:

        outlast keys rotate --file keys.json
    """
    from outlast.adapters.host.randomness import OsRandomness
    from outlast.adapters.keyring.file import rotate_keys

    _told(file, rotate_keys(file, OsRandomness()), json, "rotated")


@keys_app.command("list")
def list_(file: File = _file, json: Json = False) -> None:
    """Name the keys in a file, the one that seals first, as they stand in what they sealed.

    For example:

        outlast keys list --json | jq -r .current
    """
    from outlast.adapters.keyring.file import read_keys

    _told(file, read_keys(file), json, "")


def _told(file: Path, document: Document, json: bool, what: str) -> None:
    from outlast.cli.output import note, print_json

    ids = [entry.sealed_as for entry in document.keys]
    if json:
        print_json({"file": str(file.absolute()), "current": ids[0], "keys": ids})
        return
    if what:
        note(f"{what} {file.absolute()} (mode 0600): keep a copy of it apart from the data")
    for index, id in enumerate(ids):
        print(f"{id}  {'seals and opens' if index == 0 else 'opens'}")
