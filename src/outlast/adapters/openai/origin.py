"""A server's address as a client of HTTP needs it: where to connect, what to say there."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from outlast.kernel.error import ConfigurationError


class Origin(msgspec.Struct, frozen=True):
    """A server, and the path before every request's own: ``http://127.0.0.1:8001/v1``."""

    url: str
    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says: an address of IPv6 in brackets, the port only where it is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def parse_origin(url: str) -> Origin:
    """A base URL, checked; without a path it gets ``/v1``. Raises ConfigurationError, which never shows a password."""
    problem = ConfigurationError("the url of a model server is not valid: write http(s)://host:port/v1")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise problem from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise problem
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"the url of {parts.hostname} holds a user name or password: give a key by reference instead"
        )
    if not url.isascii() or not url.isprintable() or " " in url:
        raise problem
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/") or "/v1"
    return Origin(url.rstrip("/"), secure, parts.hostname, port or (443 if secure else 80), path)
