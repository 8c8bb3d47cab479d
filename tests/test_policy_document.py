"""docs/policies.md says of every policy what its parameters are."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "policies.md").read_text("utf-8")
MODULES = sorted(path.stem for path in (ROOT / "src/outlast/policy").glob("*.py") if path.stem != "__init__")
TABLE = r"^`(\w+)`[^\n]*:\n\n\| parameter [^\n]*\n\|[-|]+\|\n((?:\|[^\n]*\n)+)"
SECTIONS = {
    found.group(1): section
    for section in re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)
    if (found := re.search(r"\(\.\./src/outlast/policy/(\w+)\.py\)", section))
}


def tables(section: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Unit and default of each parameter, by the name of its struct."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for struct, rows in re.findall(TABLE, section, re.MULTILINE):
        cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]
        found[struct] = {name.strip("`"): (unit, default) for name, unit, default, _ in cells}
    return found


def meant(text: str, module: ModuleType) -> object:
    """The value of a default as it is written: a number, none, or a struct's constructor."""
    return None if text == "none" else eval(text.strip("`"), vars(module))


def test_every_policy_has_a_section_with_a_picture_and_a_source() -> None:
    assert sorted(SECTIONS) == MODULES
    for name, section in SECTIONS.items():
        assert "```" in section, f"{name} has no picture"
        assert "\nSource: " in section, f"{name} has no source"


@pytest.mark.parametrize("name", MODULES)
def test_parameters_and_defaults_are_those_of_the_code(name: str) -> None:
    module = importlib.import_module(f"outlast.policy.{name}")
    described = tables(SECTIONS[name])
    assert described
    for struct, parameters in described.items():
        fields = {field.name: field.default for field in msgspec.structs.fields(getattr(module, struct))}
        assert list(parameters) == list(fields), f"{struct} has other parameters"
        for parameter, (unit, default) in parameters.items():
            assert meant(default, module) == fields[parameter], f"{struct}.{parameter}"
            assert not parameter.endswith("_s") or unit.startswith("s") or parameter == "per_s", f"{struct}.{parameter}"


@pytest.mark.parametrize("name", MODULES)
def test_every_struct_of_parameters_is_described(name: str) -> None:
    """A struct of parameters is one whose fields all have a default, and which no other thing the policy makes is."""
    module = importlib.import_module(f"outlast.policy.{name}")
    structs = {
        each.__name__
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == module.__name__
    }
    results = {"Spent", "Used", "Left", "Refused", "Taken", "Pulse", "Deaths", "Gap"}
    assert structs - results == set(tables(SECTIONS[name]))
