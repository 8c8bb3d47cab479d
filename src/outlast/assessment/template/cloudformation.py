"""CloudFormation templates (JSON, YAML, what the CDK synthesizes, SAM) -> an inventory of resources."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from outlast.assessment.template.intrinsic import Scope, TooMany
from outlast.assessment.template.resource import Inventory, Left, Missing, Resource, resources_max
from outlast.assessment.template.text import Text, read_text
from outlast.kernel.error import ConfigurationError

stacks_deep_max = 8
"""Bound of stacks within stacks."""

_CDK_HASH = re.compile(r"(?<=[A-Za-z0-9])[0-9A-F]{8}\Z")
_GENERIC = ("Service", "Cluster", "LB", "TaskDef", "Instance")
"""Words of the CDK's own that name nothing alone."""
_CDK_NESTED = re.compile(r"\.nested\.template\.json\Z")
_NESTED = ("AWS::CloudFormation::Stack", "AWS::Serverless::Application")
_QUIET_PREFIXES = ("AWS::CDK::", "AWS::CloudFormation::WaitCondition", "AWS::CloudFormation::Macro")


class Source(NamedTuple):
    """One file, and where it is deployed."""

    file: str
    raw: bytes
    region: str = ""
    """Of AWS; empty: not said."""


def cloudformation(sources: Sequence[Source]) -> Inventory:
    """The resources of all `sources`. Raises ConfigurationError for what is not a template."""
    stacks = [_stack(source) for source in sources]
    inventory = Inventory()
    reading = _Reading(stacks, inventory)
    nested = reading.nested_files()
    several = len(stacks) - len(nested) > 1
    for index, stack in enumerate(stacks):
        if index not in nested:
            reading.stack(index, f"{_stem(stack.text.file)}{index}/" if several else "", {}, stack.region)
    return inventory


class _Stack(NamedTuple):
    text: Text
    template: dict[str, Any]
    region: str


def _stack(source: Source) -> _Stack:
    text = read_text(source.file, source.raw)
    template = text.value
    if not isinstance(template, dict) or not isinstance(cast("dict[str, Any]", template).get("Resources"), dict):
        hint = ""
        if isinstance(template, dict) and ("planned_values" in template or "terraform_version" in template):
            hint = ": this is a plan of Terraform, try `outlast import terraform`"
        raise ConfigurationError(f"{source.file} has no Resources: expected a template of CloudFormation{hint}")
    return _Stack(text, cast("dict[str, Any]", template), source.region)


def _stem(file: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "", posixpath.basename(file).split(".")[0]) or "stack"


