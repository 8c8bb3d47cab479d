"""A child process as its supervisor sees it: what is asked of the host, and the words on the control channel.

The channel is one JSON object a line, ``t`` says which word. Its end-of-file tells a child that the supervisor is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

Kind = Literal["writer", "server", "gateway", "worker", "keeper"]

beat_every_s = 0.1
"""How often a child says from its main loop that it goes round."""
loading_every_s = 1.0
"""How often a child that does not serve yet says that it is not frozen."""
line_bytes_max = 64 * 1024
"""Bound of one line on the control channel: 64 KiB."""


class Ready(msgspec.Struct, frozen=True, tag_field="t", tag="ready", omit_defaults=True):
    """The child serves. `pools` are those its app's agents name (workers), `address` where it listens (the others)."""

    pools: tuple[str, ...] = ()
    address: str = ""


class Loading(msgspec.Struct, frozen=True, tag_field="t", tag="loading", omit_defaults=True):
    """It does not serve yet, and is not frozen: `n` grows with each. Said beside the main loop, which imports and opens
    what the app needs.
    """

    n: int


class Beat(msgspec.Struct, frozen=True, tag_field="t", tag="beat", omit_defaults=True):
    """Its main loop goes round: `n` grows with each beat, `runs` is how many runs it holds."""

    n: int
    runs: int = 0


class Log(msgspec.Struct, frozen=True, tag_field="t", tag="log", omit_defaults=True):
    """One line for people."""

    level: Literal["info", "warning", "error"]
    text: str


class Failed(msgspec.Struct, frozen=True, tag_field="t", tag="failed", omit_defaults=True):
    """The child cannot start, and why: starting it again will not help before somebody changes something."""

    code: str
    message: str


class Ring(msgspec.Struct, frozen=True, tag_field="t", tag="ring", omit_defaults=True):
    """A hint to a worker: this run may want to be claimed. `solo`: as a trial alone."""

    run: str
    solo: bool = False


class Drain(msgspec.Struct, frozen=True, tag_field="t", tag="drain", omit_defaults=True):
    """Take nothing new, end or park what is in flight within `within_s`, then exit."""

    within_s: float


FromChild = Ready | Loading | Beat | Log | Failed
ToChild = Ring | Drain


class ChildPlan(msgspec.Struct, frozen=True):
    """What to start. `id` is unique for ever and stands in the child's environment as ``OUTLAST_CHILD``."""

    id: str
    kind: Kind
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    log: str
    """Path of the file that takes its standard output and error."""


class Child(Protocol):
    """A started process and its group."""

    @property
    def id(self) -> str: ...

    @property
    def pid(self) -> int: ...

    def send(self, word: ToChild) -> bool:
        """Hand it a word without waiting; False if its channel is full or closed (rings may be lost)."""
        ...

    def kill(self) -> None:
        """SIGKILL its whole group. Safe at any time, any number of times."""
        ...

    def memory(self) -> int:
        """Resident bytes of the process, and now and then of all that it started; 0 once it is dead."""
        ...


class ChildHost(Protocol):
    """Starts children. Callbacks come on the caller's event loop, never from inside `start`."""

    def start(
        self,
        plan: ChildPlan,
        heard: Callable[[str, FromChild], None],
        died: Callable[[str, int], None],
    ) -> Child:
        """Start it. `heard(id, word)` for each word; `died(id, status)` once, when it has exited and its group
        was sent SIGKILL.

        `status` is the exit code, or minus the signal's number. Raises StoreUnavailable if the host has no room.
        """
        ...
