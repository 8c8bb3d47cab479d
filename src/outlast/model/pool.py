"""The endpoints behind one model name: something healthy answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.kernel.randomness import Randomness
from outlast.model.ask import Ask, RetryTree, Served
from outlast.model.attempt import Attempt
from outlast.model.call import Call
from outlast.model.canary import Canary, CanaryPolicy, Examiner, Golden
from outlast.model.endpoint import EndpointError, EndpointRefused, EndpointUnavailable, Interrupted
from outlast.model.member import Member, Target
from outlast.model.report import Reporter
from outlast.model.reporting import Reporting, ReportPolicy
from outlast.model.traffic import Traffic, TrafficPolicy
from outlast.model.view import PoolView, pool_view
from outlast.model.watch import Probe, Watch, WatchPolicy

__all__ = ["Ask", "Pool", "PoolPolicy", "RetryTree", "Served"]

T = TypeVar("T")


class PoolPolicy(msgspec.Struct, frozen=True):
    """All bounds of a pool."""

    traffic: TrafficPolicy = TrafficPolicy()
    watch: WatchPolicy = WatchPolicy()


class Pool:
    """The endpoints behind the model name `name`; `fallback` is asked when none of them can answer.

    `probe` checks a member actively (see `model/watch.py`); without it only requests show how members are. Raises
    ConfigurationError for a pool without endpoints and for one name given twice.
    """

    def __init__(
        self,
        name: str,
        targets: Sequence[Target],
        clock: Clock,
        randomness: Randomness,
        *,
        fallback: Pool | None = None,
        policy: PoolPolicy | None = None,
        probe: Probe | None = None,
    ) -> None:
        policy = policy or PoolPolicy()
        if not targets:
            raise ConfigurationError(f"model {name!r} has no endpoints: give it at least one")
        names = [target.name for target in targets]
        for twice in {one for one in names if names.count(one) > 1}:
            raise ConfigurationError(f"model {name!r} has two endpoints named {twice!r}: rename one")
        self.name = name
        self.fallback = fallback
        self.degraded = 0
        """Calls that the fallback answered."""
        self.clock = clock
        self.randomness = randomness
        self.traffic = Traffic(name, targets, policy.traffic, clock, randomness, fallback is not None)
        self.members: tuple[Member, ...] = self.traffic.router.members
        self._unwatched = probe is not None
        self._canary: Canary | None = None
        self._reporting: Reporting | None = None
        self._watch = Watch(self.traffic, probe, policy.watch) if probe is not None else None

    async def call(self, send: Callable[[Attempt], Awaitable[T]], ask: Ask) -> Served[T]:
        """Have `send` answered by one of the members, within ``ask.deadline_s`` seconds.

        `send` is awaited in the caller's task while all goes well; see `model/attempt.py` for what it must do. Raises
        PoolOverloaded (refused at once; `retry_after_s`), EndpointUnavailable or EndpointOverloaded (nothing answered
        in time), EndpointRefused (the request itself is wrong: not tried again), Interrupted (it broke off after
        `commit`).
        """
        now = self.clock.monotonic()
        deadline = now + ask.deadline_s
        tree = ask.tree or RetryTree()
        traffic = self.traffic
        before = tree.left
        if before <= 0:
            raise EndpointUnavailable(f"model {self.name!r} is not asked: the request has used up its attempts")
        if self._unwatched:
            self.start()
        try:
            member = None
            if traffic.admission.waiting == 0:
                member = traffic.router.pick(now, ask, (), traffic.chance(), traffic.chance())
            if member is None:
                member = await traffic.place(now, ask, deadline)
            else:
                traffic.router.reserve(member)
            traffic.budget.deposit(now)
            call = Call(traffic, send, ask, tree, deadline)
            value = await call.run(member)
        except EndpointError as error:
            if self.fallback is None or not _may_fall_back(error):
                raise
            return await self._fall_back(send, ask, tree, before, deadline, error)
        winner = call.winner
        assert winner is not None
        answered = winner.member
        return Served(value, answered.name, answered.model, False, before - tree.left, winner.hedge)

    @property
    def everybody(self) -> tuple[Member, ...]:
        """The members, and those of the fallback."""
        return self.members if self.fallback is None else self.members + self.fallback.everybody

    def member(self, name: str) -> Member:
        """A member by its name, of this pool or of its fallback. Raises UsageError if there is none."""
        for member in self.everybody:
            if member.name == name:
                return member
        known = ", ".join(member.name for member in self.everybody)
        raise UsageError(f"model {self.name!r} has no endpoint {name!r}: it has {known}")

    def drain(self, name: str) -> None:
        """Send no new requests to a member; those under way go on."""
        self.member(name).drained = True

    def undrain(self, name: str) -> None:
        """Take a member that was drained or ejected back into rotation, slowly."""
        member, now = self.member(name), self.clock.monotonic()
        member.drained = False
        member.ejected_until = now
        self.traffic.router.well(member, now)
        member.load.cold(now)

    def eject(self, name: str, for_s: float) -> None:
        """Take a member out of rotation for `for_s` seconds, and move the requests that wait on it elsewhere."""
        member = self.member(name)
        member.ejected_until = self.clock.monotonic() + for_s
        self.traffic.empty(member)

    def weight(self, name: str, weight: float) -> None:
        """Give a member another share of the requests; 0: none while others are well."""
        if not 0.0 <= weight <= 1e6:
            raise UsageError(f"weight {weight} is not possible: 0 to 1000000")
        self.member(name).load.weight = weight

    def hint(self, view: PoolView) -> None:
        """What another replica sees. Members that are out there are checked here at once; nothing is simply believed:
        the other may be the one that is cut off.
        """
        for theirs in view.members:
            if theirs.state in ("sick", "open") or (theirs.state == "ejected" and theirs.ejections):
                for member in self.everybody:
                    if (member.name, member.url) == (theirs.name, theirs.url):
                        self.traffic.suspect(member)

    def view(self) -> PoolView:
        """What there is to see of it now."""
        fallback = self.fallback.name if self.fallback is not None else None
        return pool_view(self.traffic, self.clock.monotonic(), self.degraded, fallback)

    def examine(self, golden: Sequence[Golden], examiner: Examiner, policy: CanaryPolicy) -> None:
        """Have the members' models examined by golden prompts, from the next call or `start` on; `close` ends that.

        The fallback's are scored with the same prompts.
        """
        fallback = self.fallback.everybody if self.fallback is not None else ()
        self._canary = Canary(self.traffic, golden, examiner, policy, fallback)
        self._unwatched = True

    def observe(self, sources: Mapping[Member, Sequence[Reporter]], policy: ReportPolicy | None = None) -> None:
        """Ask these sources what members' load is, from the next call or `start` on; `close` ends that."""
        self._reporting = Reporting(self.traffic, sources, policy or ReportPolicy())
        self._unwatched = True

    def start(self) -> None:
        """Begin to check the members, in the running loop; the first call does so otherwise."""
        self._unwatched = False
        if self._watch is not None:
            self._watch.start()
        if self._canary is not None:
            self._canary.start()
        if self._reporting is not None:
            self._reporting.start()

    async def close(self) -> None:
        """Stop the checks and refuse whoever waits in the queue. Requests under way go on in their callers' tasks."""
        self._unwatched = False
        if self._watch is not None:
            await self._watch.close()
        if self._canary is not None:
            await self._canary.close()
        if self._reporting is not None:
            await self._reporting.close()
        await self.traffic.close()
        if self.fallback is not None:
            await self.fallback.close()

    async def _fall_back(
        self,
        send: Callable[[Attempt], Awaitable[T]],
        ask: Ask,
        tree: RetryTree,
        before: int,
        deadline: float,
        error: EndpointError,
    ) -> Served[T]:
        assert self.fallback is not None
        left_s = deadline - self.clock.monotonic()
        if left_s <= 0 or tree.left <= 0:
            raise error
        try:
            served = await self.fallback.call(send, msgspec.structs.replace(ask, deadline_s=left_s, tree=tree))
        except EndpointError as second:
            raise second from error
        self.degraded += 1
        return msgspec.structs.replace(served, degraded=True, attempts=before - tree.left)


def _may_fall_back(error: EndpointError) -> bool:
    if isinstance(error, Interrupted):
        return False
    return not isinstance(error, EndpointRefused) or error.elsewhere
