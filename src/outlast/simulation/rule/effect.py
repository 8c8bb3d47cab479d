"""Rules about what happened to the world."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, cast

from outlast.simulation.evidence import ENDS, Event, Evidence
from outlast.simulation.expected import branches_of, gives, may_book, misfit, must_book
from outlast.simulation.ledger import Booking
from outlast.simulation.program import frugal_steps, stingy_usd, thrifty_tokens

_model_tokens = 10
_model_usd = 5 * 2.0 / 1e6 + 5 * 8.0 / 1e6  # five tokens in, five out, by the list price
_fallback = "gpt-4.1-mini"
_fallback_usd = 5 * 0.4 / 1e6 + 5 * 1.6 / 1e6
_switch_s = 3.0


def doubled(evidence: Evidence) -> Iterator[str]:
    """No `once` effect happens twice."""
    by_subject: dict[str, list[Booking]] = defaultdict(list)
    for booking in evidence.ledger.bookings:
        by_subject[booking.subject].append(booking)
    for subject, bookings in by_subject.items():
        if len(bookings) > 1:
            yield f"{subject}: " + ", ".join(f"{booking.node} at {booking.at:.3f}" for booking in bookings)


def missing(evidence: Evidence) -> Iterator[str]:
    """A completed run's effects have all happened, and a recorded effect did before its record."""
    booked = {booking.subject for booking in evidence.ledger.bookings}
    for asked in evidence.asked:
        if evidence.end(asked.run) == "run.completed":
            for subject in sorted(must_book(asked.name, asked.what.program) - booked):
                yield f"{asked.name} completed without {subject}"
    first = {booking.key: booking.at for booking in reversed(evidence.ledger.bookings)}
    for run, events in evidence.runs.items():
        keys = {event.place: event.data["key"] for event in events if event.type == "step.intended"}
        for event in events:
            if event.type == "step.done" and event.place in keys:
                at = first.get(keys[event.place])
                if at is None or at > event.durable_at:
                    yield f"{run} step {event.place} is done, and nothing had happened"


def stray(evidence: Evidence) -> Iterator[str]:
    """No effect happens that no step asked for."""
    allowed: set[str] = set()
    for asked in evidence.asked:
        allowed |= may_book(asked.name, asked.what.program)
    yield from sorted({booking.subject for booking in evidence.ledger.bookings} - allowed)


def intent(evidence: Evidence) -> Iterator[str]:
    """A `once` tool begins only after its intent is durable, in time, and not after its run's end."""
    by_run: dict[str, list[Booking]] = defaultdict(list)
    for start in evidence.ledger.started:
        by_run[start.key.split(":", 1)[0]].append(start)
    for run, starts in by_run.items():
        events = evidence.runs.get(run, [])
        intents: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            if event.type == "step.intended":
                intents[event.data["key"]].append(event)
        ended_at = evidence.ended_at(run)
        begun: dict[str, int] = defaultdict(int)
        for start in starts:
            begun[start.key] += 1
            durable = sum(event.durable_at <= start.at for event in intents[start.key])
            if durable < begun[start.key]:
                yield f"{start.key} begins for the {begun[start.key]}. time, {durable} intents were durable"
            # what is called then by an executor that nobody can reach is refused by its receiver
            far = any(event.data.get("name") == "once_far" for event in intents[start.key])
            if ended_at is not None and start.at > ended_at and not far:
                yield f"{start.key} begins at {start.at:.3f}, its run ended at {ended_at:.3f}"


def result(evidence: Evidence) -> Iterator[str]:
    """A completed run's result is what its program says."""
    for run, events in evidence.runs.items():
        if events[-1].type == "run.completed":
            arguments = evidence.input(run)
            if problem := misfit(arguments["name"], arguments["program"], evidence.value(events[-1].data["value"])):
                yield f"{run}: {problem}"


