"""What one value of the file may look like: in words, as a pattern, with an example, and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from outlast.blueprint.alarm import BurnRate, Measure
from outlast.blueprint.deploy import Slice
from outlast.blueprint.run_on import LocalModels
from outlast.blueprint.schema import Listen
from outlast.blueprint.secret import KeyPlace, Secret
from outlast.blueprint.value import Quantity, Text
from outlast.kernel import unit


class ValueForm(NamedTuple):
    """The form of one kind of value."""

    words: str
    """What it is, for people."""
    schema: dict[str, Any]
    """What it is, as JSON Schema."""
    write: Callable[[Any], Any] = str
    """The value as what stands in the file: text, or a number, or true or false."""


_NUMBER = r"[0-9]+(\.[0-9]+)?"


def _pattern(pattern: str, *examples: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$", "examples": list(examples)}


def _measure(value: Measure) -> str | int | float:
    return _bare(value.value) if value.unit == "" else _MEASURES[value.unit](value.value)


def _burn_rate(value: BurnRate) -> str:
    return f"{unit.times_exactly(value.times)} over {unit.duration_exactly(value.over)}"


def _bare(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _slice(value: Slice) -> str:
    return unit.share_exactly(value.amount) if value.unit == "share" else str(value)


def _size(value: float) -> str:
    return unit.size_exactly(int(value))


_MEASURES: dict[str, Callable[[float], str]] = {
    "s": unit.duration_exactly,
    "B": _size,
    "/s": unit.rate_exactly,
    "%": unit.share_exactly,
    "USD": unit.usd_exactly,
}
_duration = _pattern(rf"{_NUMBER}\s*(ms|s|m|h|d)", "500ms", "5s", "10m", "24h", "35d")
_share = _pattern(rf"{_NUMBER}\s*%", "99.95%", "20%")

_QUANTITIES: dict[Quantity, ValueForm] = {
    Quantity.DURATION: ValueForm("duration", _duration, unit.duration_exactly),
    Quantity.AGE: ValueForm("duration, may be `0s`", _duration, unit.duration_exactly),
    Quantity.SIZE: ValueForm("size", _pattern(rf"{_NUMBER}\s*(B|KiB|MiB|GiB|TiB)", "64KiB"), unit.size_exactly),
    Quantity.MONEY: ValueForm("money", _pattern(rf"{_NUMBER}\s*USD", "0.25USD"), unit.usd_exactly),
    Quantity.SPENDING: ValueForm(
        "money in a time",
        _pattern(rf"{_NUMBER}\s*USD\s*/\s*(hour|day|month|year)", "9000USD/month"),
        unit.spending_exactly,
    ),
    Quantity.SHARE: ValueForm("share", _share, unit.share_exactly),
    Quantity.PART: ValueForm("share, may be `0%`", _share, unit.share_exactly),
    Quantity.TIMES: ValueForm("factor", _pattern(rf"{_NUMBER}\s*x", "3x"), unit.times_exactly),
    Quantity.RATE: ValueForm("rate", _pattern(rf"{_NUMBER}\s*/\s*[smhd]", "20/s", "1500/m"), unit.rate_exactly),
    Quantity.NUMBER: ValueForm("number", {"type": "number", "minimum": 0}, _bare),
    Quantity.SCORE: ValueForm(
        "number between 0 and 1", {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, _bare
    ),
}
_name = _pattern("[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_TEXTS: dict[Text, ValueForm] = {
    Text.NAME: ValueForm("name", {**_name, "type": ["string", "integer"]}),
    Text.MODULE_OBJECT: ValueForm("`module:object`", _pattern(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "app:app")),
    Text.URL: ValueForm("URL", _pattern(r"https?://[^\s?#]+", "https://pay.example.com")),
    Text.LOAD: ValueForm(
        "`metrics`, `slots`, `nvml:INDEX` or a URL", _pattern(r"(metrics|slots|nvml:[0-9]{1,2}|https?://\S+)")
    ),
    Text.REGION: ValueForm(
        "region of AWS, such as `eu-central-1`", _pattern("[a-z]{2}(-[a-z]+)+-[0-9]{1,2}", "eu-central-1")
    ),
    Text.ACCOUNT: ValueForm(
        "account of AWS, 12 digits", {**_pattern("[0-9]{12}", "111122223333"), "type": ["string", "integer"]}
    ),
    Text.CONTACT: ValueForm(
        "`WAY:NAME`, such as `chat:support-ops`", _pattern(r"[a-z][a-z0-9_-]*:\S+", "chat:support-ops", "page:first")
    ),
    Text.OBJECTIVE: ValueForm(
        "`CLASS.PROMISE`, such as `live.availability`", _pattern(r"\S+\.[a-z][a-z0-9_]*", "live.availability")
    ),
    Text.DAY: ValueForm("day, such as `2027-03-31`", _pattern("[0-9]{4}-[0-9]{2}-[0-9]{2}", "2027-03-31")),
}
_reference = r"(env|file|aws-secret):\S.*"
SCALARS: dict[Any, ValueForm] = {
    Secret: ValueForm(
        "where a secret is: `env:NAME`, `file:PATH` or `aws-secret:NAME`", _pattern(_reference, "env:TOKEN")
    ),
    KeyPlace: ValueForm(
        "where keys are: `env:NAME`, `file:PATH`, `aws-secret:NAME` or `kms:alias/NAME`",
        _pattern(r"(env|file|aws-secret|kms):\S.*", "file:keys.json"),
    ),
    Listen: ValueForm("`HOST:PORT`", _pattern(r"\S+:[0-9]{1,5}", "127.0.0.1:7788")),
    BurnRate: ValueForm(
        "factor and duration, such as `14x over 1h`",
        _pattern(rf"{_NUMBER}x over {_NUMBER}(ms|s|m|h|d)", "14x over 1h"),
        _burn_rate,
    ),
    Measure: ValueForm(
        "number with or without a unit, such as `4s`, `20%`, `30/s`, `0.85`", {"type": ["string", "number"]}, _measure
    ),
    Slice: ValueForm(
        "`1 cell`, `2 workers` or `10%`",
        _pattern(rf"([1-9][0-9]* (cell|worker)s?|{_NUMBER}%)", "1 cell", "10%"),
        _slice,
    ),
    LocalModels: ValueForm("`COUNT x MODEL`", _pattern(r"[1-9][0-9]? x [A-Za-z0-9][A-Za-z0-9_.-]*", "2 x smollm2")),
}


def form_of(kind: Any) -> ValueForm:
    """The form of one value of annotated type `kind`, which is no section."""
    if kind in SCALARS:
        return SCALARS[kind]
    base, *marks = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    for mark in marks:
        if isinstance(mark, Quantity):
            return _QUANTITIES[mark]
        if isinstance(mark, Text):
            return _TEXTS[mark]
    if get_origin(base) is Literal:
        choices = list(get_args(base))
        return ValueForm(" or ".join(f"`{choice}`" for choice in choices), {"enum": choices}, _same)
    if base is int:
        bounds = next((mark for mark in marks if isinstance(mark, msgspec.Meta)), msgspec.Meta())
        schema: dict[str, Any] = {"type": "integer"}
        if bounds.ge is not None:
            schema["minimum"] = bounds.ge
        if bounds.le is not None:
            schema["maximum"] = bounds.le
        return ValueForm(_whole(bounds), schema, _same)
    if base is bool:
        return ValueForm("`true` or `false`", {"type": "boolean"}, _same)
    return ValueForm("text", {"type": ["string", "number"], "maxLength": 256})


def _whole(bounds: msgspec.Meta) -> str:
    least, most = bounds.ge, bounds.le
    if least is None or most is None:
        return "whole number"
    return f"whole number from {least}" + (f" to {most:,}" if most < 1_000_000_000 else "")


def _same(value: Any) -> Any:
    return value
