"""Notices reach other processes through the database; losing them loses nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from outlast.adapters.postgres.doorbell import batches, payload_bytes_max
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.stream import Notice
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import applied, fill, key, note
from tests.servers.postgres import PostgresServer

Until = Callable[..., Awaitable[None]]


async def test_other_processes_hear_of_hints_and_of_mail_and_each_notice_once(site: Site, until: Until) -> None:
    async with opened(site) as writer, opened(site) as hearer:
        seen: list[Notice] = []
        own: list[Notice] = []
        hearer.journal.listen(seen.extend)
        writer.journal.listen(own.extend)
        store = writer.journal
        await _heard(until, site, writer, seen)
        await _heard(until, site, hearer, own)
        seen.clear()
        own.clear()
        plain, run, inbox, agent = (key(store, "n", kind) for kind in ("session", "run", "inbox", "agent"))
        await fill(store, plain, 2)
        hint = HintPatch("n", state="parked", reason="x" * 9000, wake_at=5.0)
        applied(await store.append(note(run, genesis(run), "hinted", hint=hint)))
        await fill(store, inbox, 1)
        await fill(store, agent, 1)
        await until(lambda: Notice(agent, 1) in seen)
        assert _after(seen) == [Notice(run, 1), Notice(inbox, 1), Notice(agent, 1)], (
            "a hint that is too long is left out"
        )
        assert _after(own) == [
            Notice(plain, 1),
            Notice(plain, 2),
            Notice(run, 1, hint),
            Notice(inbox, 1),
            Notice(agent, 1),
        ]


def _after(notices: list[Notice]) -> list[Notice]:
    """Without what came late from before."""
    return [notice for notice in notices if "/warm@" not in notice.stream]


async def _heard(until: Until, site: Site, engine: object, seen: list[Notice]) -> None:
    """A subscription takes effect when it does: append until something of another process is heard."""
    async with opened(site) as other:
        stream = key(other.journal, "warm", "agent")

        async def grown() -> bool:
            await fill(other.journal, stream, 1)
            return any(notice.stream == stream for notice in seen)

        await until(grown, 20, "a notice")


async def test_a_doorbell_that_is_lost_comes_back_and_appends_do_not_notice(
    site: Site, server: PostgresServer, until: Until
) -> None:
    async with opened(site) as writer, opened(site) as hearer:
        seen: list[Notice] = []
        hearer.journal.listen(seen.extend)
        await _heard(until, site, hearer, seen)
        stream = key(writer.journal, "inbox", "inbox")
        await fill(writer.journal, stream, 1)
        for kind in ("hint", "listen"):
            ended = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE application_name LIKE 'outlast %' AND application_name LIKE '% {kind}'"
            )
            await until(lambda ended=ended: asyncio.to_thread(server.execute, ended), 20, "it was there, and is ended")
        await fill(writer.journal, stream, 5)
        seen.clear()

        async def again() -> bool:
            await fill(writer.journal, stream, 1)
            return bool(seen)

        await until(again, 20, "it is heard again")


async def test_words_of_others_on_the_channel_are_passed_over(site: Site, server: PostgresServer, until: Until) -> None:
    async with opened(site) as hearer:
        seen: list[Notice] = []
        hearer.journal.listen(seen.extend)
        await _heard(until, site, hearer, seen)
        for word in ("", "hello", "[1,2]", '["t",[]]', '["t",[["run/a@0.l.abcd"]]]'):
            await asyncio.to_thread(server.execute, f"SELECT pg_notify('outlast_{site.schema}', '{word}')")
        seen.clear()
        await _heard(until, site, hearer, seen)


def test_payloads_hold_every_notice_within_the_bound_of_a_notification() -> None:
    notices = [
        Notice(f"run/r{index}@0.local.abcd", index, HintPatch(f"r{index}", reason="ä" * (index * 7 % 300)))
        for index in range(1, 400)
    ]
    payloads = list(batches("token", notices))
    assert len(payloads) > 1
    assert all(len(payload.encode()) <= payload_bytes_max for payload in payloads)
    decoder = msgspec.json.Decoder(tuple[str, list[Notice]])
    assert [notice for payload in payloads for notice in decoder.decode(payload)[1]] == notices
    assert list(batches("token", [])) == []
