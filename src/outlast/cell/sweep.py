"""The slow sweep behind every hint: runs of which the index knows nothing, or something that is over, are told anew.

Streams decide. A hint may be lost for good (an index on another engine than the streams, one restored from an older
copy); who looks into the index alone would never find that run again. So each worker walks through all runs now and
then, slowly, compares the end of each with its entry, and where they disagree writes the hint again, as every hint is
written: with an append, here of a wake-up to the run's inbox. What it says may be too much, never too little: a run
that goes on is *ready*, and who claims it finds out the rest.

Source: the sweep behind the doorbell; anti-entropy (Demers et al., "Epidemic Algorithms for
Replicated Database Maintenance", PODC 1987).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from outlast.agent import event as ev
from outlast.agent.create import run_key
from outlast.agent.ending import last_recorded, state_of
from outlast.agent.mail import inbox_key, post
from outlast.agent.platform import Platform
from outlast.agent.switch import is_held_by, stopped_reason
from outlast.journal.index import ENDED, RESTING, HintPatch, RunEntry
from outlast.journal.record import make_append
from outlast.journal.stream import StreamKey
from outlast.journal.writer import Fenced, settle_append
from outlast.kernel.error import OutlastError, StoreError
from outlast.kernel.identity import new_id

_slack_s = 0.001  # a record and its hint bear almost the same time
_rounds_max = 3


class Sweep:
    """Walks through all runs of a store, `sweep_every_s` after it has walked through them last.

    Bounds: `sweep_every_s`, `sweep_page`, `sweep_rest_s` of `Settings`. `complain` gets a line for what cannot be read.
    """

    def __init__(self, platform: Platform, complain: Callable[[str], None]) -> None:
        self._platform = platform
        self._complain = complain

    async def run(self) -> None:
        """Until cancelled. It begins at a random time, so that workers that start together do not walk together."""
        clock, every_s = self._platform.clock, self._platform.settings.sweep_every_s
        await clock.sleep(every_s * self._platform.randomness.uniform())
        while True:
            try:
                await self.walk()
            except StoreError as error:
                self._complain(f"runs cannot be swept: {error}")
            await clock.sleep(every_s)

    async def walk(self) -> int:
        """Look at every run once; returns how many hints were written. Raises StoreError if runs cannot be listed."""
        platform = self._platform
        mended, after = 0, ""
        while page := await platform.store.streams("run", after, platform.settings.sweep_page):
            for stream in page:
                await platform.clock.sleep(platform.settings.sweep_rest_s)
                key = StreamKey.parse(stream)
                if key.lineage == platform.store.lineage:
                    mended += await self._mended(key.id)
            after = page[-1]
        return mended

    async def _mended(self, run: str) -> bool:
        try:
            return await self.mend(run)
        except OutlastError as error:
            self._complain(f"run {run} cannot be swept: {error}")
            return False

    async def mend(self, run: str) -> bool:
        """Write the hint of one run again if the index lacks it; True if it did. Raises StoreError."""
        store, stream = self._platform.store, run_key(self._platform, run)
        mended = await self._released(run)
        for _ in range(_rounds_max):  # once more after a hint was written: the run may have gone on meanwhile
            head = await store.head(stream)
            patch = await self._lacking(run)
            if patch is None or await store.head(stream) != head:  # who moves it tells the index
                break
            if not await self._tell(patch):
                break
            mended = True
        return mended

    async def _released(self, run: str) -> bool:
        """Let a run go on that its agent's stop holds, though the agent goes on: whoever resumed it did not see the
        run, because it was being held at that moment or the index was behind.
        """
        platform = self._platform
        entry = await platform.index.entry(run)
        if entry is None or not is_held_by(entry, entry.agent) or entry.mail > entry.seen:
            return False
        head = await platform.store.head(run_key(platform, run))
        if await stopped_reason(platform, entry.agent) is not None:
            return False
        await post(platform, run, ev.MailRedrive(f"resumed:{head.seq}"))  # the same one for this hold, whoever finds it
        return True

    async def _lacking(self, run: str) -> HintPatch | None:
        """What must be said about a run; None: the index knows enough."""
        platform = self._platform
        last = await last_recorded(platform, run)
        if last is None:
            return None
        event, at = last
        letters = (await platform.store.head(inbox_key(platform, run))).seq
        entry = await platform.index.entry(run)  # read last: what is written meanwhile makes it newer, not older
        patch: HintPatch | None = None
        if isinstance(event, ev.RunEnd):
            state, reason = state_of(event)
            if entry is None or entry.state != state:
                patch = HintPatch(run, state=state, owner="", wake_at=0.0, reason=reason, updated_at=at)
        elif isinstance(event, ev.RunTrial):
            if entry is None or entry.state != "trial":
                patch = HintPatch(run, state="trial", owner="", reason="to be tried alone", updated_at=at)
        elif entry is None or _is_behind(entry, at, platform.clock.now()):
            patch = HintPatch(run, state="ready", owner="", reason="", updated_at=platform.clock.now())
        elif max(entry.mail, entry.seen) < letters and entry.state not in ("ready", "trial"):
            patch = HintPatch(run)  # whoever claims it looks into its inbox; else nobody would
        if entry is None or not entry.agent:
            patch = await self._introduced(patch or HintPatch(run))
        return patch

    async def _introduced(self, patch: HintPatch) -> HintPatch:
        """A patch that also says what a run's creation said."""
        stream = run_key(self._platform, patch.run)
        envelope = ev.RUN.read(stream, (await self._platform.store.read(stream, 0, 1))[0])
        created = envelope.events[0]
        if not isinstance(created, ev.RunCreated):
            return patch
        return msgspec.structs.replace(
            patch, agent=created.agent, pool=created.pool, session=created.session, parent=created.parent,
            created_at=envelope.at,
        )  # fmt: skip

    async def _tell(self, patch: HintPatch) -> bool:
        """False if somebody else wrote to the inbox meanwhile, or it has no room: the next walk looks again."""
        platform, stream = self._platform, inbox_key(self._platform, patch.run)
        head = await platform.store.head(stream)
        number = head.seq + 1
        if number > platform.settings.inbox_events_max // 2:
            self._complain(f"run {patch.run} cannot be told to the index: its inbox holds {head.seq} messages")
            return False
        now = round(platform.clock.now(), 6)
        token = new_id("sweep", platform.clock, platform.randomness)
        mail = ev.MailWake(f"sweep:{number}", patch.run)
        append = make_append(stream, head, token, now, [mail], msgspec.structs.replace(patch, mail=number))
        try:
            await settle_append(platform.store, append, platform.clock, platform.settings.append_patience_s)
        except Fenced:
            return False
        return True


def _is_behind(entry: RunEntry, at: float, now: float) -> bool:
    """Whether the entry of a run that goes on, and whose last record is of time `at`, keeps it from being found."""
    if entry.state in ENDED:
        return True
    return entry.state in RESTING and not entry.due(now) and entry.updated_at < at - _slack_s
