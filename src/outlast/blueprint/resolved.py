"""A blueprint as it stands in a file: what was written, or all of it with the defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args, get_origin

import msgspec
import yaml

from outlast.blueprint.form import SCALARS, form_of
from outlast.blueprint.region import Region, Regions
from outlast.blueprint.schema import Blueprint, default_pool
from outlast.blueprint.section import Key, is_section, plain, section


def resolve(blueprint: Blueprint) -> Blueprint:
    """`blueprint` with the defaults that depend on other values: pools, peaks, shares, classes."""
    replace = msgspec.structs.replace
    pools = blueprint.pools()
    workers = replace(blueprint.workers, memory_max=pools[default_pool].worker_memory_max)
    only = next(iter(blueprint.objectives)) if len(blueprint.objectives) == 1 else None
    agents = {
        name: replace(
            agent,
            work_class=agent.work_class or only,
            workers=agent.workers and replace(agent.workers, memory_max=pools[name].worker_memory_max),
        )
        for name, agent in blueprint.agents.items()
    }
    load = {name: replace(load, peak=load.peak or load.steady) for name, load in blueprint.load.items()}
    regions = blueprint.regions and _shared_out(blueprint.regions)
    return replace(blueprint, workers=workers, agents=agents, load=load, regions=regions)


def _shared_out(regions: Regions) -> Regions:
    """With the share of every region: what nobody has said is the home's, or equal parts where all are active."""
    every = {name: region for name, region in regions.all().items() if not region.journal_only}
    said = sum(region.share or 0.0 for region in every.values())
    silent = [name for name, region in every.items() if region.share is None]
    heirs = silent if regions.strategy == "active_active" else [name for name in silent if name == "home"]

    def shared(name: str, region: Region) -> Region:
        if region.share is not None:
            return region
        return msgspec.structs.replace(region, share=max(0.0, 1.0 - said) / len(heirs) if name in heirs else 0.0)

    return msgspec.structs.replace(
        regions,
        home=shared("home", regions.home),
        standby=regions.standby and shared("standby", regions.standby),
        more={name: shared(name, region) for name, region in regions.more.items()},
    )


def written(blueprint: Blueprint, *, defaults: bool) -> dict[str, Any]:
    """What stands in a file that means `blueprint`, as text, numbers, lists and mappings.

    `defaults`: also what is as it would be anyway. What is absent by default stays absent.
    """
    return _section(blueprint, defaults)


def yaml_text(document: Mapping[str, Any]) -> str:
    """`document` as YAML, in its own order."""
    dump = cast(Any, yaml).safe_dump  # its stubs do not know what its parameters are
    return str(dump(dict(document), sort_keys=False, allow_unicode=True, width=120))


def _struct(value: msgspec.Struct, defaults: bool) -> Any:
    """A section, or, where only one value of it says something, that value alone."""
    known = section(type(value))
    found = _section(value, defaults)
    if known.alone is not None and not defaults and found.keys() <= {known.alone}:
        key = known.keys[known.alone]
        return _value(getattr(value, key.attribute), key.kind, defaults)
    return found


def _section(value: msgspec.Struct, defaults: bool) -> dict[str, Any]:
    known = section(type(value))
    found: dict[str, Any] = {}
    for name, key in known.keys.items():
        inner = getattr(value, key.attribute)
        if inner is None or (not defaults and name != "outlast" and _is_default(inner, key)):
            continue
        text = _value(inner, key.kind, defaults)
        if text not in ({}, []) or not _is_default(inner, key):
            found[name] = text
    if known.rest is not None:
        item = get_args(plain(known.rest.kind))[1]
        for name, inner in getattr(value, known.rest.attribute).items():
            found[name] = _value(inner, item, defaults)
    return found


def written_default(key: Key) -> Any:
    """What a key means that is not there, as it would be written; None if that is nothing."""
    default = _default(key)
    if default is None or default is msgspec.NODEFAULT:
        return None
    text = _value(default, key.kind, defaults=False)
    return None if text in ({}, []) else text


def _is_default(value: Any, key: Key) -> bool:
    return value == _default(key)


def _default(key: Key) -> Any:
    if key.field.default is msgspec.NODEFAULT and key.field.default_factory is not msgspec.NODEFAULT:
        return key.field.default_factory()
    return key.field.default


def _value(value: Any, kind: Any, defaults: bool) -> Any:
    kind = plain(kind)
    if is_section(kind) and kind not in SCALARS:
        return _struct(value, defaults)
    if get_origin(kind) is tuple:
        return [_value(item, get_args(kind)[0], defaults) for item in value]
    if get_origin(kind) is Mapping:
        item = get_args(kind)[1]
        return {name: _value(inner, item, defaults) for name, inner in cast("Mapping[str, Any]", value).items()}
    return form_of(kind).write(value)
