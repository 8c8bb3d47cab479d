"""Whether an endpoint is healthy, and if not, in which layer it fails: connection, application, model.

Source: the layers of deep health checks ("Implementing health checks", Amazon Builders' Library, 2019), each with the
rise and fall counts of HAProxy and Elastic Load Balancing, so that one lucky or unlucky check changes nothing. What was
never checked counts as healthy: a check that cannot run must not take an endpoint away. A model that answers is a
reason to use an endpoint, never a reason to restart it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.kernel.error import ConfigurationError

Layer = Literal["connection", "application", "model"]
LAYERS: tuple[Layer, ...] = ("connection", "application", "model")

State = Literal["unknown", "up", "down"]
Event = Literal["pass", "fail"]

TRANSITIONS: dict[tuple[State, Event], tuple[State, Literal["", "rise", "fall"]]] = {
    ("unknown", "pass"): ("up", ""),
    ("unknown", "fail"): ("down", ""),
    ("up", "fail"): ("down", "fall"),
    ("down", "pass"): ("up", "rise"),
}
"""The next state, and which count of such events in a row it takes; "": the first one decides."""


class LayerPolicy(msgspec.Struct, frozen=True):
    """`rise` passes in a row bring a layer up, `fall` failures down; it is checked every so many seconds.

    While it is not up it is checked `down_every_s`, so that it is back soon.
    """

    rise: int = 2
    fall: int = 3
    every_s: float = 1.0
    down_every_s: float = 0.5

    def __post_init__(self) -> None:
        if self.rise < 1 or self.fall < 1 or self.every_s <= 0 or self.down_every_s <= 0:
            raise ConfigurationError(
                f"health check {self} is not possible: rise and fall are 1 or more, every_s and down_every_s above zero"
            )


class HealthPolicy(msgspec.Struct, frozen=True):
    """The bounds of each layer. A canary asks the model itself, which costs tokens: it is rare."""

    connection: LayerPolicy = LayerPolicy()
    application: LayerPolicy = LayerPolicy(every_s=2.0)
    model: LayerPolicy = LayerPolicy(rise=1, fall=2, every_s=60.0, down_every_s=10.0)


class _Check:
    __slots__ = ("checked_at", "policy", "run", "state", "why")

    def __init__(self, policy: LayerPolicy) -> None:
        self.policy = policy
        self.state: State = "unknown"
        self.run = 0
        self.checked_at: float | None = None
        self.why = ""


class Health:
    """What is known of one endpoint. Each call is O(1)."""

    __slots__ = ("_checks",)

    def __init__(self, policy: HealthPolicy | None = None) -> None:
        policy = policy or HealthPolicy()
        self._checks: dict[Layer, _Check] = {layer: _Check(getattr(policy, layer)) for layer in LAYERS}

    @property
    def failing(self) -> Layer | None:
        """The lowest layer that is down; None: nothing is known against it."""
        return next((layer for layer in LAYERS if self._checks[layer].state == "down"), None)

    @property
    def why(self) -> str:
        """What was said when the failing layer last failed; "" if none does."""
        failing = self.failing
        return "" if failing is None else self._checks[failing].why

    def state(self, layer: Layer) -> State:
        return self._checks[layer].state

    def passed(self, now: float, layer: Layer) -> None:
        """A check of `layer`, or a real request, went well. That proves the layers below too."""
        for each in LAYERS[: LAYERS.index(layer) + 1]:
            self._saw(now, self._checks[each], "pass")

    def failed(self, now: float, layer: Layer, why: str = "") -> None:
        """A check failed in `layer`: what is below it was tried before, what is above it was not reached."""
        check = self._checks[layer]
        check.why = why
        self._saw(now, check, "fail")
        if check.state == "down":
            for above in LAYERS[LAYERS.index(layer) + 1 :]:
                if self._checks[above].state == "up":  # what comes back may be another process; a bad model stays bad
                    self._checks[above].state, self._checks[above].run = "unknown", 0

    def due(self, now: float) -> Layer | None:
        """The layer to check now: the lowest that is due, and none above one that is down."""
        for layer in LAYERS:
            check = self._checks[layer]
            every_s = check.policy.every_s if check.state == "up" else check.policy.down_every_s
            if check.checked_at is None or now >= check.checked_at + every_s:
                return layer
            if check.state == "down":
                return None
        return None

    def _saw(self, now: float, check: _Check, event: Event) -> None:
        check.checked_at = now
        step = TRANSITIONS.get((check.state, event))
        if step is None:
            check.run = 0
            return
        after, count = step
        check.run += 1
        if not count or check.run >= getattr(check.policy, count):
            check.state, check.run = after, 0
