"""What the outside may ask: start, look, signal, cancel, resolve, redrive. Server and command line call this."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Literal

import msgspec

from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.create import NewRun, create_run, derived_run_id, read_created, run_key
from outlast.agent.ending import last_of
from outlast.agent.handover import post_on
from outlast.agent.mail import is_posted, post
from outlast.agent.platform import Platform
from outlast.agent.session import queue_turn, read_session, session_key
from outlast.agent.switch import is_held_by, stopped_reason, switch
from outlast.agent.view import EventView, RunView, event_view, payload_bytes, view_of
from outlast.journal.blob import store_payload
from outlast.journal.record import Envelope
from outlast.journal.writer import record_events_max
from outlast.kernel.codec import encode
from outlast.kernel.error import Conflict, NotFound, UsageError
from outlast.kernel.identity import check_name, new_id

events_bytes_max = 8 * 1024 * 1024
"""Bound of the payloads in one page of events, its last event excepted: 8 MiB."""
turn_bytes = 128 * 1024
"""How much of a run's history is decoded, 128 KiB, before others on the same event loop get their turn."""
_page = 1_000
_text_chars_max = 1_000


class Started(msgspec.Struct, frozen=True):
    """A run, and whether this call created it."""

    run: str
    created: bool


class MessageView(msgspec.Struct, frozen=True):
    """One message of a session."""

    role: str
    content: str


class SessionView(msgspec.Struct, frozen=True):
    """A session after all turns that have ended. `turns` are its runs in order, as far back as the last snapshot."""

    session: str
    state: dict[str, Any]
    messages: list[MessageView]
    turns_ended: int
    turns: list[str]
    expires_at: float | None


