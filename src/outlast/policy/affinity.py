"""Which member a session goes to, so that it finds its prompt cache warm: the same one, while that one is there and
not overfull.

Source: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (IEEE/ACM ToN, 1998): rendezvous
hashing, each key ranks all members; its weighted form by Schindelhauer and Schomaker (SPAA 2005); the bound on the load
from Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads" (SODA 2018). So

- replicas of a gateway agree without talking to each other;
- when a member leaves, only its own sessions move; when it is back, they come back;
- a famous key cannot drown its member: nobody holds more than `bound` times its share, the next in rank gets the rest.

::

    key "session-7" ranks:   b  >  d  >  a  >  c
                             │     │
                    overfull ┘     └ takes it, until b has room again
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import msgspec

from outlast.kernel.error import ConfigurationError, invariant

_MASK = (1 << 64) - 1


class AffinityPolicy(msgspec.Struct, frozen=True):
    """`bound`: how many times its share of all requests in flight a member may hold before a session goes elsewhere."""

    bound: float = 1.25

    def __post_init__(self) -> None:
        if not self.bound >= 1:
            raise ConfigurationError(f"affinity bound is {self.bound}: write 1 or more")


class Affinity:
    """Ranks members for keys. Holds nothing but the hashes of the names it has seen, `names_max` at most."""

    __slots__ = ("_policy", "_seeds")

    names_max = 10_000

    def __init__(self, policy: AffinityPolicy) -> None:
        self._policy = policy
        self._seeds: dict[str, int] = {}

    def prefer(self, key: str, members: Sequence[str], loads: Sequence[int], weights: Sequence[float]) -> int:
        """The index of the member for `key`.

        `members` are the names of those that may be asked, `loads` their requests in flight, `weights` their shares
        relative to each other: ones that do not change from request to request, or sessions will move.
        """
        invariant(members, "affinity: nobody to prefer")
        whole = sum(weights)
        if whole <= 0.0:
            weights, whole = [1.0] * len(members), float(len(members))
        hashed = _hash(key)
        allowed = self._policy.bound * (sum(loads) + 1) / whole
        best, best_score = -1, -1.0
        for place, name in enumerate(members):
            weight = weights[place]
            if loads[place] < allowed * weight:
                score = weight / -math.log(_mixed(hashed ^ self._seed(name)))
                if score > best_score:
                    best, best_score = place, score
        invariant(best >= 0, "affinity: all are overfull, which no bound of 1 or more allows")
        return best

    def ranked(self, key: str, members: Sequence[str], weights: Mapping[str, float] | None = None) -> list[str]:
        """All `members` in their order for `key`: `prefer` takes the first that is not overfull.

        `weights` are their shares of the first places, above 0 and 1 if not said; None: all have the same.
        """
        hashed, share = _hash(key), (weights or {}).get
        return sorted(
            members, key=lambda name: (math.log(_mixed(hashed ^ self._seed(name))) / -share(name, 1.0), name)
        )

    def _seed(self, name: str) -> int:
        seed = self._seeds.get(name)
        if seed is None:
            if len(self._seeds) >= self.names_max:
                self._seeds.clear()
            seed = self._seeds[name] = _hash(name)
        return seed


def _hash(name: str) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _mixed(value: int) -> float:
    """A number above 0 and below 1 in which every bit of `value` has its say (the finalizer of SplitMix64)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return (((value ^ (value >> 31)) >> 12) + 0.5) / 2.0**52
