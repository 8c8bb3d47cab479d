"""What a refusal of the server means: statuses, error bodies and Retry-After as typed errors. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, cast

import msgspec

from outlast.model.endpoint import EndpointError, EndpointOverloaded, EndpointRefused, EndpointUnavailable

retry_after_s_max = 3600.0
"""A server that asks for more is asked again after this: one hour."""

excerpt_chars_max = 300
"""How much of a server's own words an error repeats."""

_RETRYABLE_4XX = frozenset({408, 409, 423, 425})
_SCHEMA_STATUSES = frozenset({400, 404, 422, 500, 501})
_SCHEMA_WORDS = ("response_format", "json_schema", "schema", "grammar", "structured output")
_OF_THIS_ENDPOINT = frozenset({401, 402, 403, 404})
_ADVICE = {
    401: "check its API key",
    402: "check the account behind its API key",
    403: "check what its API key may do",
    404: "check the URL and the model's name",
    413: "send a shorter prompt",
}


def status_error(status: int, headers: Mapping[str, str], raw: bytes, where: str, secret: str) -> EndpointError:
    """The error for a status other than 200. `secret` is taken out of what the server said."""
    code, said = _said(raw, secret)
    text = f"{where} answered {status}" + (f": {said}" if said else "")
    wait = retry_after_s(headers)
    if 300 <= status < 400:
        problem = f"{where} answered {status}, a redirect, which is not followed: configure the final URL"
        return EndpointRefused(problem, elsewhere=True)
    if status == 429 and code == "insufficient_quota":
        return EndpointRefused(f"{text}; the account has no quota left: waiting does not help", elsewhere=True)
    if status in (429, 529):
        return EndpointOverloaded(text, wait)
    if status >= 500 or status in _RETRYABLE_4XX:
        return EndpointUnavailable(text, wait)
    if 400 <= status < 500:
        advice = _ADVICE.get(status)
        return EndpointRefused(text + (f"; {advice}" if advice else ""), elsewhere=status in _OF_THIS_ENDPOINT)
    return EndpointUnavailable(f"{text}; expected 200")


def refuses_schema(status: int, raw: bytes) -> bool:
    """Whether a refusal may be about the JSON Schema in ``response_format``, so that describing it may still work."""
    if status not in _SCHEMA_STATUSES:
        return False
    text = raw[:8192].decode("utf-8", "replace").lower()
    return any(word in text for word in _SCHEMA_WORDS) or status in (422, 501)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long the server asks to wait, in seconds: ``Retry-After`` as seconds or as a date, or ``retry-after-ms``.

    A date is compared with the answer's own ``Date``, so that no clock of this machine matters; without one it says
    nothing. Source: RFC 9110, section 10.2.3. Bounded by `retry_after_s_max`; what cannot be read is None.
    """
    millis = _number(headers.get("retry-after-ms"))
    if millis is not None:
        return min(millis / 1000, retry_after_s_max)
    text = headers.get("Retry-After")
    plain = _number(text)
    if plain is not None or text is None:
        return None if plain is None else min(plain, retry_after_s_max)
    try:
        wait = (parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, 0.0), retry_after_s_max)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _said(raw: bytes, secret: str) -> tuple[str, str]:
    """The code and the words of an error body; JSON in one of the usual shapes, or text."""
    code, text = "", ""
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        shown = raw[: excerpt_chars_max * 4].decode("utf-8", "replace")
        return "", clean(shown, secret) if "<" not in shown else "a page of HTML"
    if isinstance(document, dict):
        fields = cast("dict[str, Any]", document)
        error = fields.get("error", fields)
        if isinstance(error, dict):
            inner = cast("dict[str, Any]", error)
            code = str(inner.get("code") or inner.get("type") or "")
            text = str(inner.get("message") or inner.get("detail") or "")
        else:
            text = str(error)
    return code, clean(text, secret)


def clean(text: str, secret: str) -> str:
    """One printable line of at most `excerpt_chars_max`, without the secret."""
    if secret:
        text = text.replace(secret, "[secret]")
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= excerpt_chars_max else line[: excerpt_chars_max - 1] + "…"
