"""What leads from the gateway to one member of a pool: over HTTP to a server, or through a service's own protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from outlast.adapters.openai.connection import Answer
from outlast.adapters.openai.connection import Upstream as HttpUpstream
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointRefused
from outlast.server.gateway.dialect import Dialect


class Exchange(Protocol):
    """One request and its answer. `abort` ends it from outside, whatever it is waiting for; safe at any time."""

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """Send a request and wait for status and headers. Raises EndpointError."""
        ...

    def done(self) -> None:
        """What matters of the body was read."""
        ...

    def abort(self) -> None: ...


class Upstream(Protocol):
    """Where requests go; `where` names it in errors."""

    @property
    def where(self) -> str: ...

    def begin(self) -> Exchange: ...

    def sweep(self) -> None:
        """Close connections that idle."""
        ...

    def close(self) -> None: ...


class Line(Protocol):
    """What leads to one member."""

    @property
    def upstream(self) -> Upstream: ...

    @property
    def key(self) -> str:
        """The API key, empty for none. Raises EndpointRefused."""
        ...

    def speaks(self, dialect: Dialect) -> bool: ...

    def forget(self) -> None: ...

    def head(self, dialect: Dialect) -> bytes:
        """Everything up to the value of Content-Length, where there is such a head."""
        ...


class HttpLine:
    """To a server: its connections, its key, and the head of a request to it."""

    __slots__ = ("_heads", "_key", "_secret", "_upstream")

    def __init__(self, upstream: HttpUpstream, secret: Callable[[], str]) -> None:
        """`secret` reads the API key, empty for none; it may raise ConfigurationError."""
        self._upstream = upstream
        self._secret = secret
        self._key: str | None = None
        self._heads: dict[str, bytes] = {}

    @property
    def upstream(self) -> Upstream:
        """Its connections."""
        return self._upstream

    @property
    def key(self) -> str:
        """The API key, read when it is first needed and again after `forget`. Raises EndpointRefused."""
        if self._key is None:
            try:
                self._key = self._secret()
            except ConfigurationError as error:
                raise EndpointRefused(f"{self._upstream.where} has no key: {error}", elsewhere=True) from None
        return self._key

    def speaks(self, dialect: Dialect) -> bool:
        """Whether it can be asked in this dialect: a server says so itself."""
        return True

    def forget(self) -> None:
        """A rotated key is read anew."""
        self._key = None
        self._heads.clear()

    def head(self, dialect: Dialect) -> bytes:
        """Everything up to the value of Content-Length."""
        head = self._heads.get(dialect.name)
        if head is None:
            origin, key = self._upstream.origin, self.key
            lines = [
                f"POST {origin.path}{dialect.upstream.decode()} HTTP/1.1",
                f"Host: {origin.authority}",
                "User-Agent: outlast",
                "Content-Type: application/json",
                "Accept: application/json, text/event-stream",
            ]
            if key:
                lines.append(f"x-api-key: {key}" if dialect.shape == "anthropic" else f"Authorization: Bearer {key}")
            head = ("\r\n".join(lines) + "\r\nContent-Length: ").encode()
            self._heads[dialect.name] = head
        return head


class ServiceLine:
    """To a service that is asked for chat completions through its own client, with credentials of its own."""

    key = ""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream

    def speaks(self, dialect: Dialect) -> bool:
        """Chat completions only: other protocols are not translated."""
        return dialect.name == "chat"

    def forget(self) -> None:
        """Nothing: credentials are the client's."""

    def head(self, dialect: Dialect) -> bytes:
        """None is sent."""
        return b""
