"""The bounds of a cell's processes: names, units, defaults."""

from __future__ import annotations

import msgspec

from outlast.policy.restart import Restart


class PoolSize(msgspec.Struct, frozen=True):
    """How many workers besides the spare, and above how many resident bytes one is killed."""

    workers: int = 2
    memory_max: int = 1 << 30


class Bounds(msgspec.Struct, frozen=True):
    """The cell's bounds, in seconds unless named otherwise."""

    takeover_after_s: float = 1.0
    """A worker without a beat for so long is silent: its runs go elsewhere, another worker is started."""
    kill_after_s: float = 10.0
    """A worker or server without a beat for so long is killed."""
    writer_stall_s: float = 5.0
    """The writer without a beat for so long is killed and started again."""
    drain_s: float = 30.0
    """How long workers may take to end or park what is in flight."""
    start_within_s: float = 60.0
    """A child that does not serve after so long is killed and started again."""
    start_silent_s: float = 15.0
    """A child that does not serve yet and shows no sign of life for so long is killed and started again. Longer than an
    extension module that is imported may keep the interpreter from saying so, on a loaded machine."""
    kill_again_s: float = 1.0
    """A killed child that is still there is killed again after so long."""
    keeper_memory_max: int = 1 << 30
    """Resident bytes; a keeper (who publishes and keeps house) that has more is killed and started again."""
    spares: int = 1
    """Workers of each pool beyond its size, so that what takes over already runs."""
    presence_every_s: float = 0.25
    """On a store that several hosts share: how often each writes that it is there and reads who else is, at the least;
    five times in `takeover_after_s` where that is oftener. One write and one read a host each time."""
    presence_within_s: float = 5.0
    """Where a host's sign of life, or a look at the others', is not done after so long it has failed."""
    forget_after_s: float = 60.0
    """The entry of a host without a sign of life for so long is removed by those that see it."""
    failed_starts_max: int = 5
    """So many starts in a row of a kind that never served stop the cell."""
    restart: Restart = Restart()
    writer_restart: Restart = Restart(first_s=0.05, max_s=1.0)
