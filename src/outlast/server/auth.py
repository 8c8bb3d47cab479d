"""Who may ask: the bearer token, the Host header against DNS rebinding, and no browser on behalf of another site."""

from __future__ import annotations

import hmac
import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from outlast.kernel.error import ConfigurationError
from outlast.server.refusal import CrossOrigin, Unauthorized, WrongHost

token_chars_min = 16
"""A shorter token can be guessed."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+\Z")  # RFC 6750, section 2.1
_OPEN_PATHS = frozenset({"/livez"})


def check_token(token: str) -> str:
    """`token` if it can be one; raises ConfigurationError, which never shows it."""
    if len(token) < token_chars_min or not _TOKEN.match(token):
        raise ConfigurationError(
            f"the bearer token is not usable: write {token_chars_min} or more letters, digits and ._~+/=-"
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether a host, as it stands in an address or a Host header, is this machine's loopback."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Middleware: refuses who may not ask.

    `token`: None for no authentication, which only a loopback address may have. `loopback`: the server listens there,
    so a Host header that names anything else was made by a browser that was led here.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, loopback: bool) -> None:
        self._app = app
        self._token = None if token is None else check_token(token).encode()
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if self._loopback:
            check_host(headers)
        check_origin(headers, scope["method"])
        if self._token is not None and scope["path"] not in _OPEN_PATHS:
            self._check_token(headers)
        await self._app(scope, receive, send)

    def _check_token(self, headers: Headers) -> None:
        values = headers.getlist("authorization")
        scheme, _, given = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        # compared in constant time, also when there is nothing to compare
        same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token or b"")
        if scheme.lower() != "bearer" or not same:
            found = "another token" if scheme else "no token"
            raise Unauthorized(
                f"the request has {found}: send the header Authorization: Bearer with the server's token"
            )


def check_host(headers: Headers) -> None:
    """Refuse a Host header that does not name this machine's loopback."""
    host = headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if "@" in host or not is_loopback(name):
        raise WrongHost("the Host header does not name this machine: use localhost, 127.0.0.1 or [::1]")


def check_origin(headers: Headers, method: str) -> None:
    """Refuse what a browser sends for another site; a plain navigation to a page may come from anywhere.

    Sources: the Fetch Metadata recommendation (w3c.github.io/webappsec-fetch-metadata) and RFC 6454.
    """
    reads = method in ("GET", "HEAD")
    site = headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin") and not (reads and headers.get("sec-fetch-mode") == "navigate"):
        raise CrossOrigin("a browser sent this for another site (Sec-Fetch-Site): only this server's own pages may")
    origin = headers.get("origin")
    if origin is not None and not _same_origin(origin, headers.get("host", "")):
        raise CrossOrigin("a browser sent this for another site (Origin): only this server's own pages may")


def _same_origin(origin: str, host: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme.lower() in ("http", "https") and rest != "" and rest.lower() == host.lower()
