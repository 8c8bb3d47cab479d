"""Where a server is, and whether a key may be sent there."""

from __future__ import annotations

import ipaddress

import msgspec
from yarl import URL

from outlast.kernel.error import ConfigurationError


class Address(msgspec.Struct, frozen=True):
    """A base URL such as ``http://127.0.0.1:8001/v1``. `where` names it in messages."""

    url: str

    @property
    def where(self) -> str:
        return f"the model server at {self.url}"

    @property
    def chat(self) -> str:
        return f"{self.url}/chat/completions"


def parse_address(text: str, *, has_key: bool, plain_http: bool = False) -> Address:
    """A base URL, checked. A URL without a path gets ``/v1``.

    Raises ConfigurationError for what is no such URL, for user names and passwords in it (use a key by reference), and
    for a key over plain HTTP to another machine, where everybody on the way can read it; `plain_http` permits that.
    Without a key plain HTTP to anywhere is accepted: then only prompts travel in the clear.
    """
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise ConfigurationError("the url of a model server is not valid: write http(s)://host:port/v1") from None
    if url.scheme not in ("http", "https") or not url.host or port is None:
        raise ConfigurationError(
            f"url {str(url.with_user(None) if url.host else 'of a model server')!r} is not valid: "
            "write http(s)://host:port/v1"
        )
    if url.user is not None or url.password is not None:
        raise ConfigurationError(
            f"the url of {url.host} holds a user name or password: give a key by reference instead"
        )
    if url.raw_query_string or url.raw_fragment:
        raise ConfigurationError(f"the url of {url.host} holds a query or fragment: write it up to and including /v1")
    if url.scheme == "http" and has_key and not plain_http and not is_loopback(url.host):
        raise ConfigurationError(
            f"the key for {url.host} would travel over plain http: use https, or permit it with plain_http"
        )
    path = url.raw_path.rstrip("/") or "/v1"
    return Address(str(url.origin()) + path)


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