class Control:
    """All that is not done by workers. `app` is None where only existing runs are looked at."""

    def __init__(self, platform: Platform, app: App[Any] | None = None) -> None:
        self._platform = platform
        self._app = app

    @property
    def platform(self) -> Platform:
        return self._platform

    @property
    def app(self) -> App[Any] | None:
        return self._app

    async def start(
        self,
        agent: str,
        input: Any = None,
        *,
        key: str | None = None,
        session: str | None = None,
        deadline_s: float | None = None,
    ) -> Started:
        """Create a run, durable when this returns. `input` is a JSON value: an object gives arguments by name, an array
        by position, anything else is the first one.

        With `key`, the same call again gives the same run. Raises NotFound for an unknown agent, TypeMismatch for an
        input that does not fit, Conflict for a key used with another input and while the agent is stopped.
        """
        if self._app is None or agent not in self._app.agents:
            known = ", ".join(self._app.agents) if self._app is not None else ""
            raise NotFound(f"agent {agent[:128]!r} does not exist (there: {known or 'none'})")
        spec = self._app.agents[agent]
        raw = spec.signature.normalize(input)
        if session is not None:
            check_name("session", session)
        if deadline_s is not None and not 0 < deadline_s <= self._platform.settings.run_lifetime_max_s:
            raise UsageError(
                f"deadline is {deadline_s:g} s: it must be more than 0 and at most "
                f"{self._platform.settings.run_lifetime_max_s:g} s (run_lifetime_max_s)"
            )
        if key is not None and not 0 < len(key) <= 255:
            raise UsageError(f"idempotency key has {len(key)} characters: use 1 to 255")
        clock = self._platform.clock
        if key is None:
            run = new_id("run", clock, self._platform.randomness)
        else:
            run = derived_run_id("key", self._app.name, agent, key)
        stopped = await stopped_reason(self._platform, agent)
        if stopped is not None and (key is None or not await self._exists(run)):
            raise Conflict(f"agent {agent} is stopped: {stopped}; resume it first")
        lifetime = deadline_s or spec.options.deadline_s or self._platform.settings.run_lifetime_max_s
        new = NewRun(agent, spec.pool, raw, round(clock.now() + lifetime, 6), session or "", key or "")
        if session is None:
            return Started(run, await create_run(self._platform, run, new))
        before = await self._platform.store.head(session_key(self._platform, session))
        created = await create_run(self._platform, run, new)
        since = before.seq if created else 0
        await queue_turn(self._platform, session, run, spec.options.session_ttl_s, since)
        return Started(run, created)

    async def _exists(self, run: str) -> bool:
        return (await self._platform.store.head(run_key(self._platform, run))).seq > 0

    # -- telling a run -----------------------------------------------------------------------------------------------

    async def signal(self, run: str, name: str, payload: Any = None, *, id: str | None = None) -> None:
        """Send a signal, durable when this returns. The same `id` again changes nothing."""
        check_name("signal", name)
        await read_created(self._platform, run)
        value = await store_payload(encode(payload, f"signal {name}"), self._platform.blobs)
        mail = ev.MailSignal(self._mail_id(id), name, value)
        if not await self._is_told(run, mail, id):
            await self._check_open(run)
        await post_on(self._platform, run, mail)

    async def cancel(self, run: str, reason: str = "", *, id: str | None = None) -> None:
        """Ask a run to stop; it settles what may be happening, then ends. Cancelling twice is cancelling once."""
        await read_created(self._platform, run)
        mail = ev.MailCancel(self._mail_id(id), reason[:_text_chars_max])
        if not await self._is_told(run, mail, id):
            await self._check_open(run)
        await post_on(self._platform, run, mail)

    async def resolve(
        self,
        run: str,
        place: str,
        how: Literal["done", "retry", "fail"],
        value: Any = None,
        message: str = "",
        *,
        id: str | None = None,
    ) -> None:
        """Decide a step in doubt: it happened (with `value` as its result), it may be tried again, or it failed.

        Raises Conflict if that step is not held for a person.
        """
        if how not in ("done", "retry", "fail"):
            raise UsageError(f"a step is resolved as done, retry or fail, not as {how!r}")
        await read_created(self._platform, run)
        payload = await store_payload(encode(value, f"result of step {place[:40]}"), self._platform.blobs)
        mail = ev.MailResolve(self._mail_id(id), place, how, payload, message[:_text_chars_max])
        if await self._is_told(run, mail, id):
            return
        view = await self.view(run)
        step = next((step for step in view.steps if step.place == place), None)
        if step is None:
            raise NotFound(f"run {run} has no step {place[:40]!r}")
        if step.state not in ("held", "in_doubt"):
            raise Conflict(f"step {place} ({step.name}) of run {run} is {step.state}: only a held one can be resolved")
        await post(self._platform, run, msgspec.structs.replace(mail, attempt=step.attempt))

    async def redrive(self, run: str, *, id: str | None = None) -> None:
        """Let a held or quarantined run go on; its budget is granted once more. Raises Conflict for any other run, and
        for one whose agent is not in the app.
        """
        mail = ev.MailRedrive(self._mail_id(id))
        if await self._is_told(run, mail, id):
            return
        view = await self.view(run)
        if view.state not in ("held", "quarantined"):
            raise Conflict(f"run {run} is {view.state}: only a held or quarantined run can be redriven")
        if self._app is not None and view.agent not in self._app.agents:
            raise Conflict(
                f"run {run} cannot go on: its agent {view.agent!r} is not in the app that runs now; bring it back, "
                "then redrive, or cancel the run"
            )
        await post(self._platform, run, mail)

    def _mail_id(self, id: str | None) -> str:
        if id is None:
            return new_id("id", self._platform.clock, self._platform.randomness)
        if not 0 < len(id) <= 255:
            raise UsageError(f"message id has {len(id)} characters: use 1 to 255")
        return f"client:{id}"

    async def _is_told(self, run: str, mail: ev.Mail, id: str | None) -> bool:
        """Whether the caller said this before, under its own id: then it is done, however the run stands by now."""
        return id is not None and await is_posted(self._platform, run, mail)

    async def _check_open(self, run: str) -> None:
        entry = await self._platform.index.entry(run)
        if entry is not None and entry.state in ("completed", "failed", "cancelled", "continued"):
            went_on = f" as {await last_of(self._platform, run)}" if entry.state == "continued" else ""
            raise Conflict(f"run {run} has ended: it is {entry.state}{went_on}")

    # -- the kill switch ---------------------------------------------------------------------------------------------

    async def stop_agent(self, agent: str, reason: str = "") -> None:
        """No step of this agent begins any more, anywhere; its runs are held when they come to one."""
        self._known(agent)
        await switch(self._platform, agent, ev.AgentStopped(reason[:_text_chars_max] or "stopped by hand"))

    async def resume_agent(self, agent: str) -> int:
        """Let it go on; returns how many of its held runs were redriven."""
        self._known(agent)
        await switch(self._platform, agent, ev.AgentResumed())
        redriven, before = 0, None
        while True:
            entries = await self._platform.index.list(
                state="held", agent=agent, before=before, limit=_page, fresh=True
            )
            for entry in entries:
                if is_held_by(entry, agent):
                    with contextlib.suppress(Conflict):  # it is not held any more: the index was behind
                        await self.redrive(entry.run)
                        redriven += 1
            if len(entries) < _page:
                return redriven
            before = entries[-1].run

    async def agent_stopped(self, agent: str) -> str | None:
        """Why an agent is stopped; None if it is not."""
        self._known(agent)
        return await stopped_reason(self._platform, agent)

    def _known(self, agent: str) -> None:
        check_name("agent", agent)
        if self._app is not None and agent not in self._app.agents:
            raise NotFound(f"agent {agent!r} does not exist (there: {', '.join(self._app.agents) or 'none'})")

    # -- looking -----------------------------------------------------------------------------------------------------

    async def view(self, run: str) -> RunView:
        """The run as its events tell it; raises NotFound."""
        return await view_of(run, self._envelopes(run, 0, None), self._platform.blobs)

    async def events(
        self, run: str, after: int = 0, limit: int = 1_000, *, bytes_max: int = events_bytes_max
    ) -> list[EventView]:
        """Events after number `after`: at most `limit`, and none behind the one with which they carry `bytes_max`.

        Empty only if no event follows yet. Raises NotFound for an unknown run.
        """
        if after == 0:
            await read_created(self._platform, run)
        views: list[EventView] = []
        size = 0
        start = after
        if not await self._is_boundary(run, after):  # a record begins before `after` and ends behind it
            start = max(0, after - 2 * record_events_max)
        async for envelope in self._envelopes(run, start, after + limit):
            for index, event in enumerate(envelope.events):
                seq = envelope.seq + index
                if after < seq and len(views) < limit and size <= bytes_max:
                    size += payload_bytes(event)
                    views.append(await event_view(seq, envelope.at, event, self._platform.blobs))
        return views

    async def _is_boundary(self, run: str, after: int) -> bool:
        """Whether nothing that comes behind event `after` shares a record with it: nearly always so."""
        store, key = self._platform.store, run_key(self._platform, run)
        records = await store.read(key, after, 1)
        return records[0].seq == after + 1 if records else (await store.head(key)).seq <= after

    async def _envelopes(self, run: str, after: int, upto: int | None) -> AsyncGenerator[Envelope[ev.RunEvent]]:
        """A run's records, decoded. However many there are, others get their turn after each `turn_bytes` of them.

        Raises NotFound for an unknown run if all are asked for.
        """
        key = run_key(self._platform, run)
        found, decoded = False, 0
        while upto is None or after < upto:
            size = _page if upto is None else min(_page, upto - after)
            records = await self._platform.store.read(key, after, size)
            for record in records:
                decoded += len(record.body)
                if decoded > turn_bytes:
                    decoded = 0
                    await self._platform.clock.sleep(0)
                yield ev.RUN.read(key, record)
            found = found or bool(records)
            if len(records) < size:
                break
            after = records[-1].seq + records[-1].count - 1
        if not found and upto is None:
            raise NotFound(f"run {run} does not exist")

    async def session(self, session: str) -> SessionView:
        """A session after the turns that have ended; raises NotFound for an unknown or expired one."""
        ttl_s = (
            max((agent.options.session_ttl_s for agent in self._app.agents.values()), default=0.0) if self._app else 0.0
        )
        state, tail = await read_session(self._platform, session, ttl_s)
        return SessionView(
            session,
            {key: msgspec.json.decode(raw) for key, raw in state.state.items()},
            [MessageView(role, content) for role, content in state.messages],
            state.turns,
            [turn.run for turn in tail.turns],
            tail.last_at + ttl_s if ttl_s else None,
        )
