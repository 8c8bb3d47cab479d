"""A run's inbox: what is in it counts once, fits within its bound, and is given to the run in order."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.history import History
from outlast.agent.mail import Mailbox, inbox_key, is_posted, post, read_inbox
from outlast.journal.blob import Payload
from outlast.journal.stream import StoredRecord
from outlast.kernel.error import Conflict, StoreCorrupt, UsageError
from tests.agent.desk import Desk, Wire, unknown_once

app: App[None] = App("t")
NULL = Payload(msgspec.Raw(b"null"))


def signal(id: str, name: str = "go", value: bytes = b"null") -> ev.MailSignal:
    return ev.MailSignal(id, name, Payload(msgspec.Raw(value)))


def resolve(id: str, attempt: int = 0) -> ev.MailResolve:
    return ev.MailResolve(id, "1", "retry", NULL, "", attempt)


async def numbers(d: Desk) -> list[int]:
    letters, _ = await read_inbox(d.platform(d.store), "run_1")
    return [letter.number for letter in letters]


async def test_the_same_message_is_there_once_and_keeps_its_number() -> None:
    d = Desk(app, {})
    platform = d.platform(d.store)
    assert [await post(platform, "run_1", signal(id)) for id in ("a", "b", "a")] == [1, 2, 1]
    assert await is_posted(platform, "run_1", signal("b"))
    assert not await is_posted(platform, "run_1", signal("c"))
    assert await numbers(d) == [1, 2]


async def test_an_id_that_was_used_for_something_else_is_a_conflict() -> None:
    d = Desk(app, {})
    platform = d.platform(d.store)
    await post(platform, "run_1", signal("a", value=b"1"))
    for other in (signal("a", value=b"2"), signal("a", "stop", b"1"), ev.MailCancel("a", "")):
        with pytest.raises(Conflict, match="message id 'a' was used before with other content: use a new id"):
            await post(platform, "run_1", other)
    assert await numbers(d) == [1]


async def test_a_decision_said_again_is_the_same_whatever_attempt_its_sender_saw() -> None:
    d = Desk(app, {})
    platform = d.platform(d.store)
    assert await post(platform, "run_1", resolve("a", attempt=1)) == 1
    assert await post(platform, "run_1", resolve("a", attempt=2)) == 1


async def test_many_senders_at_once_all_get_through() -> None:
    d = Desk(app, {})
    platform = d.platform(d.store)
    given = await asyncio.gather(*(post(platform, "run_1", signal(f"s{n % 10}")) for n in range(30)))
    assert sorted(set(given)) == list(range(1, 11))
    assert await numbers(d) == list(range(1, 11))


@pytest.mark.parametrize("applied", [True, False])
async def test_a_message_of_unknown_outcome_is_there_once(applied: bool) -> None:
    d = Desk(app, {})
    wire = Wire(d.store)
    wire.fault = unknown_once(1, applied, d.store)
    assert await post(d.platform(wire), "run_1", signal("a")) == 1
    assert await numbers(d) == [1]


async def test_a_full_inbox_refuses_signals_and_still_takes_what_people_decide_but_not_without_end() -> None:
    d = Desk(app, {}, inbox_events_max=10)
    platform = d.platform(d.store)
    for n in range(5):
        await post(platform, "run_1", ev.MailWake(f"w{n}", "run_2"))
    with pytest.raises(UsageError, match="inbox_events_max is 10"):
        await post(platform, "run_1", ev.MailWake("w5", "run_2"))
    for n in range(5):
        await post(platform, "run_1", signal(f"s{n}"))
    with pytest.raises(UsageError, match="its inbox holds 10 messages"):
        await post(platform, "run_1", signal("s5"))
    assert await post(platform, "run_1", signal("s4")) == 10, "what is there already is no news"
    await post(platform, "run_1", ev.MailCancel("c", ""))
    await post(platform, "run_1", ev.MailRedrive("r"))
    for n in range(98):
        await post(platform, "run_1", resolve(f"d{n}"))
    with pytest.raises(UsageError):
        await post(platform, "run_1", resolve("one too many"))


async def test_an_inbox_that_is_not_what_was_written_is_refused() -> None:
    d = Desk(app, {})
    platform = d.platform(d.store)
    await post(platform, "run_1", signal("a"))
    records = d.store._streams[inbox_key(platform, "run_1")]
    first = records[0]
    records[0] = StoredRecord(first.seq, first.count, first.body.replace(b'"go"', b'"no"'), first.hash)
    with pytest.raises(StoreCorrupt):
        await post(platform, "run_1", signal("b"))


LETTERS = st.lists(
    st.sampled_from(["signal go", "signal stop", "resolve", "cancel", "redrive", "wake"]), min_size=1, max_size=12
)


def letter(what: str, number: int) -> ev.Mail:
    kind, _, name = what.partition(" ")
    made: dict[str, Any] = {
        "signal": signal(f"m{number}", name or "go"), "resolve": resolve(f"m{number}"),
        "cancel": ev.MailCancel(f"m{number}", ""), "redrive": ev.MailRedrive(f"m{number}"),
        "wake": ev.MailWake(f"m{number}", "run_2"),
    }  # fmt: skip
    return made[kind]


@given(LETTERS, st.data())
async def test_a_mailbox_holds_in_order_whatever_the_history_has_not_acted_on(
    said: list[str], data: st.DataObject
) -> None:
    d = Desk(app, {})
    platform = d.platform(d.store)
    history = History()
    history.mail = data.draw(st.sets(st.integers(1, len(said))), "acted on")
    history.redrives_from = data.draw(st.integers(0, len(said)), "redrives spent up to")
    mailbox = Mailbox(history)
    seen: list[ev.Mail] = []
    for number, what in enumerate(said, 1):
        await post(platform, "run_1", letter(what, number))
        if data.draw(st.booleans(), "looks"):
            seen += await mailbox.fetch(platform, "run_1")
            assert mailbox.read_to == number
    seen += await mailbox.fetch(platform, "run_1")
    fresh = {number: what for number, what in enumerate(said, 1) if number not in history.mail}
    assert [mail.id for mail in seen] == [f"m{number}" for number in fresh], "each once, in order"
    for name in ("go", "stop"):
        expected = [number for number, what in fresh.items() if what == f"signal {name}"]
        assert [number for number, _ in mailbox.signals.get(name, [])] == expected
    cancels = [number for number, what in fresh.items() if what == "cancel"]
    assert (mailbox.cancel[0] if mailbox.cancel else None) == (cancels[0] if cancels else None), "the first one counts"
    redrives = [number for number, what in fresh.items() if what == "redrive" and number > history.redrives_from]
    assert mailbox.redrive == (redrives[-1] if redrives else None)
    resolutions = [number for number, what in fresh.items() if what == "resolve"]
    assert (mailbox.resolutions["1"][0] if "1" in mailbox.resolutions else None) == (
        resolutions[-1] if resolutions else None
    ), "the last word counts"
