"""Which members of a pool are so much slower than their peers that they get nothing for a while.

Source: Envoy's outlier detection (a cap on the share ejected, ejection times that grow) and "Gray Failure: The
Achilles' Heel of Cloud-Scale Systems" (Huang et al., HotOS 2017): what counts is what callers see, not what a health
check is told. Compared is with the peers, as in IASO (Panda et al., USENIX ATC 2019): what is slow for all of them
(long prompts, a long day) ejects nobody.

- *Slow*: the geometric mean of the time to first token, or of the gap between tokens, is beyond doubt more than
  `slower_than_peers` times the median of the peers' means. Means of logarithms, because one answer in a hundred takes
  a hundred times as long and says little; with their doubt, because five answers say little too. Below `first_floor_s`
  and `gap_floor_s` nobody is slow.
- *Silent*: a member that is frozen answers nothing, so its answers never show it. What its callers wait for does. Were
  it as fast as its peers, its request would still have got nothing by now with a certain probability; the sum of the
  negative logarithms over all its requests is the evidence, and at `silent_evidence` it is taken for frozen. One
  request must wait for long, ten only a little longer than usual. While the peers are silent too, nobody is: then it
  is the observer who did not run.

At most `share_max` of the members are out at a time, the worst first; the others stay in. So a pool of one ejects
nobody.

::

              ejected (slow, silent)
      ┌────┐ ────────────────────────▶ ┌─────┐
      │ in │                           │ out │     slow: 5 s, 10 s, 20 s, 40 s, 60 s, 60 s …
      └────┘ ◀──────────────────────── └─────┘     silent: 2 s each time
              returned (its time is over), recovered (a sign of life of a silent one, a health check)
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Literal

import msgspec

from outlast.kernel.error import ConfigurationError, invariant

State = Literal["in", "out"]
Event = Literal["ejected", "returned", "recovered"]

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("in", "ejected"): "out",
    ("out", "returned"): "in",
    ("out", "recovered"): "in",
}
"""Every legal transition; any other breaks an invariant."""

SPREAD = 1.0
"""Standard deviation of the logarithm of one latency, as taken for granted: that of an answer's usual long tail."""
DOUBT = 2.0
"""By how many standard deviations two means must differ more than they may."""


UNHEARD_MAX = 64
"""How many requests that were given up are remembered: each alone may be half the evidence."""


class OutlierPolicy(msgspec.Struct, frozen=True):
    """The bounds. Times in seconds.

    Means are over the last `window_s`, kept in `buckets`, and of at least `samples_min` answers (or gaps). Members are
    judged every `check_s`. A silence counts from `silent_s` on, and from `slower_than_peers` times the peers' time to
    first token. A slow member is out for `ejection_s`, twice as long each time up to `ejection_max_s`, and for
    `ejection_s` again after `reset_after_s` in rotation. A silent one is out for `silent_ejection_s` each time: asking
    it again costs a few hedges, and it wakes when it wakes.
    """

    slower_than_peers: float = 3.0
    share_max: float = 0.5
    window_s: float = 10.0
    buckets: int = 5
    samples_min: int = 5
    check_s: float = 0.1
    first_floor_s: float = 0.05
    gap_floor_s: float = 0.05
    silent_s: float = 0.5
    silent_evidence: float = 12.0
    silent_ejection_s: float = 2.0
    ejection_s: float = 5.0
    ejection_max_s: float = 60.0
    reset_after_s: float = 120.0

    def __post_init__(self) -> None:
        if not (
            self.slower_than_peers > 1
            and 0 <= self.share_max <= 1
            and self.window_s > 0
            and 1 <= self.buckets <= 1_000
            and self.samples_min >= 1
            and self.check_s >= 0
            and self.first_floor_s > 0
            and self.gap_floor_s > 0
            and self.silent_s > 0
            and self.silent_evidence > 0
            and self.silent_ejection_s > 0
            and 0 < self.ejection_s <= self.ejection_max_s
            and self.reset_after_s >= 0
        ):
            raise ConfigurationError(
                f"outlier {self} is not possible: slower_than_peers above 1, share_max 0 to 1, buckets 1 to 1000, "
                "samples_min 1 or more, check_s and reset_after_s 0 or more, all else above 0, "
                "ejection_s <= ejection_max_s"
            )


