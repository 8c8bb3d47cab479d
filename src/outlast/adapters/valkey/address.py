"""Where a Valkey server or cluster is, as one URL: the form in which hosting services give it.

::

    valkey://HOST:PORT                                    a server, in clear text
    valkeys://USER:PASSWORD@HOST1:PORT,HOST2:PORT?cluster=true&ca=FILE

``redis`` and ``rediss`` mean the same as ``valkey`` and ``valkeys`` (TLS).
"""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

import msgspec

from outlast.adapters.valkey.connection import ValkeyPlace
from outlast.kernel.error import ConfigurationError

port_default = 6379
_TLS = {"valkey": False, "redis": False, "valkeys": True, "rediss": True}
_form = "expected valkeys://USER:PASSWORD@HOST:PORT[,HOST:PORT…][?cluster=true], or valkey:// without TLS"


class Address:
    """A place, and the password that goes with it, which no `repr` shows."""

    __slots__ = ("_password", "place")

    def __init__(self, place: ValkeyPlace, password: str | None) -> None:
        self.place = place
        self._password = password

    def __repr__(self) -> str:
        return f"<valkey at {','.join(self.place.nodes)}>"

    def password(self) -> str | None:
        """For whoever connects."""
        return self._password

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ConfigurationError that does not repeat the URL: it may hold a password."""
        scheme, found, rest = url.partition("://")
        if not found or scheme not in _TLS:
            raise ConfigurationError(f"the URL of Valkey is not understood (not shown): {_form}")
        rest, _, question = rest.partition("?")
        who, _, where = rest.rpartition("@")
        where, _, path = where.partition("/")
        if not where or path:
            raise ConfigurationError(f"the URL of Valkey names no server, or a database (not shown): {_form}")
        user, _, password = who.partition(":")
        place = ValkeyPlace(
            tuple(node if node.rpartition(":")[2].isdigit() else f"{node}:{port_default}" for node in where.split(",")),
            tls=_TLS[scheme],
            username=unquote(user) or None,
        )
        return cls(_options(place, question), unquote(password) or None)


def _options(place: ValkeyPlace, question: str) -> ValkeyPlace:
    for name, value in parse_qsl(question, keep_blank_values=True):
        if name == "cluster" and value in ("true", "false"):
            place = msgspec.structs.replace(place, cluster=value == "true")
        elif name == "ca" and value:
            place = msgspec.structs.replace(place, ca_file=value)
        else:
            raise ConfigurationError(
                f"the URL of Valkey has {name[:32]!r} (its value is not shown): expected cluster=true or ca=FILE"
            )
    return place
