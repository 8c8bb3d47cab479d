"""Templates -> a draft of ``outlast.yaml``: parts are read, connected, put together and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from outlast.assessment.template import access, compute, front, intelligence, messaging, network, protection, storage
from outlast.assessment.template.assembly import classes, described, key_of, merge, objectives, regions_of
from outlast.assessment.template.cloudformation import Source, cloudformation
from outlast.assessment.template.noun import noun_of
from outlast.assessment.template.resource import Inventory, Left
from outlast.assessment.template.sketch import Part, Sketch
from outlast.assessment.template.terraform import terraform
from outlast.assessment.template.writing import written
from outlast.blueprint.link import components_max
from outlast.kernel.error import ConfigurationError

_READERS = {
    **front.READERS, **compute.READERS, **storage.READERS, **messaging.READERS, **intelligence.READERS,
}  # fmt: skip


_ground = frozenset((
    "role", "policy", "policy_use", "policy_text", "instance_profile", "security_group", "security_rule", "subnet",
    "route", "route_use", "route_table", "vpc_endpoint", "permission", "ecs_cluster", "launch_template",
))  # fmt: skip
"""Nouns of what is read, and may say nothing in the end: rights and networks that no component uses."""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """One component of the draft, and what it was made of."""

    component: str
    """``stores.orders``."""
    resources: tuple[str, ...]
    assumed: tuple[str, ...]
    needs: Mapping[str, str]
    """By component, why."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A draft of a blueprint, and an account of every resource."""

    text: str
    """``outlast.yaml``, with comments."""
    name: str
    regions: tuple[str, ...]
    components: tuple[Drawn, ...]
    told: tuple[str, ...]
    """Resources that were read for what they say of components: rules, policies, subnets, alarms."""
    quiet: tuple[str, ...]
    """Resources that are known, and say nothing about what fails when."""
    left: tuple[Left, ...]
    """Resources that were not read."""
    remarks: tuple[str, ...]


def draft_cloudformation(sources: Sequence[Source], name: str = "") -> Draft:
    """A draft from templates of CloudFormation. Raises ConfigurationError."""
    return draft(cloudformation(sources), "CloudFormation", [source.file for source in sources], name)


def draft_terraform(sources: Sequence[Source], name: str = "") -> Draft:
    """A draft from plans of Terraform as JSON. Raises ConfigurationError."""
    return draft(terraform(sources), "Terraform", [source.file for source in sources], name)


def draft(inventory: Inventory, kind: str, files: Sequence[str], name: str = "") -> Draft:
    """A draft from an inventory."""
    inventory.settle()
    sketch = Sketch(inventory)
    net = network.Network(sketch)
    for noun, read in _READERS.items():
        for resource in list(sketch.of(noun)):
            if not sketch.owned(resource):
                read(sketch, net, resource)
    _simple(sketch)
    compute.fold(sketch)
    storage.fold(sketch)
    messaging.dead_letters(sketch)
    front.connect(sketch)
    messaging.connect(sketch)
    intelligence.connect(sketch)
    access.connect(sketch)
    net.gateways()
    protection.connect(sketch)
    front.names(sketch)
    protection.drop_told(sketch)
    regions = regions_of(sketch)
    merge(sketch, regions)
    _deployers(sketch)
    found = classes(sketch)
    _account(sketch)
    if len(sketch.parts) > components_max:
        raise ConfigurationError(
            f"{files[0]} gives {len(sketch.parts)} components, the bound components_max is {components_max}: "
            "give fewer files"
        )
    document = _document(sketch, net, regions, found, name or inventory.name or "imported")
    return Draft(
        text=written(document, kind, files, sketch, len(inventory.left)),
        name=document["name"],
        regions=tuple(regions),
        components=tuple(_drawn(sketch, part) for part in sketch.parts.values()),
        told=tuple(sorted(one for one in sketch.used if sketch.part(one) is None)),
        quiet=tuple(one.id for one in sketch.quiet),
        left=tuple(inventory.left),
        remarks=tuple(dict.fromkeys(inventory.remarks)),
    )