def budget(evidence: Evidence) -> Iterator[str]:
    """A budget is exceeded by at most the steps in flight."""
    for asked in evidence.asked:
        events = evidence.runs.get(asked.run, [])
        grants = 1 + _grants(events)
        spare = branches_of(asked.what.program) - 1
        done = sum(event.type in ("step.done", "step.failed", "timer.fired") for event in events)
        tokens = sum(event.data.get("tokens", 0) for event in events if event.type == "step.done")
        if asked.what.agent == "frugal" and done > frugal_steps * grants + spare:
            yield f"{asked.name} took {done} steps, it had {frugal_steps} x {grants}"
        if asked.what.agent == "thrifty" and tokens >= thrifty_tokens * grants + _model_tokens * (1 + spare):
            yield f"{asked.name} spent {tokens} tokens, it had {thrifty_tokens} x {grants}"
        answers = [event for event in events if event.type == "step.done" and event.data.get("kind") == "model"]
        for event in answers:
            usd = _usd(_answer(evidence, event))
            if abs(event.data.get("usd", 0.0) - usd) > 1e-12:
                yield f"{asked.name}: step {event.place} took {event.data.get('usd', 0.0)} dollars, not {usd}"
        spent = sum(_usd(_answer(evidence, event)) for event in answers)
        if asked.what.agent == "stingy" and spent >= stingy_usd * grants + _model_usd * (1 + spare):
            yield f"{asked.name} took {len(answers)} answers of {spent} dollars, it had {stingy_usd} x {grants}"


def fallback(evidence: Evidence) -> Iterator[str]:
    """An answer of a model is marked as degraded exactly if the fallback model gave it."""
    for run, events in evidence.runs.items():
        for event in events:
            if event.type == "step.done" and event.data.get("kind") == "model":
                answer = _answer(evidence, event)
                if answer.get("degraded", False) != (answer.get("model") == _fallback):
                    marked = "" if answer.get("degraded", False) else "not "
                    yield f"{run} step {event.place}: {answer.get('model')} answered, {marked}marked as degraded"


def _answer(evidence: Evidence, event: Event) -> dict[str, Any]:
    value = evidence.value(event.data.get("value"))
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _usd(answer: dict[str, Any]) -> float:
    return _fallback_usd if answer.get("model") == _fallback else _model_usd


def _grants(events: list[Event]) -> int:
    count, held = 0, False
    for event in events:
        if event.type == "run.held":
            held = held or event.data["code"] == "budget_exceeded"
        elif event.type == "run.redriven":
            count += held
            held = False
    return count


def switch(evidence: Evidence) -> Iterator[str]:
    """An acknowledged stop is in the agent's stream; where nothing fails, no step begins while it holds, some seconds
    for the news aside.
    """
    for agent, since, _ in evidence.facts.stops:
        switched = evidence.agents.get(agent, [])
        if not any(event.type == "agent.stopped" and event.durable_at <= since for event in switched):
            yield f"{agent} was acknowledged to be stopped at {since:.3f}, its stream does not say so"
    if not evidence.facts.calm:
        return
    for agent, switched in evidence.agents.items():
        for event in switched:
            if event.type != "agent.stopped":
                continue
            since = event.durable_at
            until = next((after.durable_at for after in switched if after.seq > event.seq), math.inf)
            for start in evidence.ledger.started:
                events = evidence.runs.get(start.key.split(":", 1)[0], [])
                if events and events[0].data["agent"] == agent and since + _switch_s < start.at < until:
                    yield f"{start.key} begins at {start.at:.3f}, {agent} was stopped from {since:.3f} to {until:.3f}"


def given(evidence: Evidence) -> Iterator[str]:
    """What agent code gets from a step is what the step made, each time: never half of it, never damaged."""
    wanted: dict[str, str] = {}
    for asked in evidence.asked:
        wanted |= gives(asked.name, asked.what.program)
    for subject, values in evidence.ledger.given.items():
        for value in sorted(values - {wanted.get(subject, "")}):
            yield f"{subject} got {value[:80]!r} of {len(value)} characters"


def patience(evidence: Evidence) -> Iterator[str]:
    """Nobody waits for a model long after the deadline of the question."""
    yield from evidence.ledger.overdue


def cancel(evidence: Evidence) -> Iterator[str]:
    """Nothing begins after `run.cancelling`, and what was under way is settled before the end."""
    for run, events in evidence.runs.items():
        asked_at: Event | None = None
        open_intents: set[str] = set()
        for event in events:
            if event.type == "run.cancelling":
                asked_at = event
            elif event.type in ("step.intended", "timer.set", "child.started", "signal.awaited"):
                if event.type == "step.intended":
                    open_intents.add(event.place)
                if asked_at is not None:
                    yield f"{run}: step {event.place} began after run.cancelling"
            elif event.type in ("step.done", "step.failed", "step.cleared", "step.retried"):
                open_intents.discard(event.place)
            elif event.type in ENDS and open_intents:
                yield f"{run}: {event.type} while step {min(open_intents)} was not settled"
