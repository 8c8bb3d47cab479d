"""What a model wrote, as a value of a type.

Models wrap JSON into code fences and prose. What is read is never guessed: the whole text, or the one JSON value in it
that fits the type. Two different values that fit are an error, like none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar, cast

import msgspec

from outlast.kernel.codec import decode, schema
from outlast.kernel.error import TypeMismatch
from outlast.model.endpoint import EndpointError

T = TypeVar("T")

candidates_max = 64
"""How many JSON values in one answer are tried."""

wrapper_field = "value"
"""Types that are no JSON object are asked for as ``{"value": …}``: servers demand an object at the root."""

_shown_chars = 200
_none = object()


class OutputInvalid(EndpointError):
    """The model's answer cannot be read as the type that was asked for. Asking again may succeed.

    The message says what was found and what was expected.
    """

    code: ClassVar[str] = "output_invalid"
    retryable: ClassVar[bool] = True


def output_schema(kind: Any) -> dict[str, Any] | None:
    """The JSON Schema to ask for; None for `str` and `Any`, which are plain text.

    The root is always an object (see `wrapper_field`). Every field is required and no others are allowed: so grammars
    and strict modes of servers accept it, and a model cannot skip what it finds hard. Raises TypeMismatch for a type
    that has no schema.
    """
    if kind is str or kind is Any or kind is None:
        return None
    try:
        found = schema(kind)
    except (TypeError, NotImplementedError) as error:
        raise TypeMismatch(f"output type {_name(kind)} has no JSON Schema: {error}") from None
    found = _inlined(found)
    if not _is_object(found):
        definitions = found.pop("$defs", None)
        found = {"type": "object", "properties": {wrapper_field: found}}
        if definitions:
            found["$defs"] = definitions
    return cast("dict[str, Any]", _closed(found))


def _is_object(root: dict[str, Any]) -> bool:
    return root.get("type") == "object"


def _wraps(kind: Any) -> bool:
    """Whether `output_schema` asks for this type in `wrapper_field`."""
    try:
        return not _is_object(_inlined(schema(kind)))
    except (TypeError, NotImplementedError):
        return True


def _inlined(found: dict[str, Any]) -> dict[str, Any]:
    """A schema whose root is a reference, with the definition in its place."""
    reference = found.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
        return found
    definitions = dict(cast("dict[str, Any]", found.get("$defs", {})))
    name = reference.removeprefix("#/$defs/")
    root = dict(cast("dict[str, Any]", definitions[name]))
    if f'"{reference}"' not in json.dumps(definitions):
        del definitions[name]
    return {**root, "$defs": definitions} if definitions else root


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    found = cast("dict[str, Any]", node)
    result: dict[str, Any] = {}
    for key, value in found.items():
        if key in ("properties", "$defs"):
            result[key] = {name: _closed(inner) for name, inner in cast("dict[str, Any]", value).items()}
        elif key in ("enum", "const", "examples"):
            result[key] = value
        elif key != "default":
            result[key] = _closed(value)
    if "properties" in found:
        result["required"] = list(cast("dict[str, Any]", found["properties"]))
        result["additionalProperties"] = False
    return result


def parse_output(text: str, kind: type[T] | Any) -> T:
    """What a model wrote as a value of `kind`; `str` and `Any` give the text itself.

    Takes the whole text as JSON, else the one JSON object or array in it that fits, else (enums and literals) the bare
    word. Raises OutputInvalid with what was found and expected.
    """
    if kind is str or kind is Any or kind is None:
        return cast(T, text)
    whole = text.strip()
    problems: list[str] = []
    wrapped = _wraps(kind)
    value = _read(whole, kind, wrapped, problems)
    if value is not _none:
        return cast(T, value)
    fitting: list[Any] = []
    count = 0
    for candidate in _candidates(whole):
        count += 1
        value = _read(candidate, kind, wrapped, problems)
        if value is not _none and not any(type(value) is type(other) and value == other for other in fitting):
            fitting.append(value)
    if len(fitting) == 1:
        return cast(T, fitting[0])
    if len(fitting) > 1:
        raise OutputInvalid(
            f"the answer holds {len(fitting)} different values that fit {_name(kind)}, expected one: {_shown(whole)}"
        )
    if not count:
        word = _read(json.dumps(whole.strip("\"'`.")), kind, False, [])
        if word is not _none:
            return cast(T, word)
        raise OutputInvalid(f"the answer holds no JSON, expected {_name(kind)}: {_shown(whole)}")
    reason = problems[-1] if problems else "it is not JSON"
    raise OutputInvalid(f"the answer does not fit {_name(kind)} ({reason}): {_shown(whole)}")


def _candidates(text: str) -> Iterator[str]:
    """The outermost JSON objects and arrays in a text, at most `candidates_max`."""
    decoder = json.JSONDecoder()
    position = tried = 0
    while tried < candidates_max:
        starts = [found for found in (text.find("{", position), text.find("[", position)) if found >= 0]
        if not starts:
            return
        start = min(starts)
        tried += 1
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            position = start + 1
            continue
        yield text[start:end]
        position = end


def _read(candidate: str, kind: Any, wrapped: bool, problems: list[str]) -> Any:
    """One candidate as the type, out of `wrapper_field` if `wrapped`; else `_none` and a line in `problems`."""
    try:
        raw = candidate.encode()
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return _none
    if wrapped and isinstance(found, dict) and list(cast("dict[str, Any]", found)) == [wrapper_field]:
        try:
            return decode(msgspec.json.encode(found[wrapper_field]), kind, wrapper_field)
        except TypeMismatch as error:
            problems.append(_reason(error))
    try:
        return decode(raw, kind, "it")
    except TypeMismatch as error:
        problems.append(_reason(error))
        return _none


def _reason(error: TypeMismatch) -> str:
    return " ".join(str(error).split(": ", 1)[-1].split())[:_shown_chars]


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)) if not hasattr(kind, "__args__") else str(kind).replace("typing.", "")


def _shown(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= _shown_chars else flat[:_shown_chars] + "…") if flat else "it is empty"
