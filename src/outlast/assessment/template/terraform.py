"""A plan of Terraform, as ``terraform show -json`` prints it (a state too) -> an inventory of resources.

Values come from ``planned_values``, references from ``configuration``. The format is described by HashiCorp under
"JSON Output Format" (format version 1). Locals are not part of it: what they refer to is found by names and ARNs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from outlast.assessment.template.cloudformation import Source
from outlast.assessment.template.resource import Inventory, Resource, beside, listed, mark, resources_max
from outlast.assessment.template.text import read_text
from outlast.kernel.error import ConfigurationError

modules_deep_max = 16
"""Bound of modules within modules, and of references that lead to references."""

references_max = 500_000
"""Bound of the references that are followed in one plan."""

reference_chars_max = 2_000
"""Bound of one reference, as far as it is looked at."""

_STEP = re.compile(r"(?=[.\[])")
_INDEX = re.compile(r"\[(?:\"([^\"]*)\"|([0-9]+))\]\Z")
_REGION = re.compile(r"(?:^|[^a-z])([a-z]{2}(?:-gov|-iso)?-[a-z]+-[0-9])")


class _Module(NamedTuple):
    """One module of the configuration, as it was called."""

    path: str
    """``module.net``; empty: the root."""
    configuration: Mapping[str, Any]
    call: Mapping[str, Any]
    above: _Module | None


def terraform(sources: Sequence[Source]) -> Inventory:
    """The resources of all `sources`. Raises ConfigurationError for what is not a plan or state as JSON."""
    inventory = Inventory()
    for index, source in enumerate(sources):
        if not source.raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            raise ConfigurationError(
                f"{source.file} is not JSON: run terraform plan -out plan.bin, then terraform show -json plan.bin"
            )
        plan = read_text(source.file, source.raw).value
        values = _of(plan, "planned_values") or _of(plan, "values")
        if not isinstance(values.get("root_module"), dict):
            found = ": this is a template of CloudFormation" if _of(plan, "Resources") else ""
            raise ConfigurationError(
                f"{source.file} has no planned_values{found}: expected what terraform show -json prints"
            )
        _Plan(plan, source, inventory, f"{index}/" if len(sources) > 1 else "").read()
    return inventory


def _of(value: Any, key: str) -> dict[str, Any]:
    found = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _list(value: Any, key: str) -> list[dict[str, Any]]:
    found = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
    every = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", one) for one in every if isinstance(one, dict)]


class _Plan:
    def __init__(self, plan: Any, source: Source, inventory: Inventory, prefix: str) -> None:
        self._plan = plan
        self._source = source
        self._inventory = inventory
        self._prefix = prefix
        self._modules: dict[str, _Module] = {}
        self._declared: dict[str, tuple[dict[str, Any], _Module]] = {}
        self._ids: dict[str, list[str]] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self._locals = False
        self._left = references_max

    def read(self) -> None:
        self._configuration(_Module("", _of(_of(self._plan, "configuration"), "root_module"), {}, None), 0)
        prior = _of(_of(self._plan, "prior_state"), "values")
        known = {
            one["address"]: one for one in self._resources(_of(prior, "root_module"), 0) if one.get("mode") == "data"
        }
        values = _of(self._plan, "planned_values") or _of(self._plan, "values")
        known |= {one["address"]: one for one in self._resources(_of(values, "root_module"), 0)}
        for address, (declared, _) in self._declared.items():
            if declared.get("mode") == "data" and all(_base(one) != address for one in known):
                known[address] = {**declared, "address": address, "values": {}}
        self._values = known
        for address in known:
            self._ids.setdefault(_base(address), []).append(address)
        for address, one in known.items():
            self._resource(address, one)
        if self._locals:
            self._inventory.remarks.append(
                f"{self._source.file}: a plan holds no locals: what refers through local.… is matched by names only"
            )

    def _configuration(self, module: _Module, deep: int) -> None:
        if deep > modules_deep_max:
            raise ConfigurationError(f"{self._source.file}: modules deeper than modules_deep_max, {modules_deep_max}")
        self._modules[module.path] = module
        for declared in _list(module.configuration, "resources"):
            address = str(declared.get("address", ""))
            self._declared[f"{module.path}.{address}" if module.path else address] = (declared, module)
        for name, call in _of(module.configuration, "module_calls").items():
            path = f"{module.path}.module.{name}" if module.path else f"module.{name}"
            self._configuration(_Module(path, _of(call, "module"), call, module), deep + 1)

    def _resources(self, module: Mapping[str, Any], deep: int) -> Iterator[dict[str, Any]]:
        if deep > modules_deep_max:
            raise ConfigurationError(f"{self._source.file}: modules deeper than modules_deep_max, {modules_deep_max}")
        for one in _list(module, "resources"):
            if isinstance(one.get("address"), str) and isinstance(one.get("type"), str):
                yield one
        for inner in _list(module, "child_modules"):
            yield from self._resources(inner, deep + 1)

    def _resource(self, address: str, one: Mapping[str, Any]) -> None:
        inventory, prefix = self._inventory, self._prefix
        base = _base(address)
        declared, module = self._declared.get(base, ({}, _Module("", {}, {}, None)))
        values = dict(_of(one, "values"))
        self._overlay(values, _of(declared, "expressions"), module, 0)
        depends = [
            *cast("list[Any]", one.get("depends_on") or []),
            *cast("list[Any]", declared.get("depends_on") or []),
        ]
        index = _INDEX.search(address)
        name = str(one.get("name", address))
        if index is not None and index[1] is not None:
            name = f"{name}-{index[1]}"
        alone = len(self._ids[base]) == 1 or (index is not None and index[1] is not None)
        inventory.resources[prefix + address] = Resource(
            id=prefix + address,
            type=str(one["type"]),
            label=self._label(address, name),
            properties=values,
            depends=tuple(
                prefix + found for text in depends if isinstance(text, str) for found, _ in self._named(text, module, 0)
            ),
            region=self._region(values, declared, module),
            file=self._source.file,
            group="" if alone else prefix + base,
        )
        if len(inventory.resources) > resources_max:
            raise ConfigurationError(f"{self._source.file}: more resources than resources_max, {resources_max}")

    def _label(self, address: str, name: str) -> str:
        """Its name; where that says nothing (``this``, ``main``), the module's."""
        modules = re.findall(r"module\.([A-Za-z0-9_-]+)", address)
        return modules[-1] if modules and name in ("this", "main", "default") else name

    def _overlay(self, values: dict[str, Any], expressions: Mapping[str, Any], module: _Module, deep: int) -> None:
        """Put references, and constants that are not known yet, to the values that they stand for."""
        if deep > modules_deep_max:
            return
        for key, expression in expressions.items():
            if isinstance(expression, list):
                known = values.get(key)
                blocks = cast("list[Any]", known) if isinstance(known, list) else []
                for at, block in enumerate(cast("list[Any]", expression)):
                    while len(blocks) <= at:
                        blocks.append({})
                    if isinstance(blocks[at], dict) and isinstance(block, dict):
                        blocks[at] = dict(cast("dict[str, Any]", blocks[at]))
                        self._overlay(blocks[at], cast("dict[str, Any]", block), module, deep + 1)
                values[key] = blocks
            elif isinstance(expression, dict):
                self._leaf(values, key, cast("dict[str, Any]", expression), module, deep)

    def _leaf(self, values: dict[str, Any], key: str, expression: dict[str, Any], module: _Module, deep: int) -> None:
        if "references" not in expression and "constant_value" not in expression:
            inner = dict(cast("dict[str, Any]", values.get(key))) if isinstance(values.get(key), dict) else {}
            self._overlay(inner, expression, module, deep + 1)
            if inner:
                values[key] = inner
            return
        marks = [mark(self._prefix + found, attribute) for found, attribute in self._found(expression, module, 0)]
        if values.get(key) is None and "constant_value" in expression:
            values[key] = expression["constant_value"]
        elif values.get(key) is None and marks:
            values[key] = marks[0] if len(marks) == 1 else marks
        elif marks:
            values[beside(key)] = marks

    def _found(self, expression: Mapping[str, Any], module: _Module, deep: int) -> list[tuple[str, str]]:
        texts = dict.fromkeys(text for text in listed(expression.get("references")) if isinstance(text, str))
        shorter = {text[: step.start()] for text in texts for step in _STEP.finditer(text[:reference_chars_max])}
        longest = [text for text in texts if text not in shorter]
        found: dict[tuple[str, str], None] = {}
        for text in longest:
            found.update(dict.fromkeys(self._named(text, module, deep)))
        return list(found)

    def _named(self, text: str, module: _Module, deep: int) -> Iterator[tuple[str, str]]:
        """The resources that a reference means in `module`, each with the attribute."""
        self._left -= 1
        if self._left < 0:
            raise ConfigurationError(f"{self._source.file}: more references than references_max, {references_max}")
        if deep > modules_deep_max:
            return
        words = re.sub(r"\[[^\]]*\]", "", text).split(".")
        if words[0] in ("each", "count", "path", "terraform", "self"):
            return
        if words[0] == "local":
            self._locals = True
        elif words[0] == "var" and len(words) > 1:
            if module.above is not None:
                yield from self._found(_of(_of(module.call, "expressions"), words[1]), module.above, deep + 1)
        elif words[0] == "module" and len(words) > 1:
            path = f"{module.path}.module.{words[1]}" if module.path else f"module.{words[1]}"
            inner = self._modules.get(path)
            outputs = _of(inner.configuration, "outputs") if inner is not None else {}
            for name in [words[2]] if len(words) > 2 else []:
                assert inner is not None or not outputs
                if inner is not None:
                    yield from self._found(_of(_of(outputs, name), "expression"), inner, deep + 1)
        else:
            count = 3 if words[0] == "data" else 2
            base = ".".join(words[:count])
            base = f"{module.path}.{base}" if module.path else base
            ids = self._ids.get(base, [])
            exact = re.match(r"[^\[]*(\[[^\]]*\])", text)
            chosen = [one for one in ids if exact is not None and one.endswith(exact[1])] or ids
            for one in chosen:
                yield one, ".".join(words[count:])

    def _region(self, values: Mapping[str, Any], declared: Mapping[str, Any], module: _Module) -> str:
        for key in ("region", "availability_zone"):
            found = _REGION.search(str(values.get(key) or ""))
            if found is not None:
                return found[1]
        arn = str(values.get("arn") or "").split(":")
        if len(arn) > 5 and _REGION.fullmatch(arn[3]):
            return arn[3]
        return self._provider_region(str(declared.get("provider_config_key") or ""), module) or self._source.region

    def _provider_region(self, key: str, module: _Module) -> str:
        providers = _of(_of(self._plan, "configuration"), "provider_config")
        known: Any = providers.get(key) or providers.get(key.rpartition(":")[2])
        region = _of(_of(known, "expressions"), "region")
        found = region.get("constant_value")
        if not isinstance(found, str):
            for text in cast("list[Any]", region.get("references") or []):
                name = str(text).removeprefix("var.").split(".")[0]
                value = _of(_of(self._plan, "variables"), name).get("value")
                default = _of(_of(self._modules[""].configuration, "variables"), name).get("default")
                found = value if isinstance(value, str) else default
                if isinstance(found, str):
                    break
        return found if isinstance(found, str) and _REGION.fullmatch(found) else ""


def _base(address: str) -> str:
    """The address without indexes: what the configuration says once."""
    return re.sub(r"\[(?:\"[^\"]*\"|[0-9]+)\]", "", address)
