"""CloudFormation's functions, as far as a template says their values without an account: ``Ref``, ``Fn::Sub``, …

What only a deployment knows is `Missing`, or a reference. A condition that hangs on such a value is taken as true, and
what the other branch refers to is kept beside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from outlast.assessment.template.resource import Missing, mark, plain, references

account = "111122223333"
"""Stands for an account that the template does not name."""
evaluations_max = 2_000_000
"""Bound of the values that are resolved for one template; 64 characters of a text that is put together are one."""
conditions_deep_max = 32
"""Bound of conditions that hang on one another; beyond it one is not decided."""

_NAME = re.compile(r"\$\{(!?)([A-Za-z0-9_.:]{1,256})\}")
_left_out = Missing("AWS::NoValue")


class TooMany(Exception):
    """More than `evaluations_max` values were resolved."""


class Scope:
    """What names mean in one template."""

    def __init__(
        self,
        template: Mapping[str, Any],
        region: str,
        prefix: str = "",
        given: Mapping[str, Any] | None = None,
        imports: Callable[[str], Any] | None = None,
        stack: Callable[[str, str], Any] | None = None,
    ) -> None:
        """`given` are parameters that an outer stack sets; `stack` gives the output of a nested one."""
        self.prefix = prefix
        self.remarks: dict[str, None] = {}
        self.undecided: set[str] = set()
        """Conditions that the defaults do not decide."""
        self._region = region
        self._parameters = _mapping(template.get("Parameters"))
        self._mappings = _mapping(template.get("Mappings"))
        self._conditions = _mapping(template.get("Conditions"))
        self._resources = _mapping(template.get("Resources"))
        self._given = given or {}
        self._imports = imports
        self._stack = stack
        self._open: set[str] = set()
        self._decided: dict[str, bool | None] = {}
        self._left = evaluations_max

    def resolve(self, value: Any) -> Any:
        """`value` with its functions carried out. Raises TooMany."""
        self._left -= 1
        if self._left < 0:
            raise TooMany
        if isinstance(value, list):
            found = [self.resolve(inner) for inner in cast("list[Any]", value)]
            return [inner for inner in found if inner is not _left_out]
        if not isinstance(value, dict):
            return value
        known = cast("dict[str, Any]", value)
        if len(known) == 1:
            ((name, argument),) = known.items()
            function = _FUNCTIONS.get(name)
            if function is not None:
                return function(self, argument)
            if name.startswith("Fn::"):
                self.remarks[f"{name} is not evaluated"] = None
                return Missing(name)
        resolved = {key: self.resolve(inner) for key, inner in known.items()}
        return {key: inner for key, inner in resolved.items() if inner is not _left_out}

    def holds(self, name: str) -> bool | None:
        """Whether a condition holds with the defaults; None: they do not decide it."""
        if name not in self._decided:
            if name in self._open or name not in self._conditions or len(self._open) >= conditions_deep_max:
                return None  # a circle of conditions, or none of this name
            self._open.add(name)
            self._decided[name] = self._test(self._conditions[name])
            self._open.discard(name)
        if self._decided[name] is None:
            self.undecided.add(name)
        return self._decided[name]

    def _test(self, value: Any) -> bool | None:
        if isinstance(value, dict) and len(cast("dict[str, Any]", value)) == 1:
            ((name, argument),) = cast("dict[str, Any]", value).items()
            parts = cast("list[Any]", argument) if isinstance(argument, list) else list[Any]([argument])
            if name == "Condition":
                return self.holds(str(cast("object", argument)))
            if name == "Fn::Not":
                inner = self._test(parts[0]) if parts else None
                return None if inner is None else not inner
            if name in ("Fn::And", "Fn::Or"):
                found = [self._test(part) for part in parts]
                decisive = name == "Fn::Or"
                return decisive if decisive in found else None if None in found else not decisive
            if name == "Fn::Equals" and len(parts) == 2:
                first, second = self.resolve(parts[0]), self.resolve(parts[1])
                if isinstance(first, Missing) or isinstance(second, Missing) or references([first, second]):
                    return None
                return str(first) == str(second)
        return None

    def _name(self, name: str) -> Any:
        if name.startswith("AWS::"):
            return self._pseudo(name)
        if name in self._given:
            return self._given[name]
        if name in self._parameters:
            return self._parameter(name)
        if name in self._resources:
            return mark(self.prefix + name)
        self.remarks[f"nothing is named {name[:64]}"] = None
        return Missing(name)

    def _pseudo(self, name: str) -> Any:
        known = {
            "AWS::Region": self._region or None,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::AccountId": account,
            "AWS::StackName": "stack",
        }
        if name == "AWS::NoValue":
            return _left_out
        return known.get(name) or Missing(name)

    def _parameter(self, name: str) -> Any:
        declared = _mapping(self._parameters[name])
        default = declared.get("Default")
        kind = str(declared.get("Type", ""))
        if default is None or (default == "" and kind != "String") or "SSM" in kind:
            return Missing(f"parameter {name}")
        if kind.startswith("List<") or kind == "CommaDelimitedList":
            return [part.strip() for part in str(default).split(",") if part.strip()]
        return default

    def ref(self, argument: Any) -> Any:
        """``Ref``."""
        return self._name(argument) if isinstance(argument, str) else Missing("Ref")

    def attribute(self, argument: Any) -> Any:
        """``Fn::GetAtt``."""
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        if not isinstance(parts, list) or len(cast("list[Any]", parts)) != 2 or not isinstance(parts[0], str):
            return Missing("Fn::GetAtt")
        name, attribute = cast("list[Any]", parts)
        attribute = self.resolve(attribute)
        if not isinstance(attribute, str):
            attribute = ""
        if name not in self._resources:
            self.remarks[f"nothing is named {name[:64]}"] = None
            return Missing(name)
        if attribute.startswith("Outputs.") and self._stack is not None:
            found = self._stack(self.prefix + name, attribute.removeprefix("Outputs."))
            if found is not None:
                return found
        return mark(self.prefix + name, attribute.replace("|", ""))

    def sub(self, argument: Any) -> Any:
        """``Fn::Sub``."""
        parts = cast("list[Any]", argument) if isinstance(argument, list) else list[Any]([argument])
        text: Any = parts[0] if parts else None
        own: Any = parts[1] if len(parts) > 1 else None
        values = {key: self.resolve(inner) for key, inner in _mapping(own).items()}
        if not isinstance(text, str):
            return Missing("Fn::Sub")

        def put(match: re.Match[str]) -> str:
            if match[1]:
                return f"${{{match[2]}}}"
            name = match[2]
            if name in values:
                return _text(values[name])
            return _text(self.attribute(name) if "." in name else self._name(name))

        return self._spent(_NAME.sub(put, text))

    def _spent(self, text: str) -> str:
        self._left -= len(text) // 64
        return text

    def join(self, argument: Any) -> Any:
        """``Fn::Join``."""
        if not isinstance(argument, list) or len(cast("list[Any]", argument)) != 2:
            return Missing("Fn::Join")
        between, parts = self.resolve(argument[0]), self.resolve(argument[1])
        if isinstance(parts, list):
            return self._spent(str(between).join(_text(part) for part in cast("list[Any]", parts)))
        return parts if isinstance(parts, Missing) else _text(parts)

    def split(self, argument: Any) -> Any:
        """``Fn::Split``."""
        if not isinstance(argument, list) or len(cast("list[Any]", argument)) != 2:
            return Missing("Fn::Split")
        between, text = self.resolve(argument[0]), self.resolve(argument[1])
        return text.split(str(between)) if isinstance(text, str) and between else Missing("Fn::Split")

    def select(self, argument: Any) -> Any:
        """``Fn::Select``."""
        if not isinstance(argument, list) or len(cast("list[Any]", argument)) != 2:
            return Missing("Fn::Select")
        index, parts = self.resolve(argument[0]), self.resolve(argument[1])
        if isinstance(parts, list) and str(index).isdigit() and int(index) < len(cast("list[Any]", parts)):
            return cast("list[Any]", parts)[int(index)]
        if isinstance(parts, Missing):
            return Missing(f"{parts.what} [{index}]" if isinstance(index, int | str) else parts.what)
        return cast("Any", parts) if references(parts) else Missing("Fn::Select")

    def zones(self, argument: Any) -> Any:
        """``Fn::GetAZs``: names of zones, made up where the region is not known."""
        region = self.resolve(argument)
        name = region if isinstance(region, str) and region else self._region or "zone-"
        return [f"{name}{letter}" for letter in "abc"]

    def found_in(self, argument: Any) -> Any:
        """``Fn::FindInMap``."""
        parts = [self.resolve(part) for part in cast("list[Any]", argument)] if isinstance(argument, list) else []
        value: Any = self._mappings
        for part in parts[:3]:
            inner = _mapping(value).get(str(part))
            if inner is None:
                options = _mapping(value)
                if isinstance(part, Missing) and part.what == "AWS::Region" and options:
                    inner = next(iter(options.values()))
                    self.remarks["the region is not known: the first one of a mapping was taken"] = None
                else:
                    fallback = _mapping(parts[3]).get("DefaultValue") if len(parts) > 3 else None
                    return Missing("Fn::FindInMap") if fallback is None else fallback
            value = inner
        return value

    def either(self, argument: Any) -> Any:
        """``Fn::If``."""
        if not isinstance(argument, list) or len(cast("list[Any]", argument)) != 3:
            return Missing("Fn::If")
        name, yes, no = cast("list[Any]", argument)
        held = self.holds(str(name))
        if held is not None:
            return self.resolve(yes if held else no)
        first, second = self.resolve(yes), self.resolve(no)
        if first is _left_out:
            return second
        return first

    def imported(self, argument: Any) -> Any:
        """``Fn::ImportValue``."""
        name = plain(self.resolve(argument)) or str(argument)[:64]
        found = self._imports(name) if self._imports is not None else None
        if found is not None:
            return found
        self.remarks[f"imports {name[:128]}, which no given template exports"] = None
        return Missing(f"import {name}")

    def encoded(self, argument: Any) -> Any:
        """``Fn::Base64``: as it is, so that what it refers to is seen."""
        return self.resolve(argument)

    def written(self, argument: Any) -> Any:
        """``Fn::ToJsonString``: as it is."""
        return self.resolve(argument)


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, Missing):
        return "*"
    if isinstance(value, list):
        return ",".join(_text(part) for part in cast("list[Any]", value))
    return str(value)


_FUNCTIONS: dict[str, Callable[[Scope, Any], Any]] = {
    "Ref": Scope.ref,
    "Fn::GetAtt": Scope.attribute,
    "Fn::Sub": Scope.sub,
    "Fn::Join": Scope.join,
    "Fn::Split": Scope.split,
    "Fn::Select": Scope.select,
    "Fn::GetAZs": Scope.zones,
    "Fn::FindInMap": Scope.found_in,
    "Fn::If": Scope.either,
    "Fn::ImportValue": Scope.imported,
    "Fn::Base64": Scope.encoded,
    "Fn::ToJsonString": Scope.written,
}