class Window:
    """The geometric mean of what was measured lately, in buckets of time."""

    __slots__ = ("_bucket", "_buckets", "_counts", "_floor", "_sums", "_width", "count", "total")

    def __init__(self, window_s: float, buckets: int, floor: float) -> None:
        self._width = window_s / buckets
        self._buckets = buckets
        self._floor = floor
        self._bucket = -1
        self._counts = [0] * buckets
        self._sums = [0.0] * buckets
        self.count = 0
        self.total = 0.0
        """Of the logarithms."""

    def add(self, now: float, value: float) -> None:
        """One measurement, in seconds; counts as the floor if it is below that."""
        self.look(now)
        place = self._bucket % self._buckets
        value = math.log(max(value, self._floor))
        self._counts[place] += 1
        self._sums[place] += value
        self.count += 1
        self.total += value

    def look(self, now: float) -> None:
        """Forget what left the window; a clock that went back forgets nothing."""
        bucket = int(now // self._width)
        if bucket <= self._bucket:
            return
        for old in range(max(self._bucket + 1, bucket - self._buckets + 1), bucket + 1):
            place = old % self._buckets
            self._counts[place] = 0
            self._sums[place] = 0.0
        self._bucket = bucket
        self.count = sum(self._counts)
        self.total = sum(self._sums)

    def clear(self) -> None:
        """Forget everything."""
        self._counts = [0] * self._buckets
        self._sums = [0.0] * self._buckets
        self.count, self.total = 0, 0.0

    @property
    def mean(self) -> float:
        """The mean of the logarithms of seconds; 0 when there is nothing."""
        return self.total / self.count if self.count else 0.0


class Pace:
    """How fast one member answers. `key` tells its requests apart; `now` is monotonic, in seconds."""

    __slots__ = (
        "_last", "_policy", "_since", "_streak", "_unheard", "ejections", "first_token", "gap", "life", "name",
        "silent", "state", "until", "why",
    )  # fmt: skip

    def __init__(self, policy: OutlierPolicy, name: str) -> None:
        self._policy = policy
        self.name = name
        self.first_token = Window(policy.window_s, policy.buckets, policy.first_floor_s)
        self.gap = Window(policy.window_s, policy.buckets, policy.gap_floor_s)
        self.life = -math.inf
        """When it last gave a sign of life."""
        self.state: State = "in"
        self.until: float | None = None
        """Until when it is out; None: it is in."""
        self.why = ""
        """What ejected it last, in words."""
        self.silent = False
        """Whether it was ejected last because it was silent."""
        self.ejections = 0
        """How often it was ejected."""
        self._last: dict[Hashable, tuple[float, bool]] = {}
        self._unheard: list[tuple[float, float]] = []
        """From when to when requests waited that were given up, since the last sign of life; `UNHEARD_MAX` of them."""
        self._since = -math.inf
        self._streak = 0

    def began(self, key: Hashable, now: float) -> None:
        """A request was sent to it."""
        self._last[key] = (now, False)

    def token(self, key: Hashable, now: float) -> None:
        """Content of the answer came: the first piece, or one more."""
        last = self._last.get(key)
        invariant(last is not None, f"outlier: a token for a request that {self.name} does not have")
        assert last is not None
        (self.gap if last[1] else self.first_token).add(now, now - last[0])
        self._last[key] = (now, True)
        self._lives(now)

    def ended(self, key: Hashable) -> None:
        """A request is over, however it ended; one that it does not have is none."""
        self._last.pop(key, None)

    def given_up(self, key: Hashable, now: float) -> None:
        """A request was stopped while it waited, because a hedge won: until there is a sign of life its waiting counts.

        Else the hedges that rescue a frozen member's requests would hide that it is frozen.
        """
        last = self._last.pop(key, None)
        if last is not None and not last[1] and len(self._unheard) < UNHEARD_MAX:
            self._unheard.append((last[0], now))

    def alive(self, now: float) -> None:
        """A sign of life that is no content: an error status, headers."""
        self._lives(now)

    def silence(self, now: float) -> float:
        """For how long its requests have got nothing; 0: it has none."""
        if not self._last:
            return 0.0
        first = min(since for since, _ in self._last.values())
        if self._unheard:
            first = min(first, self._unheard[0][0])
        return now - max(self.life, first)

    def evidence(self, now: float, usual_s: float) -> float:
        """How unlikely its silence is if answers usually take `usual_s`: the negative logarithm of the probability."""
        result = 0.0
        waited = [(since, now) for since, _ in self._last.values()]
        for since, until in waited + self._unheard:
            result += _surprise((until - since) / usual_s)
            if self.life > since:
                result -= _surprise((self.life - since) / usual_s)
        return result

    def _lives(self, now: float) -> None:
        self.life = max(now, self.life)
        if self._unheard:
            self._unheard.clear()

    def move(self, event: Event, now: float) -> None:
        """In or out of rotation, as `TRANSITIONS` has it; back in, it is judged by what it does from now on."""
        state = TRANSITIONS.get((self.state, event))
        invariant(state is not None, f"outlier: {self.name} {event} while {self.state}")
        assert state is not None
        self.state = state
        if state == "in":
            self.until = None
            self._unheard.clear()
            self.first_token.clear()
            self.gap.clear()
            self.life = max(now, self.life)
        elif now - self._since >= self._policy.reset_after_s:
            self._streak = 0
        self._since = now

    def eject(self, now: float, why: str, silent: bool) -> None:
        """Out of rotation, for longer each time it was slow."""
        policy = self._policy
        self.move("ejected", now)
        if silent:
            lasts = policy.silent_ejection_s
        else:
            lasts = min(policy.ejection_max_s, policy.ejection_s * 2.0 ** min(self._streak, 60))
            self._streak += 1
        self.until = now + lasts
        self.why = why
        self.silent = silent
        self.ejections += 1

    def back(self, now: float) -> bool:
        """Let it in when its time is over, or when a silent one gave a sign of life. Whether it came in."""
        if self.until is None:
            return False
        if now >= self.until:
            self.move("returned", now)
        elif self.silent and self.life > self._since:
            self.move("recovered", now)
        else:
            return False
        return True


class Outlier:
    """Judges the members of one pool against each other."""

    __slots__ = ("_checked_at", "_factor", "_policy", "members", "spared")

    def __init__(self, policy: OutlierPolicy) -> None:
        self._policy = policy
        self._factor = math.log(policy.slower_than_peers)
        self._checked_at = -math.inf
        self.members: dict[str, Pace] = {}
        self.spared = 0
        """How many would be out, but for `share_max`, as of the last check."""

    def join(self, name: str) -> Pace:
        """A member is new in the pool, or known already."""
        return self.members.setdefault(name, Pace(self._policy, name))

    def leave(self, name: str) -> None:
        """A member is no longer in the pool."""
        self.members.pop(name, None)

    def recovered(self, name: str, now: float) -> bool:
        """A health check found the member as fast as it should be: it is in. Whether it was out."""
        pace = self.members.get(name)
        if pace is None or pace.state == "in":
            return False
        pace.move("recovered", now)
        return True

    def judge(self, now: float) -> list[Pace]:
        """Whose state has changed. Call it often: it looks every `check_s` only."""
        if 0 <= now - self._checked_at < self._policy.check_s:
            return []
        self._checked_at = now
        changed = [pace for pace in self.members.values() if pace.back(now)]
        within = [pace for pace in self.members.values() if pace.state == "in"]
        if len(within) < 2:
            return changed
        found: list[tuple[float, str, bool, Pace]] = []
        for pace in within:
            pace.first_token.look(now)
            pace.gap.look(now)
        for pace in within:
            peers = [peer for peer in within if peer is not pace]
            verdict = self._silent(pace, peers, now) or self._slow(pace, peers)
            if verdict is not None:
                found.append((*verdict, pace))
        found.sort(key=lambda verdict: verdict[0], reverse=True)
        room = int(self._policy.share_max * len(self.members)) - (len(self.members) - len(within))
        room = max(0, room)
        self.spared = max(0, len(found) - room)
        for _, why, silent, pace in found[:room]:
            pace.eject(now, why, silent)
            changed.append(pace)
        return changed

    def _silent(self, pace: Pace, peers: list[Pace], now: float) -> tuple[float, str, bool] | None:
        """How bad a silence is, and in words; None: it is none."""
        policy = self._policy
        if now - pace.life < policy.silent_s:
            return None
        silence = pace.silence(now)
        if silence < policy.silent_s or max(peer.life for peer in peers) < now - silence / 2:
            return None
        known = [peer.first_token.mean for peer in peers if peer.first_token.count]
        if not known:
            return None
        usual = math.exp(_median(known))
        if silence < policy.slower_than_peers * usual or pace.evidence(now, usual) < policy.silent_evidence:
            return None
        why = f"silent for {silence:.2g} s; its peers take {usual:.2g} s to their first token"
        return math.inf, why, True

    def _slow(self, pace: Pace, peers: list[Pace]) -> tuple[float, str, bool] | None:
        """How many times slower than its peers it surely is (as a logarithm), and in words; None: it is not slow."""
        for what, own, others in (
            ("first token", pace.first_token, [peer.first_token for peer in peers]),
            ("gap between tokens", pace.gap, [peer.gap for peer in peers]),
        ):
            enough = self._policy.samples_min
            known = [other for other in others if other.count >= enough]
            if own.count < enough or not known:
                continue
            usual = _median([other.mean for other in known])
            variance = 1.0 / own.count + 1.0 / min(other.count for other in known)
            beyond = own.mean - usual - DOUBT * SPREAD * math.sqrt(variance)
            if beyond > self._factor:
                why = f"{what} takes {math.exp(own.mean):.2g} s, its peers {math.exp(usual):.2g} s"
                return beyond, why, False
        return None


def _surprise(times: float) -> float:
    """The negative logarithm of the probability that an answer takes more than so many times what is usual."""
    if times <= 0.0:
        return 0.0
    return -math.log(0.5 * math.erfc(min(math.log(times) / (SPREAD * math.sqrt(2.0)), 20.0)))


def _median(values: list[float]) -> float:
    """The middle of the values, or the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
