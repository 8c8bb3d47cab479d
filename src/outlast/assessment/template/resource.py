"""What templates declare, in one form for CloudFormation and Terraform: resources, properties, references.

A reference stands in a property as text: U+E000, the resource, ``|``, the attribute, U+E001. Where a value is known and
refers to something as well, the references stand beside it, under its key and U+E002.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from outlast.assessment.template.text import walk

resources_max = 5_000
"""Bound of the resources of all files together."""

_MARK = re.compile("\ue000([^|\ue001]*)\\|([^\ue001]*)\ue001")
_beside = "\ue002"


class Reference(NamedTuple):
    """Something of another resource."""

    resource: str
    """Its id."""
    attribute: str
    """``Arn``, ``arn``; empty: the resource itself."""


class Missing(msgspec.Struct, frozen=True):
    """A value that the template does not say: a parameter without a default, an import of another stack."""

    what: str


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of a template."""

    id: str
    """Unique over all files: ``Jobs``, ``standby.yaml/Jobs``, ``module.net.aws_subnet.a[0]``."""
    type: str
    """As the template says: ``AWS::SQS::Queue``, ``aws_sqs_queue``."""
    label: str
    """What people call it: the logical id, without what a tool has added."""
    properties: Mapping[str, Any] = {}
    depends: tuple[str, ...] = ()
    """Ids that it names as to be made before."""
    region: str = ""
    """Of AWS; empty: not known."""
    file: str = ""
    line: int = 0
    """From 1; 0: not known."""
    group: str = ""
    """The address that copies made by ``count`` share; empty: it is alone."""
    notes: tuple[str, ...] = ()
    """What was assumed when it was read."""

    def get(self, *paths: str) -> Any:
        """The first of `paths` that says something; None: none of them does, or it is not known."""
        return get(self.properties, *paths)

    def refers(self, *paths: str) -> list[Reference]:
        """What the values at `paths` refer to; no path: all properties."""
        if not paths:
            return references(self.properties)
        return [found for path in paths for value in _beside_too(self.properties, path) for found in references(value)]


class Left(msgspec.Struct, frozen=True):
    """A resource, or a part of one, that was not read."""

    resource: str
    type: str
    file: str
    line: int
    why: str


_ZONE = re.compile(r"([a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-[0-9])[a-z]\Z")


class Inventory(msgspec.Struct):
    """What all files declare."""

    resources: dict[str, Resource] = {}
    left: list[Left] = []
    remarks: list[str] = []
    """What was not understood beside resources."""
    name: str = ""
    """Of the system, if the templates give it one."""

    def settle(self) -> None:
        """Where no region is said and all zones that are named lie in one, it is that one."""
        named: set[str] = set()
        for resource in self.resources.values():
            for key in ("AvailabilityZone", "availability_zone", "AvailabilityZoneName", "availability_zone_name"):
                match = _ZONE.match(str(resource.get(key)))
                if match is not None and not resource.region:
                    named.add(match[1])
        if len(named) != 1 or any(resource.region for resource in self.resources.values()):
            return
        (region,) = named
        self.resources = {key: msgspec.structs.replace(one, region=region) for key, one in self.resources.items()}
        self.remarks.append(f"the region is taken from the names of zones: {region}")


def mark(resource: str, attribute: str = "") -> str:
    """A reference as text."""
    return f"\ue000{resource}|{attribute}\ue001"


def beside(key: str) -> str:
    """Where references stand that belong to a known value."""
    return key + _beside


def references(value: Any) -> list[Reference]:
    """Every reference in `value`, each once, in the order of the text."""
    found: dict[Reference, None] = {}
    for inner in walk(value):
        if isinstance(inner, str) and "\ue000" in inner:
            for match in _MARK.finditer(inner):
                found[Reference(match[1], match[2])] = None
    return list(reversed(found)) if isinstance(value, dict | list) else list(found)


def plain(value: Any) -> str:
    """Text without its references, each as ``*``."""
    return _MARK.sub("*", value) if isinstance(value, str) else ""


def get(value: Any, *paths: str) -> Any:
    """What stands at the first of `paths` (``a.b.c``; case and underscores do not matter) that says something.

    A list of one stands for its only item on the way. None: nothing does, or it is not known.
    """
    for path in paths:
        found = value
        for word in path.split("."):
            found = _step(found, word)
        if found is not None and not isinstance(found, Missing):
            return found
    return None


def _step(value: Any, word: str) -> Any:
    if isinstance(value, list) and len(cast("list[Any]", value)) == 1:
        value = cast("list[Any]", value)[0]
    if not isinstance(value, dict):
        return None
    known = cast("dict[str, Any]", value)
    if word in known:
        return known[word]
    wanted = _folded(word)
    return next((inner for key, inner in known.items() if _folded(key) == wanted), None)


def _folded(word: str) -> str:
    return word.replace("_", "").lower()


def _beside_too(value: Any, path: str) -> Iterator[Any]:
    above, _, last = path.rpartition(".")
    holder = get(value, above) if above else value
    yield get(holder, last)
    yield _step(holder, beside(last))


def items(value: Any) -> list[dict[str, Any]]:
    """The mappings in a list; a mapping alone is a list of one."""
    if isinstance(value, dict):
        return [cast("dict[str, Any]", value)]
    return [cast("dict[str, Any]", inner) for inner in listed(value) if isinstance(inner, dict)]


def listed(value: Any) -> list[Any]:
    """A list; what is alone is a list of one, and nothing is none."""
    if value is None or isinstance(value, Missing):
        return []
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def number(value: Any) -> float | None:
    """A number, also as text; None: not one, or not known."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", value):
        return float(value)
    return None


def count(value: Any) -> int | None:
    """A whole number of at least 0."""
    found = number(value)
    return int(found) if found is not None and found >= 0 else None


def true(value: Any) -> bool:
    """Whether it says yes: ``true``, ``"true"``, ``Enabled``."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "enabled", "enable", "yes", "on"))


def texts(values: Iterable[Any]) -> list[str]:
    """The text among `values`."""
    return [value for value in values if isinstance(value, str)]
