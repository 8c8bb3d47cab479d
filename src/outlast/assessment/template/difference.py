"""What one deployment of a stack has that another one of it has not, such as a region that was changed by hand.

Both are drafted as blueprints and compared as such: what says nothing about failures does not count, nor do the names
of regions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from outlast.blueprint.resolved import written
from outlast.blueprint.schema import Blueprint

_apart = ("outlast", "name", "regions", "run_on")
"""Sections that say which deployment it is."""


class Difference(msgspec.Struct, frozen=True):
    """One place where two deployments differ."""

    where: str
    """``stores.orders.standbys``."""
    here: Any
    """What is said there; None: nothing."""
    there: Any


def differences(here: Blueprint, there: Blueprint) -> list[Difference]:
    """Where `there` is not `here`, in the order of the file."""
    return list(_between("", _comparable(here), _comparable(there)))


def _comparable(blueprint: Blueprint) -> Any:
    said = {key: value for key, value in written(blueprint, defaults=False).items() if key not in _apart}
    regions = [] if blueprint.regions is None else [one.aws for one in blueprint.regions.all().values() if one.aws]
    return _neutral(said, regions)


def _neutral(value: Any, regions: list[str]) -> Any:
    """Without the names of the regions that a deployment is in."""
    if isinstance(value, Mapping):
        return {key: _neutral(one, regions) for key, one in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_neutral(one, regions) for one in cast("list[Any]", value)]
    if isinstance(value, str):
        for region in regions:
            value = value.replace(region, "REGION")
    return value


def _between(where: str, here: Any, there: Any) -> Iterator[Difference]:
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        one, other = cast("Mapping[str, Any]", here), cast("Mapping[str, Any]", there)
        for key in dict.fromkeys((*one, *other)):
            yield from _between(f"{where}.{key}" if where else key, one.get(key), other.get(key))
    elif here != there:
        yield Difference(where, here, there)
