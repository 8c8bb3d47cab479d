"""Workloads of a pool as files: which endpoints there are, and who asks them how."""

from __future__ import annotations

import msgspec

from outlast.policy.admission import Priority


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One endpoint. It serves `slots` requests at once and refuses more; `limit` is what the pool is told of it."""

    name: str
    slots: int = 16
    first_s: float = 0.2
    gap_s: float = 0.02
    limit: int | None = None
    weight: float = 1.0


class Calls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`count` calls, one each `every_s` (from, to); `cancel` is the chance that its client leaves early.

    `tokens` of an answer and `deadline_s` are drawn from their (from, to); `sessions`: how many the calls belong to, 0:
    to none; `bad`: the chance that the request itself is wrong.
    """

    count: int
    every_s: tuple[float, float] = (0.0, 0.2)
    deadline_s: tuple[float, float] = (3.0, 12.0)
    tokens: tuple[int, int] = (1, 12)
    priority: Priority = "normal"
    sessions: int = 0
    stream: bool = True
    hedge: bool = True
    cancel: float = 0.0
    bad: float = 0.0


class PoolWorkload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The endpoints of a pool, those of its fallback model if it has one, and the calls.

    `watch`: whether endpoints are checked actively; `moves_max`: how often a call may leave an endpoint that is out of
    rotation outside the retry budget.
    """

    name: str
    servers: list[Server]
    calls: list[Calls]
    fallback: list[Server] = []
    watch: bool = True
    moves_max: int = 2
