"""Writes a draft as YAML, with comments that say what each component was made of, and what was assumed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, cast

import yaml

from outlast.assessment.template.sketch import Part, Sketch

_width = 116
_resources_shown_max = 4
_dumper: Any = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff]|[\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

_HEADS = {
    "objectives": "Assumed, all of it: a template does not say what was promised. Write what was.",
    "regions": "",
    "backup": "What the templates say of backups. Whether a restore is tried (test_restore) stands in no template.",
    "alarms": "Alarms of CloudWatch. None follows a promise: `outlast assess` says how one would.",
    "escalation": "Whom the topics lead to stands in no template.",
}


def written(document: Mapping[str, Any], kind: str, files: Sequence[str], sketch: Sketch, left: int) -> str:
    """The text of the file."""
    shown = ", ".join(files[:6]) + (", …" if len(files) > 6 else "")
    lines = [
        *_comment(f"A draft, made by `outlast import` from {kind}: {shown}.", 0),
        *_comment(
            "Each component says which resource it came from, and what was assumed. Correct it, then: outlast assess", 0
        ),
    ]
    if left:
        count = "1 resource was" if left == 1 else f"{left} resources were"
        lines += _comment(f"{count} not read: the report of the import says which, and why.", 0)
    parts = {(part.section, part.name): part for part in sketch.parts.values()}
    for key, value in document.items():
        if not isinstance(value, dict):
            lines.append(f"{key}: {_flow(value)}")
            continue
        entries = cast("dict[str, Any]", value)
        lines.append("")
        if _HEADS.get(key):
            lines += _comment(_HEADS[key], 0)
        if key == "regions":
            lines += _regions(sketch, entries)
        lines.append(f"{key}:")
        for name, body in entries.items():
            part = parts.get((key, name))
            if part is not None:
                lines += _about(sketch, part)
            elif key == "alarms":
                lines += _comment(_alarm(sketch, name), 2)
            lines += _entry(name, body)
    return "\n".join(lines) + "\n"


def _regions(sketch: Sketch, said: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    if "aws" not in said.get("home", {}):
        text = "The templates do not say in which region: write for example aws: eu-central-1, or import FILE@REGION"
        found += _comment(text, 0)
    if "strategy" in said:
        found += _comment(f"{said['strategy']} is assumed, from what runs in each region and what the records say.", 0)
    note = sketch.regions.get("edge", {}).get("note")
    if note:
        found += _comment(note, 0)
    return found


def _alarm(sketch: Sketch, name: str) -> str:
    said = sketch.alarms[name]
    note = f"; {said['note']}" if said["note"] else ""
    return f"{said['from'].id}{note}"


def _about(sketch: Sketch, part: Part) -> list[str]:
    ids = list(dict.fromkeys(f"{one.id} ({one.type})" for one in part.resources))
    more = f" and {len(ids) - _resources_shown_max} more" if len(ids) > _resources_shown_max else ""
    found = _comment("from " + ", ".join(ids[:_resources_shown_max]) + more, 2)
    for note in part.notes:
        found += _comment(note, 2)
    reasons = [f"{sketch.parts[target].name}: {need.why}" for target, need in part.needs.items() if need.why]
    return found + (_comment("needs " + " · ".join(reasons), 2) if reasons else [])


def _comment(text: str, indent: int) -> list[str]:
    clean = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))[:1200]
    lines = textwrap.wrap(clean, _width - indent - 4, break_long_words=False, break_on_hyphens=False)
    return [f"{' ' * indent}# {'  ' if index else ''}{line}" for index, line in enumerate(lines)]


def _entry(name: str, body: Any) -> list[str]:
    flow = _flow(body)
    one = f"  {_flow(name)}: {flow}"
    if len(one) <= _width or not isinstance(body, dict):
        return [one]
    lines = [f"  {_flow(name)}:"]
    for key, value in cast("dict[str, Any]", body).items():
        short = f"    {_flow(key)}: {_flow(value)}"
        if len(short) <= _width or not isinstance(value, dict):
            lines.append(short)
        else:
            lines.append(f"    {_flow(key)}:")
            lines += [f"      {_flow(inner)}: {_flow(said)}" for inner, said in cast("dict[str, Any]", value).items()]
    return lines


def _flow(value: Any) -> str:
    """One value on one line; PyYAML decides what needs quotes."""
    dump = cast("Any", yaml.dump)  # pyright: ignore[reportUnknownMemberType]
    text: str = dump(
        value, Dumper=_dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()
