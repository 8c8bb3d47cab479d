"""What a request carries: its JSON body, its query, its keys. Read strictly; what is not understood is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import ClientDisconnect, Request

from outlast.kernel.error import TypeMismatch
from outlast.server.limit import Limits, idempotency_key_pattern
from outlast.server.refusal import BadRequest, WrongMediaType

T = TypeVar("T")

_KEY = re.compile(idempotency_key_pattern)


async def read_body(request: Request, kind: type[T], limits: Limits) -> T:
    """The JSON body as `kind`. Raises WrongMediaType, BadRequest (not JSON), TypeMismatch (other JSON)."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise WrongMediaType("the body must be JSON: send Content-Type: application/json and at least {}")
    try:
        raw = await request.body()
    except ClientDisconnect:
        raise BadRequest("the client went away before its body had arrived") from None
    value = parse_json(raw, limits.json_depth_max)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise TypeMismatch(f"the body does not fit: {error}") from None


def parse_json(raw: bytes, depth_max: int) -> Any:
    """JSON as RFC 8259 and I-JSON (RFC 7493) have it: UTF-8, no NaN, no name twice, numbers that a double can hold."""
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant, parse_float=_number
        )
        _check_text(raw, value)
    except RecursionError:
        raise BadRequest(f"the body is nested deeper than {depth_max}, the bound json_depth_max") from None
    except UnicodeError:
        raise BadRequest("the body is not UTF-8, or holds half of a surrogate pair") from None
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    check_depth(value, depth_max)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object has the same name twice")
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of the range of a double")
    return number


def _check_text(raw: bytes, value: Any) -> None:
    """Half a surrogate pair passes Python's reader and breaks every writer."""
    if b"\\u" in raw:
        json.dumps(value, ensure_ascii=False).encode("utf-8")


def check_depth(value: Any, depth_max: int) -> None:
    """Refuse JSON that is nested deeper than `depth_max`; walks level by level, so it needs no stack itself."""
    level: list[Any] = [value] if isinstance(value, (dict, list)) else []
    for _ in range(depth_max):
        inner: list[Any] = []
        for node in level:
            children = cast("Iterable[Any]", node.values() if isinstance(node, dict) else node)
            inner += [child for child in children if type(child) is dict or type(child) is list]
        if not inner:
            return
        level = inner
    raise BadRequest(f"the body is nested deeper than {depth_max}, the bound json_depth_max")


def read_query(request: Request, kind: type[T]) -> T:
    """The query as the struct `kind`. Raises BadRequest for unknown names, names twice, values that do not fit."""
    try:
        pairs = parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise BadRequest("the query is not percent-encoded UTF-8") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise BadRequest("the query has the same name twice")
    known = getattr(kind, "__struct_fields__", ())
    unknown = sorted(set(given) - set(known))
    if unknown:
        names = ", ".join(known) or "none"
        raise BadRequest(f"the query has the unknown name {unknown[0][:40]!r}: known are {names}")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the query does not fit: {error}") from None


class NoQuery(msgspec.Struct, frozen=True):
    """For requests that take none."""


def idempotency_key(request: Request) -> str | None:
    """The ``Idempotency-Key``, bare or as the quoted string of draft-ietf-httpapi-idempotency-key-header."""
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    key = values[0]
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if len(values) > 1 or not _KEY.match(key):
        raise BadRequest(
            "the Idempotency-Key is not usable: send one, of 1 to 128 visible ASCII characters without quotes"
        )
    return key


def preferred_wait(request: Request, limits: Limits) -> float | None:
    """The seconds of ``Prefer: wait=N`` (RFC 7240), at most `Limits.wait_max_s`; None if there is no such preference.

    As the RFC asks, a preference that is not understood is ignored.
    """
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        digits = value.strip().strip('"')
        if name.strip().lower() == "wait" and digits.isascii() and digits.isdigit() and len(digits) < 10:
            return min(float(digits), limits.wait_max_s)
    return None


def wants_events(request: Request) -> bool:
    """Whether ``Accept`` asks for an event stream rather than JSON."""
    best = {"text/event-stream": 0.0, "application/json": 0.0}
    for part in ",".join(request.headers.getlist("accept")).split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if media in best:
            best[media] = max(best[media], _quality(parameters))
    return best["text/event-stream"] > 0 and best["text/event-stream"] >= best["application/json"]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
