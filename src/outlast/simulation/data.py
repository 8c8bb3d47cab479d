"""Workloads and faults as files: what is run, and what goes wrong meanwhile."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from outlast.kernel.error import ConfigurationError
from outlast.simulation.disk import DiskFaults
from outlast.simulation.world import NetworkFaults

T = TypeVar("T")


class Runs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`count` runs of one program; `signals` are (name, how many) to each, `cancel`: they are cancelled midway.

    `storm`: all signals at once. `deadline_s`: in virtual seconds from each start; 0: none.
    """

    program: list[list[Any]]
    count: int = 1
    agent: str = "program"
    session: str = ""
    signals: list[tuple[str, int]] = []
    cancel: bool = False
    storm: bool = False
    deadline_s: float = 0.0


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The kill switch of `agent` is thrown `after_s`, for `for_s`."""

    agent: str
    after_s: float
    for_s: float


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What clients ask for, all within `spread_s` of virtual time."""

    name: str
    runs: list[Runs]
    spread_s: float = 4.0
    stops: list[Stop] = []
    far: bool = False
    """Every worker is on a host of its own: no other can say whether it is dead."""
    pooled: bool = False
    """The model is behind a pool in each worker: two endpoints that often fail, and another model to fall back to."""


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong for `last_s`: `acts` by weight, one each `every_s` (from, to), and what disk and network do."""

    name: str
    last_s: float = 12.0
    every_s: tuple[float, float] = (1.0, 2.0)
    acts: dict[str, int] = {}
    network: NetworkFaults = msgspec.field(default_factory=NetworkFaults)
    disk: DiskFaults = msgspec.field(default_factory=DiskFaults)


def names(folder: str) -> list[str]:
    """The names of what ships in a folder."""
    found = importlib.resources.files("outlast.simulation").joinpath(folder).iterdir()
    return sorted(path.name.removesuffix(".json") for path in found if path.name.endswith(".json"))


def load(folder: str, name: str, kind: type[T]) -> T:
    """One of those, or a file by its path; raises ConfigurationError."""
    try:
        if name.endswith(".json"):
            raw = Path(name).read_bytes()
        else:
            raw = importlib.resources.files("outlast.simulation").joinpath(folder, f"{name}.json").read_bytes()
        return msgspec.json.decode(raw, type=kind)
    except FileNotFoundError:
        raise ConfigurationError(f"{folder} {name!r} is not there; there are {', '.join(names(folder))}") from None
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{folder} {name}: {error}") from None
