"""How one value of ``outlast.yaml`` is read: numbers with their units, names, URLs, references, choices."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
import yaml

from outlast.blueprint.alarm import BurnRate, Measure
from outlast.blueprint.deploy import Slice
from outlast.blueprint.run_on import LocalModels
from outlast.blueprint.schema import Listen
from outlast.blueprint.secret import KeyPlace, Secret
from outlast.blueprint.value import Quantity, Text
from outlast.kernel import unit
from outlast.kernel.error import ConfigurationError
from outlast.kernel.identity import check_name

_MODULE_OBJECT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")
_no_url = "the URL is not understood: expected http://HOST:PORT/PATH or https://HOST/PATH"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\Z")
_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_CONTACT = re.compile(r"[a-z][a-z0-9_-]{0,31}:[^\x00-\x20]{1,200}\Z")
_OBJECTIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\.[a-z][a-z0-9_]{0,63}\Z")
_MEASURES: tuple[tuple[Quantity, Literal["s", "%", "/s", "B", "USD"]], ...] = (
    (Quantity.AGE, "s"), (Quantity.PART, "%"), (Quantity.RATE, "/s"), (Quantity.SIZE, "B"), (Quantity.MONEY, "USD"),
)  # fmt: skip
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", re.ASCII)
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})\Z")


def read_scalar(text: str, kind: Any, node: yaml.ScalarNode) -> Any:
    """One value of annotated type `kind`. Raises UsageError or msgspec.ValidationError that say what was expected."""
    if kind in SCALARS:
        return SCALARS[kind](text)
    marks: tuple[Any, ...] = ()
    base = kind
    if get_origin(kind) is Annotated:
        base, *rest = get_args(kind)
        marks = tuple(rest)
    for mark in marks:
        if isinstance(mark, Quantity):
            return _quantity(text, mark)
        if isinstance(mark, Text):
            return _TEXTS[mark](text)
    if base is int:
        if not re.fullmatch(r"[0-9]{1,15}", text) or node.style:
            raise ConfigurationError(f"{text[:64]!r} is not understood: expected a whole number, without quotes")
        return msgspec.convert(int(text), kind)
    if base is bool:
        if text not in ("true", "false") or node.style:
            raise ConfigurationError(f"{text[:64]!r} found, expected true or false, without quotes")
        return text == "true"
    if get_origin(base) is Literal:
        return _choice(text, get_args(base))
    if not text or len(text) > 256 or not text.isprintable():
        raise ConfigurationError("expected 1 to 256 printable characters")
    return text


def _choice(text: str, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if text == str(choice):
            return choice
    expected = " or ".join(map(str, choices))
    raise ConfigurationError(f"{text[:64]!r} found, expected {expected}")


def _quantity(text: str, kind: Quantity) -> float | int:
    if kind in _PLAIN:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
            raise ConfigurationError(f"{text[:64]!r} is not understood: expected a number")
        value: float | int = float(text)
        if kind is Quantity.SCORE and not 0 < value < 1:
            raise ConfigurationError(f"{text[:64]} found, expected more than 0 and less than 1")
        return value
    reads, example = _QUANTITIES[kind]
    if re.fullmatch(r"[0-9.]+", text):
        raise ConfigurationError(f"{text[:64]} has no unit: write for example {text[:64]}{example}")
    value = reads(text)
    if value <= 0 and kind not in _MAY_BE_NOTHING:
        raise ConfigurationError(f"{text[:64]} found, expected more than nothing")
    return value


def _module_object(text: str) -> str:
    if not _MODULE_OBJECT.match(text):
        raise ConfigurationError(f"{text[:64]!r} is not understood: expected module:object, for example app:app")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(_no_url) from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("the URL holds a user or password (not shown): give the secret as key: env:NAME")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or not text.isprintable():
        raise ConfigurationError(_no_url)
    return text.rstrip("/")


def _load(text: str) -> str:
    if re.fullmatch(r"metrics|slots|nvml:[0-9]{1,2}", text):
        return text
    if not text.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{text[:64]!r} is not understood: expected metrics, slots, nvml:INDEX or http://HOST:PORT/PATH"
        )
    return _url(text)


def _listen(text: str) -> Listen:
    match = _LISTEN.match(text)
    if match is None or int(match[2]) > 65535:
        raise ConfigurationError(f"{text[:64]!r} is not understood: expected HOST:PORT, for example {Listen()}")
    return Listen(match[1].strip("[]"), int(match[2]))


def _formed(text: str, form: re.Pattern[str], expected: str) -> str:
    if not form.match(text):
        raise ConfigurationError(f"{text[:64]!r} is not understood: expected {expected}")
    return text


def _day(text: str) -> str:
    try:
        if _DAY.match(text):
            return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        pass  # such as the 30th of February
    raise ConfigurationError(f"{text[:64]!r} is not a day: expected YEAR-MONTH-DAY, for example 2027-03-31")


def _measure(text: str) -> Measure:
    for kind, of in _MEASURES:
        try:
            return Measure(_QUANTITIES[kind][0](text), of)
        except ConfigurationError:
            continue
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", text):
        return Measure(float(text))
    raise ConfigurationError(f"{text[:64]!r} is not understood: expected a number such as 4s, 20%, 30/s, 64KiB or 0.85")


def _slice(text: str) -> Slice:
    match = re.fullmatch(r"([1-9][0-9]{0,3}) (cell|worker)s?", text)
    if match is not None:
        return Slice(float(match[1]), cast(Literal["cell", "worker"], match[2]))
    try:
        return Slice(unit.share(text), "share")
    except ConfigurationError:
        raise ConfigurationError(f"{text[:64]!r} is not understood: expected for example 1 cell, or 10%") from None


def _local_models(text: str) -> LocalModels:
    match = re.fullmatch(r"([1-9][0-9]?) x ([A-Za-z0-9][A-Za-z0-9_.-]{0,127})", text)
    if match is None:
        raise ConfigurationError(f"{text[:64]!r} is not understood: expected for example 2 x smollm2")
    return LocalModels(int(match[1]), match[2])


_QUANTITIES: dict[Quantity, tuple[Callable[[str], float | int], str]] = {
    Quantity.DURATION: (unit.seconds, "s"),
    Quantity.AGE: (unit.seconds, "s"),
    Quantity.SIZE: (unit.size, "MiB"),
    Quantity.MONEY: (unit.usd, "USD"),
    Quantity.SPENDING: (unit.spending, "USD/month"),
    Quantity.SHARE: (unit.share, "%"),
    Quantity.PART: (unit.share, "%"),
    Quantity.TIMES: (unit.times, "x"),
    Quantity.RATE: (unit.rate, "/m"),
}
_PLAIN = frozenset({Quantity.NUMBER, Quantity.SCORE})
_MAY_BE_NOTHING = frozenset({Quantity.AGE, Quantity.PART})
SCALARS: dict[Any, Callable[[str], Any]] = {
    Secret: Secret.parse,
    KeyPlace: KeyPlace.parse,
    Listen: _listen,
    BurnRate: lambda text: BurnRate(*unit.burn_rate(text)),
    Measure: _measure,
    Slice: _slice,
    LocalModels: _local_models,
}
"""Structs that are written as one value."""
_TEXTS: dict[Text, Callable[[str], str]] = {
    Text.NAME: lambda text: check_name("the", text),
    Text.MODULE_OBJECT: _module_object,
    Text.URL: _url,
    Text.LOAD: _load,
    Text.REGION: lambda text: _formed(text, _REGION, "one such as eu-central-1"),
    Text.ACCOUNT: lambda text: _formed(text, _ACCOUNT, "twelve digits"),
    Text.CONTACT: lambda text: _formed(text, _CONTACT, "WAY:NAME, for example chat:support-ops"),
    Text.OBJECTIVE: lambda text: _formed(text, _OBJECTIVE, "CLASS.PROMISE, for example live.availability"),
    Text.DAY: _day,
}
