"""What the makers of `Component` and `Edge` share: the blueprint, its names, its places, its regions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from outlast.assessment.figure import Figure
from outlast.assessment.place import Place
from outlast.assessment.region import Region
from outlast.blueprint.component import Component as Declared
from outlast.blueprint.link import Names
from outlast.blueprint.reader import Spot
from outlast.blueprint.region import Regions
from outlast.blueprint.schema import Blueprint
from outlast.blueprint.training import Training

here = "local"
"""The one region, and the one zone, of a system that says nothing of where it runs."""


class Described:
    """One blueprint, with the questions that several parts of the description ask."""

    def __init__(self, blueprint: Blueprint, places: Mapping[str, Spot]) -> None:
        """`places` as `parse_placed` gives them; empty: nothing is known of lines."""
        self.blueprint = blueprint
        self.names = Names(blueprint)
        self._places = places

    @cached_property
    def declared(self) -> dict[str, Declared | Training]:
        """By path, everything that becomes a component; the journal only where something writes it."""
        found = dict(self.names.components)
        if not self.blueprint.agents and not self.said("stores.journal"):
            del found["stores.journal"]
        return found

    @cached_property
    def name_of(self) -> dict[str, str]:
        """By path, the name in the system: the short one, unless two have it."""
        short = [path.partition(".")[2] for path in self.declared]
        return {path: name if short.count(name) == 1 else path for path, name in zip(self.declared, short, strict=True)}

    def named(self, name: str) -> str | None:
        """The name in the system of what `name` means in the file."""
        path = self.names.resolve(name)
        return self.name_of.get(path) if path is not None else None

    def said(self, path: str) -> bool:
        """Whether the file has that key, or one below it."""
        return path in self._places or any(place.startswith(f"{path}.") for place in self._places)

    def place(self, path: str) -> Place:
        """Where it stands; where the file does not say it, where what it is a part of stands."""
        keys = tuple(path.split("."))
        known = path
        while known and known not in self._places:
            known = known.rpartition(".")[0]
        spot = self._places.get(known, Spot(0, 0))
        return Place(spot.line, spot.column, keys)

    def figure(self, value: float | None, path: str, otherwise: Figure) -> Figure:
        """A declared number, or what is known otherwise."""
        return otherwise if value is None else Figure(value, "declared", path)

    @cached_property
    def regions(self) -> dict[str, Region]:
        """By name in the file, and by name of AWS, every region; one called `here` where none is described."""
        described = self.blueprint.regions
        if described is None:
            cloud = self.blueprint.run_on.aws is not None or any(
                getattr(component, "aws", None) for component in self.declared.values()
            )
            zones = tuple(f"zone-{letter}" for letter in "abc") if cloud else (here,)
            return {here: Region(name=here, zones=zones, provider="aws" if cloud else "local")}
        found: dict[str, Region] = {}
        everywhere = described.strategy == "active_active"
        rest = _rest(described, everywhere)
        for key, region in described.all().items():
            name = region.aws or key
            serves = key == "home" or bool(region.share) or (everywhere and not region.journal_only)
            running = region.running
            if described.strategy == "pilot_light" and key != "home" and not self.said(f"regions.{key}.running"):
                running = 0.0
            found[key] = Region(
                name=name,
                zones=tuple(f"{name}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"[: min(region.zones, 26)]),
                standby=not serves,
                share=region.share if region.share is not None else rest if serves else 0.0,
                running=running,
                provider="aws" if region.aws else "",
                witness=region.journal_only,
                place=self.place(f"regions.{key}"),
            )
        return found

    @cached_property
    def by_aws_name(self) -> dict[str, str]:
        """The key of a region by the name that AWS gives it."""
        return {region.name: key for key, region in self.regions.items()}

    def region(self, name: str) -> Region:
        """The region that a component names: by its key or as AWS does; one that no section describes has 3 zones."""
        key = name if name in self.regions else self.by_aws_name.get(name)
        if key is not None:
            return self.regions[key]
        return Region(name=name, zones=tuple(f"{name}{letter}" for letter in "abc"), provider="aws")

    def where(self, declared: Declared) -> list[Region]:
        """The regions where a component runs."""
        if declared.regions:
            return [self.region(name) for name in declared.regions]
        described = self.blueprint.regions
        if described is None:
            return list(self.regions.values())
        holders = {key for key, region in described.all().items() if region.journal_only}
        only_home = described.strategy == "backup_restore"
        return [r for key, r in self.regions.items() if key not in holders and not (only_home and key != "home")]


def _rest(regions: Regions, everywhere: bool) -> float:
    """The share of the traffic of a region that says none and serves: equal parts of what the others leave."""
    every = {key: region for key, region in regions.all().items() if not region.journal_only}
    silent = [key for key, region in every.items() if region.share is None and (everywhere or key == "home")]
    left = max(0.0, 1.0 - sum(region.share or 0.0 for region in every.values()))
    return left / max(1, len(silent))
