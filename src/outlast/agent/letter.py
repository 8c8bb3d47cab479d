"""What others tell a run: the events of its inbox. The rules of `event.py` hold for them too."""

from __future__ import annotations

from typing import Literal

from outlast.journal.blob import Payload
from outlast.journal.event import Event, version_field, versions
from outlast.journal.record import Reader


class MailSignal(Event, frozen=True, tag="mail.signal"):
    """What somebody says to it under a name."""

    id: str
    name: str
    value: Payload
    v: int = version_field(1)


class MailCancel(Event, frozen=True, tag="mail.cancel"):
    """It is to end."""

    id: str
    reason: str
    v: int = version_field(1)


class MailResolve(Event, frozen=True, tag="mail.resolve"):
    """What a person decided about a step in doubt."""

    id: str
    place: str
    how: Literal["done", "retry", "fail"]
    value: Payload
    message: str
    attempt: int = 0
    """The attempt that was in doubt when it was decided; 0: whichever is."""
    v: int = version_field(1)


class MailRedrive(Event, frozen=True, tag="mail.redrive"):
    """What held it is to be tried again."""

    id: str
    v: int = version_field(1)


class MailWake(Event, frozen=True, tag="mail.wake"):
    """Another run ended that this one may wait for: its child, or the turn before it."""

    id: str
    run: str
    v: int = version_field(1)


class MailLost(Event, frozen=True, tag="mail.lost"):
    """Events `first` to `last` of the run's history, or of this inbox, were acknowledged and are gone."""

    id: str
    of: Literal["run", "inbox"]
    first: int
    last: int
    worker: str = ""
    """The worker that they were acknowledged to, if it is known."""
    cause: Literal["failover", "restore"] = "failover"
    """restore: the journal is as it was before them; `last` below `first`: nobody knows whether there were any."""
    v: int = version_field(1)


Mail = MailSignal | MailCancel | MailResolve | MailRedrive | MailWake | MailLost

INBOX: Reader[Mail] = Reader(Mail, {}, versions(Mail))