class _Reading:
    def __init__(self, stacks: list[_Stack], inventory: Inventory) -> None:
        self._stacks = stacks
        self._inventory = inventory
        self._exports: dict[str, Any] = {}
        self._outputs: dict[str, dict[str, Any]] = {}

    def nested_files(self) -> set[int]:
        """Which of the files are stacks within others of them."""
        found: set[int] = set()
        for stack in self._stacks:
            for declared in stack.template["Resources"].values():
                if isinstance(declared, dict) and cast("dict[str, Any]", declared).get("Type") in _NESTED:
                    index = self._file_of(cast("dict[str, Any]", declared))
                    if index is not None:
                        found.add(index)
        return found if len(found) < len(self._stacks) else set()

    def _file_of(self, declared: Mapping[str, Any]) -> int | None:
        """The given file that a nested stack is made of, by the name at the end of its address."""
        said = [declared.get("Metadata", {}), declared.get("Properties", {})]
        words: list[str] = []
        for value in said:
            for key in ("aws:asset:path", "TemplateURL", "Location"):
                if isinstance(value, dict):
                    inner = cast("dict[str, Any]", value).get(key)
                    words.extend(re.findall(r"[A-Za-z0-9_.-]+", str(inner)) if inner is not None else [])
        names = {posixpath.basename(stack.text.file): index for index, stack in enumerate(self._stacks)}
        named = next((names[word] for word in reversed(words) if word in names), None)
        return named if named is not None else self._only_nested()

    @functools.cached_property
    def _unnamed(self) -> list[int]:
        """Files that the CDK wrote for stacks within stacks: it names them in the outer template, or leaves it."""
        return [index for index, stack in enumerate(self._stacks) if _CDK_NESTED.search(stack.text.file)]

    def _only_nested(self) -> int | None:
        """Where an address says nothing, one stack within a stack and one file of the CDK's belong together."""
        within = 0
        for stack in self._stacks:
            every = cast("dict[str, Any]", stack.template["Resources"]).values()
            within += sum(isinstance(one, dict) and cast("dict[str, Any]", one).get("Type") in _NESTED for one in every)
        return self._unnamed[0] if within == len(self._unnamed) == 1 else None

    def stack(self, index: int, prefix: str, given: Mapping[str, Any], region: str, deep: int = 0) -> None:
        """Read one stack, and those within it first, so that their outputs are known."""
        stack = self._stacks[index]
        file = stack.text.file
        if deep > stacks_deep_max:
            raise ConfigurationError(f"{file}: stacks within stacks deeper than stacks_deep_max, {stacks_deep_max}")
        scope = Scope(stack.template, region, prefix, given, self._exports.get, self._output)
        declared = cast("dict[str, Any]", stack.template["Resources"])
        try:
            for name, resource in declared.items():
                if isinstance(resource, dict) and cast("dict[str, Any]", resource).get("Type") in _NESTED:
                    self._nested(stack, scope, name, cast("dict[str, Any]", resource), deep, index)
            for name, resource in declared.items():
                self._resource(stack, scope, name, resource)
            outputs = stack.template.get("Outputs")
            self._outputs[prefix.rstrip("/")] = found = {}
            for name, output in cast("dict[str, Any]", outputs).items() if isinstance(outputs, dict) else ():
                if isinstance(output, dict):
                    found[name] = scope.resolve(cast("dict[str, Any]", output).get("Value"))
                    export = scope.resolve(cast("dict[str, Any]", output).get("Export"))
                    if isinstance(export, dict) and "Name" in export:
                        self._exports[str(cast("dict[str, Any]", export)["Name"])] = found[name]
        except TooMany:
            raise ConfigurationError(f"{file}: its functions make more of it than can be read") from None
        self._inventory.remarks += [f"{file}: {remark}" for remark in scope.remarks]
        self._inventory.remarks += [
            f"{file}: condition {name} is not decided by the defaults: taken as true"
            for name in sorted(scope.undecided)
        ]
        transform = stack.template.get("Transform")
        if transform and "AWS::Serverless" not in str(transform):
            self._inventory.remarks.append(f"{file}: its Transform is not carried out: what it adds is not seen")

    def _output(self, resource: str, name: str) -> Any:
        return self._outputs.get(resource, {}).get(name)

    def _nested(self, stack: _Stack, scope: Scope, name: str, declared: dict[str, Any], deep: int, outer: int) -> None:
        index = self._file_of(declared)
        properties = declared.get("Properties")
        if index is None or index == outer or not isinstance(properties, dict):
            return
        parameters = scope.resolve(cast("dict[str, Any]", properties).get("Parameters"))
        given = cast("dict[str, Any]", parameters) if isinstance(parameters, dict) else {}
        known = {key: value for key, value in given.items() if not isinstance(value, Missing)}
        region = self._stacks[index].region or stack.region
        self.stack(index, f"{scope.prefix}{name}/", known, region, deep + 1)

    def _resource(self, stack: _Stack, scope: Scope, name: str, declared: Any) -> None:
        file, inventory = stack.text.file, self._inventory
        line = stack.text.lines.get(("Resources", name), 0)
        if not isinstance(declared, dict) or not isinstance(cast("dict[str, Any]", declared).get("Type"), str):
            why = "a macro of the template makes it" if name.startswith("Fn::") else "has no Type"
            inventory.left.append(Left(scope.prefix + name, "", file, line, why))
            return
        known = cast("dict[str, Any]", declared)
        kind = str(known["Type"])
        if kind.startswith(_QUIET_PREFIXES):
            return
        if kind in _NESTED:
            index = self._file_of(known)
            if index is None:
                why = "a stack within the stack: give its template as another FILE"
                inventory.left.append(Left(scope.prefix + name, kind, file, line, why))
            return
        notes: list[str] = []
        condition = known.get("Condition")
        if isinstance(condition, str):
            held = scope.holds(condition)
            if held is False:
                why = f"condition {condition} does not hold with the defaults"
                inventory.left.append(Left(scope.prefix + name, kind, file, line, why))
                return
            if held is None:
                notes.append(f"only if {condition}, which the defaults do not decide")
        properties = scope.resolve(known.get("Properties", {}))
        extra = {key: known[key] for key in ("DeletionPolicy", "UpdatePolicy") if key in known}
        depends = known.get("DependsOn", [])
        named = cast("list[Any]", depends) if isinstance(depends, list) else [depends]
        inventory.resources[scope.prefix + name] = Resource(
            id=scope.prefix + name,
            type=kind,
            label=_label(name, known),
            properties={**(cast("dict[str, Any]", properties) if isinstance(properties, dict) else {}), **extra},
            depends=tuple(scope.prefix + one for one in named if isinstance(one, str)),
            region=stack.region,
            file=file,
            line=line,
            notes=tuple(notes),
        )
        if len(inventory.resources) > resources_max:
            raise ConfigurationError(f"{file}: more resources than resources_max, {resources_max}")


def _label(name: str, declared: Mapping[str, Any]) -> str:
    """The last name that a person gave it: the CDK's path ends in ``Resource``, its logical ids in eight digits."""
    metadata = declared.get("Metadata")
    path = cast("dict[str, Any]", metadata).get("aws:cdk:path") if isinstance(metadata, dict) else None
    if isinstance(path, str):
        words = [word for word in path.split("/")[1:] if word not in ("Resource", "Default")]
        while len(words) > 1 and words[-1] in _GENERIC and words[-2].endswith(words[-1]):
            words.pop()  # such as Web/Service/Service
        if words:
            return words[-1] if words[-1] not in _GENERIC else "-".join(words[-2:])
    return _CDK_HASH.sub("", name)
