"""One OpenAI-compatible HTTP endpoint, over aiohttp."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Literal

import aiohttp

from outlast.adapters.openai.address import parse_address
from outlast.adapters.openai.failure import clean, refuses_schema, status_error
from outlast.adapters.openai.stream import Events
from outlast.adapters.openai.wire import TokenLimitField, body, completion
from outlast.blueprint.secret import Secret
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import Completion, EndpointRefused, EndpointUnavailable, ModelRequest
from outlast.model.stream import Delta

connect_timeout_s_default = 3.0
"""Bound of one connection, TLS included."""

response_bytes_max_default = 4 * 1024 * 1024
"""Bound of one answer, decompressed: 4 MiB."""

connections_max_default = 64
"""Requests under way at once in one event loop; more wait within their own time-out."""

_error_bytes_max = 64 * 1024
_idempotency_key_chars_max = 255
_keepalive_s = 4.0  # below the 5 s of llama.cpp's and Node's servers: they close idle connections, we rather do first

Structured = Literal["auto", "native", "prompt"]
"""How a JSON Schema is sent: in ``response_format``, described in the prompt, or the first and then the second."""


class OpenAIEndpoint:
    """Asks one server for chat completions.

    `url` is the base URL up to and including ``/v1``; `model` what the server calls the model; `key` a reference to the
    API key, resolved at the first request (against `environ` and, for files, `home`) and again after a 401. It appears
    in no error, log or repr. Redirects are not followed, proxies of the environment not used.

    `complete` raises EndpointUnavailable (no connection, time-out, 5xx, an answer that breaks off or is no completion),
    EndpointOverloaded (429, 529) and EndpointRefused (other 4xx, redirects, oversized answers), and nothing else.
    The constructor raises ConfigurationError.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        model: str,
        key: Secret | None = None,
        environ: Mapping[str, str] | None = None,
        home: Path | None = None,
        structured: Structured = "auto",
        limit_field: TokenLimitField = "max_tokens",
        plain_http: bool = False,
        connect_timeout_s: float = connect_timeout_s_default,
        response_bytes_max: int = response_bytes_max_default,
        connections_max: int = connections_max_default,
    ) -> None:
        if not model:
            raise ConfigurationError(f"endpoint {name!r} names no model: say what the server calls it")
        self._name = name
        self._address = parse_address(url, has_key=key is not None, plain_http=plain_http)
        self._model = model
        self._key = key
        self._environ = os.environ if environ is None else environ
        self._home = home or Path()
        self._constrained = structured != "prompt"
        self._may_describe = structured == "auto"
        self._limit_field: TokenLimitField = limit_field
        self._connect_timeout_s = connect_timeout_s
        self._response_bytes_max = response_bytes_max
        self._connections_max = connections_max
        self._token = ""
        self._closed = False
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    def __repr__(self) -> str:
        return f"OpenAIEndpoint({self._name!r}, url={self._address.url!r}, model={self._model!r}, key={self._key!s})"

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, request: ModelRequest) -> Completion:
        """One whole answer within ``request.timeout_s``."""
        where = self._address.where
        if self._closed:
            raise EndpointRefused(f"endpoint {self._name!r} is closed")
        if request.timeout_s <= 0:
            raise EndpointUnavailable(f"no time is left to ask {where}")
        try:
            # asyncio's own, because aiohttp rounds total time-outs above 5 s up to whole seconds
            async with asyncio.timeout(request.timeout_s):
                return await self._exchange(request)
        except TimeoutError:
            raise EndpointUnavailable(f"{where} did not answer within {request.timeout_s:g} s") from None

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """One answer piece by piece within ``request.timeout_s``; raises as `complete` does, in its middle too.

        A schema is sent as `complete` last had to send it. Close the iterator (`aclose`) to stop early.
        """
        where = self._address.where
        if self._closed:
            raise EndpointRefused(f"endpoint {self._name!r} is closed")
        if request.timeout_s <= 0:
            raise EndpointUnavailable(f"no time is left to ask {where}")
        until = asyncio.get_running_loop().time() + request.timeout_s
        token = self._resolve()
        content = body(request, self._model, self._limit_field, constrained=self._constrained, stream=True)
        events = Events(where)
        response: aiohttp.ClientResponse | None = None
        try:
            # each wait by itself: a time-out around a `yield` would cancel whoever reads
            async with asyncio.timeout_at(until):
                response = await self._session().post(
                    self._address.chat, data=content, headers=_headers(token, request.key), allow_redirects=False
                )
                if response.status != 200:
                    raw, _ = await _read(response, _error_bytes_max)
                    raise status_error(response.status, response.headers, raw, where, token)
            kind = response.content_type
            if kind != "text/event-stream":
                raise EndpointUnavailable(f"{where} answered with content type {kind!r}, expected text/event-stream")
            while not events.ended:
                async with asyncio.timeout_at(until):
                    data = await response.content.readany()
                if not data:
                    raise EndpointUnavailable(f"the stream of {where} broke off before its end")
                for delta in events.feed(data):
                    yield delta
                if events.trouble is not None:
                    raise events.trouble
        except TimeoutError:
            raise EndpointUnavailable(f"{where} did not answer within {request.timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._translated(error, token) from None
        finally:
            if response is not None:
                response.close()

    async def close(self) -> None:
        """Close the connections; further requests are refused. Safe to call again.

        Sessions of other event loops are closed there; a loop that is closed already took its connections with it.
        """
        self._closed = True
        here = asyncio.get_running_loop()
        for loop, session in list(self._sessions.items()):
            del self._sessions[loop]
            if loop is here:
                await session.close()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(session.close(), loop))
            else:
                session.detach()

    async def _exchange(self, request: ModelRequest) -> Completion:
        """Asks; once more with the schema in the prompt if the server seems not to know ``response_format``."""
        where = self._address.where
        constrained = self._constrained
        status, headers, raw, token = await self._post(request, constrained=constrained)
        if (
            status != 200
            and request.schema is not None
            and constrained
            and self._may_describe
            and refuses_schema(status, raw)
        ):
            status, headers, raw, token = await self._post(request, constrained=False)
            self._constrained = status != 200  # it takes what it refused before: from now on describe at once
        if status != 200:
            if status == 401:
                self._token = ""  # a rotated key is read anew
            raise status_error(status, headers, raw, where, token)
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            found = clean(kind, token) or "none"
            raise EndpointUnavailable(
                f"{where} answered with content type {found!r}, expected application/json: is it a model server?"
            )
        return completion(raw, self._model, where)

    async def _post(self, request: ModelRequest, *, constrained: bool) -> tuple[int, Mapping[str, str], bytes, str]:
        where = self._address.where
        token = self._resolve()
        try:
            content = body(request, self._model, self._limit_field, constrained=constrained)
        except (TypeError, ValueError) as error:
            raise EndpointRefused(f"the request for {where} cannot be written as JSON: {error}") from None
        try:
            async with self._session().post(
                self._address.chat, data=content, headers=_headers(token, request.key), allow_redirects=False
            ) as response:
                limit = self._response_bytes_max if response.status == 200 else _error_bytes_max
                raw, whole = await _read(response, limit)
                if not whole and response.status == 200:
                    raise EndpointRefused(
                        f"{where} answered more than {limit} bytes, the bound response_bytes_max: "
                        "ask for less (max_tokens) or raise the bound"
                    )
                return response.status, response.headers, raw, token
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a host name that IDNA refuses
            raise self._translated(error, token) from None

    def _translated(self, error: Exception, token: str) -> EndpointUnavailable:
        """What went wrong with the connection."""
        where = self._address.where
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return EndpointUnavailable(f"{where} could not be connected within {self._connect_timeout_s:g} s")
        why = _why(error, token)
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return EndpointUnavailable(f"the name of {where} cannot be resolved: {why}")
        if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)):
            return EndpointUnavailable(f"{where} failed the TLS handshake: {why}")
        if isinstance(error, aiohttp.ClientConnectorError):
            return EndpointUnavailable(f"{where} cannot be connected: {why}")
        if isinstance(error, aiohttp.ClientPayloadError):
            return EndpointUnavailable(f"the answer of {where} broke off: {why}")
        return EndpointUnavailable(f"the connection to {where} failed: {why}")

    def _resolve(self) -> str:
        if self._key is not None and not self._token:
            try:
                self._token = self._key.resolve(self._environ, self._home)
            except ConfigurationError as error:
                raise EndpointRefused(f"endpoint {self._name!r} has no key: {error}") from None
        return self._token

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            for gone in [other for other in self._sessions if other.is_closed()]:
                self._sessions.pop(gone).detach()
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections_max, keepalive_timeout=_keepalive_s),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
            self._sessions[loop] = session
        return session


def _headers(token: str, key: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "outlast"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if key:
        plain = len(key) <= _idempotency_key_chars_max and key.isascii() and key.isprintable()
        headers["Idempotency-Key"] = key if plain else hashlib.sha256(key.encode()).hexdigest()
    return headers


async def _read(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The body, and whether it was whole: reading stops above `limit`, whatever Content-Length says."""
    gathered = bytearray()
    async for chunk in response.content.iter_any():
        gathered += chunk
        if len(gathered) > limit:
            response.close()  # what is still to come is not read: the connection cannot be used again
            return bytes(gathered[:limit]), False
    return bytes(gathered), True


def _why(error: BaseException, token: str) -> str:
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, OSError) and not isinstance(inner, ssl.SSLError) and inner.errno and inner.errno > 0:
        return os.strerror(inner.errno).lower()  # asyncio's own text names the address only
    if isinstance(inner, aiohttp.ClientResponseError):
        return clean(f"what came is no HTTP: {inner.message}", token)
    return clean(str(inner) or type(inner).__name__, token).lower()
