"""What other replicas of the gateway let through of each key's bounds: hints, so that all together keep to them.

Each replica has buckets of its own. Every `share_every_s` it adds what it let through to shared counters and takes what
the others added meanwhile off its buckets. Where the counters are away, slow or were lost, each replica goes by its own
buckets alone, as it would without them: more may go through, nothing is refused for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from outlast.kernel.clock import Clock
from outlast.kernel.randomness import Randomness
from outlast.model.shelf import ShelfUnavailable
from outlast.model.tally import Tally
from outlast.policy.limiter import Used
from outlast.server.gateway.key import Account
from outlast.server.gateway.metric import family

share_every_s = 1.0
"""How often counts are exchanged, give or take a quarter."""
share_kept_s = 600.0
"""How long the counters of a key that nobody uses are kept."""


class Shares:
    """All keys with bounds; `run` until it is cancelled. `problem` says why counts could not be exchanged; empty: they
    could, None: not tried yet. `system` keeps apart whose keys have the same names on one server.
    """

    def __init__(
        self, tally: Tally, accounts: Callable[[], Iterable[Account]], clock: Clock, randomness: Randomness,
        system: str = "", note: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        """`note` is told when counts cannot be exchanged any more, and when they can again."""
        self.problem: str | None = None
        self._system = system
        self._note = note
        self._tally = tally
        self._accounts = accounts
        self._clock = clock
        self._randomness = randomness
        self._known: dict[str, tuple[Used, Used]] = {}  # what was used here, and the totals, which include it

    async def run(self) -> None:
        """Exchange counts, at once and again and again: what went through before the first time stays unknown."""
        while True:
            await self.exchange()
            await self._clock.sleep(share_every_s * (0.75 + 0.5 * self._randomness.uniform()))

    async def exchange(self) -> None:
        """Exchange the counts of every key once."""
        accounts = [account for account in self._accounts() if account.limiter is not None]
        names = {account.name for account in accounts}
        self._known = {name: known for name, known in self._known.items() if name in names}
        for account in accounts:
            try:
                await self._exchange(account)
            except ShelfUnavailable as error:
                if not self.problem:
                    self._note(f"limits are not shared, each replica keeps to them alone: {error}")
                self.problem = str(error)
                # Whether what was under way was counted is not known: begin anew from what is there next time.
                self._known.pop(account.name, None)
                return
        if self.problem:
            self._note("limits are shared with other replicas again")
        self.problem = ""

    async def _exchange(self, account: Account) -> None:
        limiter = account.limiter
        assert limiter is not None
        known = self._known.get(account.name)
        used = limiter.used
        before = known[0] if known is not None else used
        mine = (used.requests - before.requests, used.tokens - before.tokens)
        totals = await self._tally.add(self._name(account), mine, share_kept_s)
        total = Used(totals[0], totals[1])
        self._known[account.name] = (used, total)
        if known is None:
            return
        others = (total.requests - known[1].requests - mine[0], total.tokens - known[1].tokens - mine[1])
        limiter.elsewhere(self._clock.monotonic(), Used(max(0, others[0]), max(0, others[1])))

    def metrics(self) -> Iterable[str]:
        """Whether counts could be exchanged, as text."""
        help = "Whether counts could be exchanged with other replicas."
        return family("outlast_gateway_shared_up", help, "gauge", (), [((), float(self.problem == ""))])

    def _name(self, account: Account) -> str:
        digest = hashlib.sha256(f"{self._system}\x1f{account.name}".encode()).hexdigest()[:32]
        return f"outlast:rate:{digest}"
