"""A run's inbox: what others tell it. They append here, never to its own stream; the owner records what it acts on."""

from __future__ import annotations

from collections import deque

import msgspec

from outlast.agent import event as ev
from outlast.agent.history import History
from outlast.agent.platform import Platform
from outlast.journal.blob import BlobStore, Payload, load_payload
from outlast.journal.chain import genesis, verify
from outlast.journal.index import HintPatch
from outlast.journal.record import make_append
from outlast.journal.stream import Head, StreamKey
from outlast.journal.writer import Fenced, settle_append
from outlast.kernel.clock import stamp
from outlast.kernel.error import Conflict, UsageError
from outlast.kernel.identity import check_name, new_id

_page = 500
_race_rounds_max = 200
_VALUED = (ev.MailSignal, ev.MailResolve)
_reserve = 100  # messages that only people send: cancel, resolve, redrive


def inbox_key(platform: Platform, run: str) -> str:
    """The key of a run's inbox."""
    return str(StreamKey("inbox", check_name("run", run), platform.store.lineage))


class Letter(msgspec.Struct, frozen=True):
    """A message and its number in the inbox."""

    number: int
    mail: ev.Mail


async def read_inbox(platform: Platform, run: str, after: Head | None = None) -> tuple[list[Letter], Head]:
    """Letters behind `after`, their chain verified, and the inbox's head. Raises StoreCorrupt."""
    key = inbox_key(platform, run)
    letters: list[Letter] = []
    head = after or genesis(key)
    while True:
        records = await platform.store.read(key, head.seq, _page)
        head = verify(key, records, head)
        for record in records:
            envelope = ev.INBOX.read(key, record)
            letters.extend(Letter(record.seq + index, mail) for index, mail in enumerate(envelope.events))
        if len(records) < _page:
            return letters, head


async def post(platform: Platform, run: str, mail: ev.Mail, *, unborn: bool = False) -> int:
    """Append a message unless one with its id is there; returns its number. Durable when this returns.

    `unborn`: the run is not there yet, and shall not be in the index before it is.

    Raises UsageError when the inbox is full (`inbox_events_max`; a cancel, resolve or redrive still fits), Conflict for
    an id used with other content.
    """
    key = inbox_key(platform, run)
    letters, head = await read_inbox(platform, run)
    for _ in range(_race_rounds_max):
        number = await _number_of(platform, run, letters, mail)
        if number is not None:
            return number
        if head.seq >= _room(platform.settings.inbox_events_max, mail):
            raise UsageError(
                f"run {run}: its inbox holds {head.seq} messages, the bound inbox_events_max is "
                f"{platform.settings.inbox_events_max}: let it end, or continue as new"
            )
        token = new_id("mail", platform.clock, platform.randomness)
        hint = None if unborn else HintPatch(run, mail=head.seq + 1, updated_at=platform.clock.now())
        append = make_append(key, head, token, stamp(platform.clock), [mail], hint)
        try:
            await settle_append(platform.store, append, platform.clock, platform.settings.append_patience_s)
        except Fenced:  # another sender was first: look at what it sent, then try behind it
            letters, head = await read_inbox(platform, run)
            continue
        return append.head
    raise Conflict(f"run {run}: too many senders at once; try again")


async def is_posted(platform: Platform, run: str, mail: ev.Mail) -> bool:
    """Whether this message is in the inbox already. Raises Conflict for an id used with other content."""
    letters, _ = await read_inbox(platform, run)
    return await _number_of(platform, run, letters, mail) is not None


async def _number_of(platform: Platform, run: str, letters: list[Letter], mail: ev.Mail) -> int | None:
    for letter in letters:
        if letter.mail.id == mail.id:
            if not await _same(letter.mail, mail, platform.blobs):
                raise Conflict(f"run {run}: message id {mail.id!r} was used before with other content: use a new id")
            return letter.number
    return None


async def _same(there: ev.Mail, mail: ev.Mail, blobs: BlobStore) -> bool:
    if isinstance(there, ev.MailResolve) and isinstance(mail, ev.MailResolve):
        mail = msgspec.structs.replace(mail, attempt=there.attempt)  # what the sender saw, not what they said
    if type(there) is type(mail) and isinstance(there, _VALUED) and isinstance(mail, _VALUED):
        if there.value != mail.value and not await _alike(there.value, mail.value, blobs):
            return False
        mail = msgspec.structs.replace(mail, value=there.value)
    return there == mail


async def _alike(there: Payload, payload: Payload, blobs: BlobStore) -> bool:
    """Whether two blobs hold the same: sealed with two keys, the same content has two names."""
    if there.blob is None or payload.blob is None:
        return False
    return await load_payload(there, blobs) == await load_payload(payload, blobs)


def _room(bound: int, mail: ev.Mail) -> int:
    """How full an inbox may be for a message: hints leave half of it free, and what people decide still fits."""
    match mail:
        case ev.MailWake():
            return bound // 2
        case ev.MailSignal():
            return bound
        case _:
            return bound + _reserve


class Mailbox:
    """Letters that the owner has read and not acted on yet."""

    def __init__(self, history: History) -> None:
        self.at: Head | None = None
        """How far the inbox has been read."""
        self.signals: dict[str, deque[tuple[int, ev.MailSignal]]] = {}
        self.resolutions: dict[str, tuple[int, ev.MailResolve]] = {}
        self.cancel: tuple[int, ev.MailCancel] | None = None
        self.redrive: int | None = None
        self.lost: list[tuple[int, ev.MailLost]] = []
        self._history = history

    async def fetch(self, platform: Platform, run: str) -> list[ev.Mail]:
        """Read and sort what is new; returns it."""
        letters, self.at = await read_inbox(platform, run, self.at)
        fresh: list[ev.Mail] = []
        for letter in letters:
            if letter.number not in self._history.mail:
                self._sort(letter.number, letter.mail)
                fresh.append(letter.mail)
        return fresh

    @property
    def read_to(self) -> int:
        """The number of the last letter that has been read."""
        return 0 if self.at is None else self.at.seq

    def _sort(self, number: int, mail: ev.Mail) -> None:
        match mail:
            case ev.MailSignal():
                self.signals.setdefault(mail.name, deque()).append((number, mail))
            case ev.MailResolve():
                if number > self._history.resolved.get(mail.place, 0):
                    self.resolutions[mail.place] = (number, mail)
            case ev.MailCancel():
                self.cancel = self.cancel or (number, mail)
            case ev.MailRedrive():
                if number > self._history.redrives_from:
                    self.redrive = number
            case ev.MailLost():
                self.lost.append((number, mail))
            case ev.MailWake():
                pass
