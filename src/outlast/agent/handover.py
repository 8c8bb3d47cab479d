"""Mail for a run that may have been continued as new: it goes on to who continues it, unless it was acted on before.

The order makes it complete. A run that continues decides so, makes its successor, then reads its inbox and hands on
what nobody took; a sender appends, then looks for a successor. Whichever comes second sees what the other did.
"""

from __future__ import annotations

from outlast.agent import event as ev
from outlast.agent.create import NewRun, create_run, derived_run_id, run_key
from outlast.agent.history import History
from outlast.agent.mail import Mailbox, post
from outlast.agent.platform import Platform
from outlast.journal.blob import load_payload

_continuations_max = 10_000
_page = 1_000


def successor_of(run: str) -> str:
    """The run that continues `run`, if it continues as new."""
    return derived_run_id("continue", run)


async def post_on(platform: Platform, run: str, mail: ev.Mail, *, unborn: bool = False) -> None:
    """Post to a run, and on to those that continue it. Raises as `post` does."""
    for _ in range(_continuations_max):
        number = await post(platform, run, mail, unborn=unborn)
        successor = successor_of(run)
        if (await platform.store.head(run_key(platform, successor))).seq == 0:
            return
        if number in await _acted_on(platform, run):
            return
        run, unborn = successor, False


async def _acted_on(platform: Platform, run: str) -> set[int]:
    """The letters that a run has acted on: all there will be, once it has a successor."""
    key, history, after = run_key(platform, run), History(), 0
    while True:
        records = await platform.store.read(key, after, _page)
        history.apply_all(ev.RUN.read(key, record) for record in records)
        if len(records) < _page:
            return history.mail
        after = records[-1].seq + records[-1].count - 1


async def make_successor(platform: Platform, run: str, history: History) -> None:
    """Make the run that a history has decided to continue as; it may be there already. Raises as `create_run` does."""
    created, continuing = history.created, history.continuing
    assert created is not None
    assert continuing is not None
    raw = await load_payload(continuing.input, platform.blobs)
    new = NewRun(
        created.agent, created.pool, bytes(raw), continuing.deadline_at, parent=created.parent,
        parent_place=created.parent_place, continued_from=run,
    )  # fmt: skip
    await create_run(platform, continuing.run, new)


async def forward(platform: Platform, mailbox: Mailbox, successor: str) -> None:
    """Hand on what nobody has taken: it is for the run that goes on."""
    letters = (letter for letters in mailbox.signals.values() for letter in letters)
    for _, signal in sorted(letters, key=lambda letter: letter[0]):
        await post_on(platform, successor, signal)
    if mailbox.cancel is not None:
        await post_on(platform, successor, mailbox.cancel[1])
