"""Reads ``outlast.yaml`` into the frozen structs of `blueprint/schema.py`, and refuses everything else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from outlast.blueprint.document import Document, did_you_mean, yaml_bytes_max
from outlast.blueprint.link import broken_links
from outlast.blueprint.reader import Reader, Spot
from outlast.blueprint.schema import Blueprint
from outlast.kernel.error import ConfigurationError

blueprint_file = "outlast.yaml"
"""Its name in the project directory."""

_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def load(home: Path) -> Blueprint:
    """The blueprint of a project directory; all defaults if it has no ``outlast.yaml``.

    Raises ConfigurationError with file, line and column for whatever cannot be accepted.
    """
    path = home / blueprint_file
    raw = read(path)
    return Blueprint(name=name_of(home)) if raw is None else parse(raw, str(path), name_of(home))


def load_file(path: Path, name: str | None = None) -> tuple[Blueprint, Mapping[str, Spot]]:
    """The blueprint in one file, wherever it is, and where everything stands in it; see `parse_placed`.

    `name`: the system's if the file gives none; None: that of its directory. Raises ConfigurationError, also if there
    is no such file.
    """
    raw = read(path)
    if raw is None:
        raise ConfigurationError(f"{path} is not there: write it, or name another file")
    return parse_placed(raw, str(path), name or name_of(path.resolve().parent))


def read(path: Path) -> bytes | None:
    """What stands in a file, as much of it as may; None if there is none. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            return file.read(yaml_bytes_max + 1)
    except FileNotFoundError:
        if path.is_symlink():  # somebody wrote one: its absence is no choice of all defaults
            raise ConfigurationError(f"{path} is a link to {path.readlink()}, which is not there") from None
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


def parse(raw: bytes, file: str = blueprint_file, name: str = "outlast") -> Blueprint:
    """The blueprint in `raw`; `name` is the system's if it gives none, `file` what errors show."""
    return parse_placed(raw, file, name)[0]


def parse_placed(raw: bytes, file: str = blueprint_file, name: str = "outlast") -> tuple[Blueprint, Mapping[str, Spot]]:
    """As `parse`; and where every key and list item stands, by path.

    Paths are the file's own words: ``agents.support.needs.writer``, ``models.writer.endpoints[0].quota``.
    """
    document = Document(file, raw)
    if document.root is None:
        return Blueprint(name=name), {}
    reader = Reader(document)
    blueprint = reader.struct(document.root, Blueprint, "")
    for path, problem in broken_links(blueprint):
        document.refuse_at(*_spot(reader.places, path), f"{path or 'the file'} {problem}")
    if "name" not in reader.places:
        blueprint = msgspec.structs.replace(blueprint, name=name)
    return blueprint, reader.places


def _spot(places: Mapping[str, Spot], path: str) -> Spot:
    """Where it stands, or what it is a part of."""
    while path not in places and "." in path:
        path = path.rpartition(".")[0]
    return places.get(path, Spot(1, 1))


def check_agents(blueprint: Blueprint, agents: Mapping[str, object]) -> None:
    """Raises ConfigurationError if the blueprint speaks of an agent that the app does not have."""
    for name in blueprint.agents:
        if name not in agents:
            raise ConfigurationError(
                f"{blueprint_file}: agents.{name} is not an agent of {blueprint.app}: {did_you_mean(name, agents)}"
            )


def name_of(home: Path) -> str:
    """The name of a project that gives itself none: that of its directory, as far as it can be one."""
    return _NOT_A_NAME.sub("-", home.resolve().name).strip("-_.")[:128] or "outlast"