def _simple(sketch: Sketch) -> None:
    for secret in sketch.of("secret"):
        part = sketch.add(secret, "services", kind="secret", aws="secrets_manager")
        sketch.own(part, *(one for one in sketch.of("secret_part") if secret in sketch.resources_at(one)))
    for key in sketch.of("key"):
        part = sketch.add(key, "services", kind="key", aws="kms")
        sketch.own(part, *(one for one in sketch.of("key_alias") if key in sketch.resources_at(one)))


def _deployers(sketch: Sketch) -> None:
    """Functions that run only while a stack is changed are no part of the system."""
    made = {one.resource for resource in sketch.inventory.resources.values() for one in resource.refers("ServiceToken")}
    needed = {target for part in sketch.parts.values() for target in part.needs}
    for name in made - needed:
        part = sketch.parts.get(name)
        if part is not None and not any(need.mode == "asynchronous" for need in part.needs.values()):
            del sketch.parts[name]
            for resource in part.resources:
                sketch.leave(
                    resource, "runs only while the stack is changed: a ServiceToken names it, and nothing else"
                )


def _account(sketch: Sketch) -> None:
    """List what nobody has read, so that nothing is dropped in silence."""
    left = {one.resource for one in sketch.inventory.left}
    for resource in sketch.inventory.resources.values():
        if resource.id in left or resource.id in sketch.used:
            continue
        noun = noun_of(resource.type)
        part = sketch.part(resource.id)
        if noun == "":
            why = (
                f"a type that is not known; {part.name} stands for it"
                if part is not None
                else "a type that is not known"
            )
            sketch.leave(resource, why)
        elif noun in _ground:
            sketch.use(resource)
        elif noun != "quiet" and part is None:
            sketch.leave(resource, "nothing was found that it belongs to")


def _drawn(sketch: Sketch, part: Part) -> Drawn:
    needs = {
        f"{sketch.parts[target].section}.{sketch.parts[target].name}": need.why for target, need in part.needs.items()
    }
    return Drawn(
        component=f"{part.section}.{part.name}",
        resources=tuple(dict.fromkeys(resource.id for resource in part.resources)),
        assumed=tuple(part.notes),
        needs=needs,
    )


def _document(sketch: Sketch, net: network.Network, regions: list[str], found: list[str], name: str) -> dict[str, Any]:
    keys = key_of(regions)
    document: dict[str, Any] = {"outlast": 1, "name": name}
    if found:
        document["objectives"] = objectives(found, len(regions))
    document["regions"] = described(sketch, net, regions)
    for section in ("services", "models", "stores", "queues", "external"):
        parts = {
            part.name: _body(sketch, part, regions, keys) for part in sketch.parts.values() if part.section == section
        }
        if parts:
            document[section] = parts
    backups = {part.name: _backup(part, keys) for part in sketch.parts.values() if part.section == "stores"}
    backups = {store: said for store, said in backups.items() if said}
    if backups:
        document["backup"] = backups
    if sketch.alarms:
        document["alarms"] = {alarm: _alarm(sketch, said) for alarm, said in sketch.alarms.items()}
    if sketch.escalation:
        document["escalation"] = {told: [{"to": f"sns:{told}"}] for told in sketch.escalation.values()}
    return document


def _alarm(sketch: Sketch, said: Mapping[str, Any]) -> dict[str, Any]:
    written = {key: value for key, value in said.items() if key not in ("from", "note", "about")}
    about = sketch.part(said["about"])
    if about is not None:
        written = {"metric": written.pop("metric"), "of": [about.name], **written}
    return written


def _body(sketch: Sketch, part: Part, regions: list[str], keys: Mapping[str, str]) -> dict[str, Any]:
    body = {key: value for key, value in part.body.items() if value is not None}
    if len(regions) > 1 and part.regions and set(part.regions) != set(regions):
        body["regions"] = [keys[region] for region in part.regions if region in keys]
    if part.needs:
        body["needs"] = {sketch.parts[target].name: need.written() for target, need in part.needs.items()}
    return body


def _backup(part: Part, keys: Mapping[str, str]) -> dict[str, Any]:
    said = dict(part.backup)
    copies = [
        copy
        for copy in dict.fromkeys(keys.get(region, region) for region in part.copies)
        if copy in (*keys.values(), "vault")
    ]
    if copies and (said or part.noun == "bucket"):
        said["copies"] = copies
    return said
