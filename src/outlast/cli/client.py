"""The HTTP client of the command line: plain `http.client`, because it starts in a few milliseconds."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from outlast.cli.exit import Unavailable
from outlast.kernel import error as errors

answer_bytes_max = 64 * 1024 * 1024
"""Bound of one answer: 64 MiB."""
line_bytes_max = 32 * 1024 * 1024
"""Bound of one line of an event stream: 32 MiB, twice the bound of one payload."""
follow_silence_s = 60.0
"""An event stream that says nothing, not even a comment, for so long is taken for dead and connected to anew."""
over = "outlast.over"
"""The type of the one event that says: the stream ended before the event that was asked for."""


class Event:
    """One server-sent event."""

    __slots__ = ("data", "id", "type")

    def __init__(self, id: str, type: str, data: str) -> None:
        self.id = id
        self.type = type
        self.data = data


class Client:
    """Talks to one server. Raises Unavailable if it cannot be reached, and the errors that it answers with."""

    def __init__(
        self, address: str, token: str | None = None, timeout_s: float = 30.0, started_by: str = "outlast up"
    ) -> None:
        """`address` is ``http://HOST:PORT``; `timeout_s` bounds each wait for the network; `started_by` is the command
        to name when nobody answers there.
        """
        parts = urlsplit(address)
        self.address = address.rstrip("/")
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._secure = parts.scheme == "https"
        self._token = token
        self._timeout_s = timeout_s
        self._started_by = started_by

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON document at `path`; entries of `query` that are None are left out."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._call("GET", path + ("?" + urlencode(given) if given else ""))

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON document that answers `body`; None if there is none."""
        return self._call("POST", path, json.dumps(body).encode(), headers)

    def events(self, path: str, after: int) -> Iterator[Event]:
        """Events of one connection, from the one after `after`, until it ends. Raises Unavailable when it breaks."""
        connection = self._connect(follow_silence_s)
        try:
            answer = self._send(
                connection, "GET", path, None, {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
            )
            if answer.status == 204:  # there is nothing after that event, and never will be
                yield Event("", over, "{}")
                return
            if answer.status != 200:
                self._refuse(answer.status, answer.read(answer_bytes_max))
            yield from _parse_events(answer)
        except (OSError, http.client.HTTPException) as error:
            raise self._unavailable(error) from None
        finally:
            connection.close()

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=timeout_s)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        sent = {"Accept": "application/json", **headers}
        if body is not None:
            sent["Content-Type"] = "application/json"
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        connection.request(method, path, body, sent)
        return connection.getresponse()

    def _call(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Any:
        connection = self._connect(self._timeout_s)
        try:
            answer = self._send(connection, method, path, body, headers or {})
            raw = answer.read(answer_bytes_max + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._unavailable(error) from None
        finally:
            connection.close()
        if len(raw) > answer_bytes_max:
            raise errors.PayloadTooLarge(
                f"the answer of {self.address} is larger than answer_bytes_max, {answer_bytes_max}"
            )
        if answer.status >= 400:
            self._refuse(answer.status, raw)
        if not raw:
            return None
        try:
            return json.loads(raw)
        except ValueError:
            raise Unavailable(
                f"{self.address}{path.partition('?')[0]} did not answer with JSON: is it an outlast server?"
            ) from None

    def _unavailable(self, error: BaseException) -> Unavailable:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return Unavailable(
            f"the server at {self.address} cannot be reached: {why.lower()}; is `{self._started_by}` running?"
        )

    def _refuse(self, status: int, raw: bytes) -> None:
        try:
            problem = json.loads(raw)
            if isinstance(problem.get("error"), dict):  # a gateway's, in the shape of OpenAI's
                problem = {"code": problem["error"]["code"], "detail": problem["error"]["message"]}
            code, message = str(problem["code"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError, AttributeError):
            code, message = f"http_{status}", f"the server at {self.address} answered with status {status}"
        if status in (401, 403):
            message += "; set server.token in outlast.yaml to the token that the server was started with"
        kind = _KINDS.get(code) or _BY_STATUS.get(status)
        if kind is not None:
            raise kind(message)
        raise Unavailable(message) if status in (408, 429, 502, 503, 504) else errors.OutlastError(message)


_KINDS: dict[str, type[errors.OutlastError]] = {
    kind.code: kind
    for kind in (
        errors.UsageError,
        errors.ConfigurationError,
        errors.TypeMismatch,
        errors.PayloadTooLarge,
        errors.NotFound,
        errors.Conflict,
        errors.StoreUnavailable,
        errors.StoreCorrupt,
        errors.StoreSealed,
    )
}
_BY_STATUS: dict[int, type[errors.OutlastError]] = {
    400: errors.UsageError,
    401: errors.ConfigurationError,
    403: errors.ConfigurationError,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.PayloadTooLarge,
    422: errors.UsageError,
}


def _parse_events(answer: http.client.HTTPResponse) -> Iterator[Event]:
    """The event stream format of the HTML standard, as far as it is used: id, event, data, comments."""
    fields: dict[str, str] = {}
    while line := answer.readline(line_bytes_max + 1):
        if len(line) > line_bytes_max:
            raise errors.PayloadTooLarge(f"an event is larger than line_bytes_max, {line_bytes_max}")
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not text:
            if "data" in fields:
                yield Event(fields.get("id", ""), fields.get("event", "message"), fields["data"])
            fields = {}
            continue
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in fields:
            fields["data"] += "\n" + value
        elif name:  # an empty name is a comment: a sign of life
            fields[name] = value
