"""What goes wrong with the endpoints of a pool, by a schedule drawn from the seed; `heal` ends all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

from outlast.simulation.loop import Node
from outlast.simulation.mischief import Act
from outlast.simulation.pool.book import Book
from outlast.simulation.pool.server import Mode, SimServer
from outlast.simulation.world import World

_flaps = 5
_flap_s = 0.3


class PoolMischief:
    """Does what the schedule says to `servers`, those of the pool itself first, and to the pool's own process.

    ``<mode>`` is for one endpoint, ``all <mode>`` for all but the fallback's; so are ``freeze`` and ``flap``; ``freeze
    pool`` is for the process in which the pool is.
    """

    def __init__(
        self, world: World, node: Node, servers: Sequence[SimServer], fallback: Sequence[SimServer], book: Book,
        schedule: Sequence[Act],
    ) -> None:  # fmt: skip
        self._world = world
        self._node = node
        self._servers = servers
        self._every = [*servers, *fallback]
        self._book = book
        self._schedule = schedule
        self._healed = False

    def begin(self) -> None:
        """Arm everything; call it in the world."""
        for act in self._schedule:
            self._world.in_world(act.at, self._do, act)

    def heal(self) -> None:
        """No more faults."""
        self._healed = True
        for server in self._every:
            server.modes.clear()
            self._world.thaw(server.node)
        if self._node.frozen:
            self._book.paused.append((self._book.paused.pop()[0], self._world.loop.time()))
            self._world.thaw(self._node)
        self._world.note("all is well")

    def _do(self, act: Act) -> None:
        if self._healed:
            return
        lasts_s = 0.3 + (act.chance * 7919 % 1.0) ** 2 * 6.0
        if act.kind == "freeze pool":
            self._pause(0.05 + lasts_s / 4)
            return
        whom = self._servers if act.kind.startswith("all ") else [self._every[int(act.chance * len(self._every))]]
        what = act.kind.removeprefix("all ")
        self._world.bit[act.kind] += 1
        for server in whom:
            if what == "freeze":
                self._world.freeze(server.node, lasts_s)
            elif what == "flap":
                for count in range(_flaps):
                    self._world.in_world(2 * count * _flap_s, self._for, server, "down", _flap_s)
            else:
                self._for(server, _mode(what), lasts_s)

    def _for(self, server: SimServer, mode: Mode, seconds: float) -> None:
        if not self._healed:
            server.begin(mode)
            self._world.in_world(seconds, self._end, server, mode)

    def _end(self, server: SimServer, mode: Mode) -> None:
        if not self._healed:
            server.end(mode)

    def _pause(self, seconds: float) -> None:
        if not self._node.frozen:
            now = self._world.loop.time()
            self._book.paused.append((now, now + seconds))
            self._world.freeze(self._node, seconds)


def _mode(what: str) -> Mode:
    if what not in get_args(Mode):
        raise ValueError(f"fault {what!r} is not known")
    return cast("Mode", what)
