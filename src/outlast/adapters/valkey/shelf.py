"""A shelf on a Valkey or Redis server or cluster."""

from __future__ import annotations

from outlast.adapters.valkey.connection import Connection

_LEAVE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class ValkeyShelf:
    """Implements `model.shelf.Shelf`. Who leads a key stands beside its value, on the same shard."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, key: str) -> bytes | None:
        found = await self._connection.ask(_value(key), lambda client: client.get(_value(key)))
        return found if isinstance(found, bytes) else None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        await self._connection.ask(_value(key), lambda client: client.set(_value(key), value, px=_millis(ttl_s)))

    async def forget(self, key: str) -> None:
        await self._connection.ask(_value(key), lambda client: client.delete(_value(key)))

    async def lead(self, key: str, token: str, ttl_s: float) -> bool:
        return bool(
            await self._connection.ask(
                _value(key), lambda client: client.set(_leader(key), token, px=_millis(ttl_s), nx=True)
            )
        )

    async def leave(self, key: str, token: str) -> None:
        await self._connection.ask(_value(key), lambda client: client.eval(_LEAVE, 1, _leader(key), token))

    def part(self, key: str) -> str:
        return self._connection.part(_value(key))


def _value(key: str) -> str:
    return f"{{{key}}}"


def _leader(key: str) -> str:
    return f"{{{key}}}:leader"


def _millis(seconds: float) -> int:
    return max(1, round(seconds * 1000))
