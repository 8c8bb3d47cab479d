"""The draft while it is drawn: parts that become components, the resources that each is made of, what each needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from outlast.assessment.template.noun import noun_of
from outlast.assessment.template.resource import Inventory, Left, Reference, Resource

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")


class Need(msgspec.Struct):
    """One part needs another."""

    strength: str = "hard"
    mode: str = "synchronous"
    extra: dict[str, Any] = {}
    """``timeout``, ``on_loss`` and the like, as they are written."""
    why: str = ""

    def written(self) -> Any:
        """As it stands in the file."""
        said = {"strength": self.strength, "mode": self.mode, **self.extra}
        if self.mode == "synchronous":
            del said["mode"]
        return self.strength if said.keys() == {"strength"} else said


class Part(msgspec.Struct):
    """What becomes one component."""

    id: str
    noun: str
    section: str
    name: str
    body: dict[str, Any]
    resources: list[Resource] = []
    notes: list[str] = []
    """What was assumed."""
    needs: dict[str, Need] = {}
    """By id of the other part."""
    regions: list[str] = []
    """Of AWS, where it is; empty: where everything is."""
    backup: dict[str, Any] = {}
    copies: list[str] = []
    """Regions of AWS, and ``vault``, where copies of its data lie."""
    subnets: list[str] = []
    """Ids of the subnets that it is in."""
    running: dict[str, int] = {}
    """By region of AWS, how many instances are wanted."""

    def note(self, text: str) -> None:
        """Say something that was assumed, once."""
        if text not in self.notes:
            self.notes.append(text)

    def spread(self, instances: int, zones: int | None, **more: Any) -> None:
        """Say how many of it there are, and in how many zones; None: not known."""
        said: dict[str, Any] = {"instances": max(1, instances)}
        if zones is not None:
            said["zones"] = max(1, zones)
        self.body["redundancy"] = said | {key: value for key, value in more.items() if value is not None}


class Sketch:
    """All parts, and which part each resource belongs to."""

    def __init__(self, inventory: Inventory) -> None:
        """Nothing is drawn yet."""
        self.inventory = inventory
        self.parts: dict[str, Part] = {}
        self.alarms: dict[str, dict[str, Any]] = {}
        self.escalation: dict[str, str] = {}
        """By topic, its name in ``escalation:``."""
        self.regions: dict[str, Any] = {}
        """Of ``regions:``, what the templates say beside which there are."""
        self.quiet: list[Resource] = []
        self.used: set[str] = set()
        """Resources that said something without belonging to one part."""
        self._owner: dict[str, str] = {}
        self._referring: dict[tuple[str, tuple[str, ...]], dict[str, list[Resource]]] = {}
        self._refers: dict[tuple[int, tuple[str, ...]], tuple[Any, list[Reference]]] = {}
        self._by_noun: dict[str, list[Resource]] = {}
        self._names: set[str] = {"journal"}
        for resource in inventory.resources.values():
            noun = noun_of(resource.type)
            self._by_noun.setdefault(noun, []).append(resource)
        self.quiet = self._by_noun.get("quiet", [])

    def of(self, *nouns: str) -> Iterator[Resource]:
        """The resources of these nouns, in the order of the files."""
        for noun in nouns:
            yield from self._by_noun.get(noun, ())

    def add(self, resource: Resource, section: str, name: str = "", **body: Any) -> Part:
        """A new part, made of `resource`."""
        noun = noun_of(resource.type)
        known = {key: value for key, value in body.items() if value is not None}
        second = str(known.get("aws") or known.get("kind") or section.rstrip("s"))
        named = self.name(name or resource.label, second)
        part = Part(resource.id, noun, section, named, known, notes=list(resource.notes))
        if resource.region:
            part.regions = [resource.region]
        self.parts[part.id] = part
        self.own(part, resource)
        return part

    def name(self, label: str, second: str = "") -> str:
        """A name that no other component has: ``OrdersTable`` is ``orders_table``; if it is taken, `second` follows."""
        words = [word.lower() for word in _WORD.findall(label)]
        name = "_".join(words)[:100] or "part"
        if name in self._names and second:
            name = f"{name}_{second}"
        found, number = name, 2
        while found in self._names:
            found, number = f"{name}_{number}", number + 1
        self._names.add(found)
        return found

    def own(self, part: Part, *resources: Resource) -> None:
        """`resources` say something about `part`, and belong to it."""
        for resource in resources:
            if resource.id not in self._owner:
                self._owner[resource.id] = part.id
                part.resources.append(resource)
                for text in resource.notes:
                    part.note(text)

    def part(self, resource: str | None) -> Part | None:
        """The part that a resource belongs to."""
        owner = self._owner.get(resource) if resource is not None else None
        return self.parts.get(owner) if owner is not None else None

    def resource(self, reference: Reference) -> Resource | None:
        """The resource that is referred to."""
        return self.inventory.resources.get(reference.resource)

    def refers(self, resource: Resource, *paths: str) -> list[Reference]:
        """As `Resource.refers`, looked up once."""
        key = (id(resource.properties), paths)
        known = self._refers.get(key)
        if known is None:  # the properties are kept with it, so that nothing else gets their identity
            known = self._refers[key] = (resource.properties, resource.refers(*paths))
        return known[1]

    def parts_at(self, resource: Resource, *paths: str) -> list[Part]:
        """The parts that what stands at `paths` refers to."""
        found = [self.part(reference.resource) for reference in self.refers(resource, *paths)]
        return list({part.id: part for part in found if part is not None}.values())

    def resources_at(self, resource: Resource, *paths: str) -> list[Resource]:
        """The resources that what stands at `paths` refers to."""
        found = [self.resource(reference) for reference in self.refers(resource, *paths)]
        return list({one.id: one for one in found if one is not None}.values())

    def referring(self, noun: str, target: Resource, *paths: str) -> list[Resource]:
        """The resources of a noun that refer to `target` at `paths`."""
        index = self._referring.get((noun, paths))
        if index is None:
            index = self._referring[noun, paths] = {}
            for resource in self.of(noun):
                for name in dict.fromkeys(reference.resource for reference in self.refers(resource, *paths)):
                    index.setdefault(name, []).append(resource)
        return index.get(target.id, [])

    def need(self, source: Part, target: Part, why: str = "", *, strength: str = "hard", mode: str = "synchronous",
             **extra: Any) -> None:  # fmt: skip
        """`source` needs `target`; said twice, the stronger counts, and what was said first."""
        if source.id == target.id:
            return
        known = source.needs.get(target.id)
        said = {key: value for key, value in extra.items() if value is not None}
        if known is None:
            source.needs[target.id] = Need(strength, mode, said, why)
        elif known.strength == "soft" and strength == "hard":
            known.strength = "hard"
            known.extra = {key: value for key, value in known.extra.items() if key != "on_loss"} | said

    def use(self, resource: Resource) -> None:
        """`resource` said something."""
        self.used.add(resource.id)

    def leave(self, resource: Resource, why: str) -> None:
        """`resource` was not read."""
        self.inventory.left.append(Left(resource.id, resource.type, resource.file, resource.line, why))

    def owned(self, resource: Resource) -> bool:
        """Whether it belongs to a part."""
        return resource.id in self._owner

    def of_noun(self, *nouns: str) -> list[Part]:
        """The parts of these nouns."""
        return [part for part in self.parts.values() if part.noun in nouns]

    def drop(self, part: Part, into: Part) -> None:
        """`part` is a part of `into`: what needs it needs that, its resources belong to that."""
        for resource in part.resources:
            self._owner[resource.id] = into.id
        into.resources.extend(part.resources)
        del self.parts[part.id]
        for other in self.parts.values():
            known = other.needs.pop(part.id, None)
            if known is not None and other.id != into.id:
                other.needs.setdefault(into.id, known)


def unique(values: Iterable[str]) -> list[str]:
    """Each once, in their order."""
    return list(dict.fromkeys(values))
