"""The checker. It reads the raw bytes on the disk, the ledger and the clients' books; nothing of the product's code.

Each rule gives a line for each violation, beginning with the rule's name.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from outlast.simulation.client import Asked
from outlast.simulation.ledger import Booking, Ledger
from outlast.simulation.program import expected

Raw = tuple[int, int, bytes, bytes]
"""A stored record: number of its first event, how many events, body, hash."""

RULES = {
    "chain": "every stream's records follow each other without a gap, and their hashes fit",
    "acknowledged": "every append that was acknowledged is on the disk, unchanged",
    "visible": "a read after an acknowledgement sees the write",
    "owner": "between two claims, only the claimant appends",
    "doubled": "no `once` effect happens twice",
    "missing": "a completed run's effects have all happened, and a recorded effect did",
    "stray": "no effect happens that no step asked for",
    "result": "a completed run's result is what its program says",
    "turns": "turns of a session end in order, none is lost, none overlaps",
    "signals": "a signal is consumed once, or stays in the inbox; none stands there twice",
    "cancel": "nothing begins after `run.cancelling`, and what was under way is settled before the end",
    "timer": "no timer fires before its time, none is set twice",
    "replay": "the same code replays what it did: nothing drifts, no step mismatches",
    "budget": "a budget is exceeded by at most the steps in flight",
    "ends": "every run ends, waits for a person with a reason, or is quarantined for a fault of its own",
    "outcome": "a step has one outcome",
    "escape": "nothing raises where nothing should",
}

_OVER = {"run.completed", "run.failed", "run.cancelled", "run.continued"}


class Event:
    """One event as the bytes tell it."""

    __slots__ = ("append_id", "at", "data", "seq", "type")

    def __init__(self, seq: int, at: float, append_id: str, data: dict[str, Any]) -> None:
        self.seq = seq
        self.at = at
        self.append_id = append_id
        self.type: str = data["type"]
        self.data = data


class Checker:
    """Checks one finished simulation."""

    def __init__(
        self,
        streams: dict[str, list[Raw]],
        acknowledged: Iterable[tuple[str, int, bytes]],
        asked: list[Asked],
        ledger: Ledger,
        errors: list[str],
        skew_max_s: float = 0.0,
    ) -> None:
        self._streams = streams
        self._acknowledged = acknowledged
        self._asked = asked
        self._ledger = ledger
        self._errors = errors
        self._skew_max_s = skew_max_s
        self._events = {stream: list(_events(records)) for stream, records in streams.items()}
        self._runs = {_id(stream): events for stream, events in self._events.items() if stream.startswith("run/")}
        self.violations: list[str] = []

    def check(self) -> list[str]:
        """All violations."""
        for rule in (
            self._chain, self._acks, self._visible, self._owner, self._outcomes, self._effects, self._results, self._turns,
            self._signals, self._cancel, self._timers, self._replays, self._budgets, self._ends, self._escapes,
        ):  # fmt: skip
            rule()
        return self.violations

    def _no(self, rule: str, text: str) -> None:
        self.violations.append(f"{rule}: {text}")

    # Storage

    def _chain(self) -> None:
        for stream, records in self._streams.items():
            before = hashlib.sha256(b"outlast:1:" + stream.encode()).digest()
            number = 1
            for seq, count, body, digest in records:
                if seq != number:
                    self._no("chain", f"{stream}: event {number} expected, {seq} found")
                if hashlib.sha256(before + body).digest() != digest:
                    self._no("chain", f"{stream}: the hash at {seq} does not fit")
                before, number = digest, seq + count

    def _acks(self) -> None:
        there = {
            (stream, seq + count - 1): digest
            for stream, records in self._streams.items()
            for seq, count, _, digest in records
        }
        for stream, seq, digest in self._acknowledged:
            if there.get((stream, seq)) != digest:
                self._no("acknowledged", f"{stream} {seq} was acknowledged and is not there")

    def _visible(self) -> None:
        for asked in self._asked:
            if asked.seen_missing:
                self._no("visible", f"{asked.name}: {asked.seen_missing} was not seen after its acknowledgement")

    def _owner(self) -> None:
        for run, events in self._runs.items():
            token = ""
            for event in events:
                if event.type == "run.claimed":
                    token = event.append_id
                elif token and not event.append_id.startswith(token) and event.type not in _BY_CLAIMANTS:
                    self._no("owner", f"{run} {event.seq} {event.type} by {event.append_id}, {token} owns it")

    def _outcomes(self) -> None:
        for run, events in self._runs.items():
            count = Counter(event.data["place"] for event in events if event.type in ("step.done", "step.failed"))
            for place, times in count.items():
                if times > 1:
                    self._no("outcome", f"{run} step {place} has {times}")

    # Effects

    def _effects(self) -> None:
        by_subject: dict[str, list[Booking]] = defaultdict(list)
        for booking in self._ledger.bookings:
            by_subject[booking.subject].append(booking)
        for subject, bookings in by_subject.items():
            if len(bookings) > 1:
                where = ", ".join(f"{booking.node} at {booking.at:.3f}" for booking in bookings)
                self._no("doubled", f"{subject}: {where}")
        allowed: set[str] = set()
        for asked in self._asked:
            subjects, _ = expected(asked.name, asked.what.program)
            allowed |= subjects
            if self._end(asked.run) == "run.completed":
                for subject in subjects - set(by_subject):
                    self._no("missing", f"{asked.name} completed without {subject}")
        for subject in set(by_subject) - allowed:
            self._no("stray", subject)
        keys = {booking.key for booking in self._ledger.bookings}
        for run, events in self._runs.items():
            intents = {event.data["place"]: event.data["key"] for event in events if event.type == "step.intended"}
            for event in events:
                if event.type == "step.done" and event.data["place"] in intents:
                    if intents[event.data["place"]] not in keys:
                        self._no("missing", f"{run} step {event.data['place']} is done, and nothing happened")

    def _results(self) -> None:
        for asked in self._asked:
            view = asked.view
            if view is None or view.state != "completed" or view.continued_from:
                continue
            problem = _misfit(asked.name, asked.what.program, view.result)
            if problem:
                self._no("result", f"{asked.name}: {problem}")

    # Order

    def _turns(self) -> None:
        sessions: dict[str, list[Asked]] = defaultdict(list)
        for asked in self._asked:
            if asked.what.session and asked.run:
                sessions[asked.what.session].append(asked)
        for session, turns in sessions.items():
            order = [
                event.data["run"]
                for stream, events in self._events.items()
                if stream.startswith(f"session/{session}@")
                for event in events
                if event.type == "turn.queued"
            ]
            if sorted(order) != sorted(asked.run for asked in turns):
                self._no("turns", f"{session}: {len(order)} are queued, {len(turns)} were acknowledged")
            ended = [asked.view.result[0] for run in order for asked in turns
                     if asked.run == run and asked.view is not None and asked.view.state == "completed"]  # fmt: skip
            if ended != list(range(1, len(ended) + 1)):
                self._no("turns", f"{session}: they counted {ended}")

    def _signals(self) -> None:
        for stream, events in self._events.items():
            if stream.startswith("inbox/"):
                for id, times in Counter(event.data["id"] for event in events).items():
                    if times > 1:
                        self._no("signals", f"{stream}: {id} stands there {times} times")
        for asked in self._asked:
            consumed = [event for event in self._runs.get(asked.run, []) if event.type == "signal.consumed"]
            ids = Counter(event.data["id"] for event in consumed)
            for id, times in ids.items():
                if times > 1:
                    self._no("signals", f"{asked.name}: {id} was consumed {times} times")
            mails = {event.data["id"] for stream, events in self._events.items() if stream.startswith(f"inbox/{asked.run}@")
                     for event in events}  # fmt: skip
            for name, id in asked.signals:
                if f"client:{id}" not in mails:
                    self._no("signals", f"{asked.name}: {name} {id} was acknowledged and is not in the inbox")

    def _cancel(self) -> None:
        for run, events in self._runs.items():
            asked_at: Event | None = None
            open_intents: set[str] = set()
            for event in events:
                place = event.data.get("place", "")
                if event.type == "run.cancelling":
                    asked_at = event
                elif event.type == "step.intended":
                    open_intents.add(place)
                    if asked_at is not None:
                        self._no("cancel", f"{run}: step {place} began after run.cancelling")
                elif event.type in ("step.done", "step.failed", "step.cleared", "step.retried"):
                    open_intents.discard(place)
                elif event.type == "run.cancelled" and open_intents:
                    self._no("cancel", f"{run}: cancelled while step {min(open_intents)} was not settled")

    def _timers(self) -> None:
        for run, events in self._runs.items():
            count = Counter(event.data["place"] for event in events if event.type == "timer.set")
            for place, times in count.items():
                if times > 1:
                    self._no("timer", f"{run} {place}: it was set {times} times")
            fire_at = {event.data["place"]: event.data["fire_at"] for event in events if event.type == "timer.set"}
            for event in events:
                if event.type == "timer.fired" and event.at < fire_at[event.data["place"]] - 2 * self._skew_max_s - 0.001:
                    self._no("timer", f"{run} {event.data['place']}: {event.at} is before {fire_at}")

    def _replays(self) -> None:
        for run, events in self._runs.items():
            for event in events:
                if event.type == "step.drifted" or event.data.get("code") in ("replay_mismatch", "input_mismatch"):
                    what = event.data.get("reason") or f"{event.data['name']} at {event.data['place']}"
                    self._no("replay", f"{run} {event.seq} {event.type}: {what}")

    def _budgets(self) -> None:
        for asked in self._asked:
            if asked.what.agent == "frugal":
                done = sum(event.type in ("step.done", "step.failed") for event in self._runs.get(asked.run, []))
                if done > 5:
                    self._no("budget", f"{asked.name} took {done} steps, it had 5")

    # Ends

    def _end(self, run: str) -> str:
        events = self._runs.get(run, [])
        if events and events[-1].type == "run.continued":
            return self._end(events[-1].data["run"])
        return events[-1].type if events else ""

    def _ends(self) -> None:
        for asked in self._asked:
            if not asked.run:
                self._no("ends", f"{asked.name} was never acknowledged")
                continue
            _, completes = expected(asked.name, asked.what.program)
            end = self._end(asked.run)
            state = asked.view.state if asked.view else "?"
            poisoned = ["poison"] in asked.what.program
            if asked.what.agent == "frugal":
                fine = state == "held" and "budget" in asked.view.reason if asked.view else False
            elif asked.cancelled or asked.what.cancel:
                fine = end in ("run.cancelled", "run.completed")
            elif poisoned:
                fine = state == "quarantined"
            else:
                fine = end == ("run.completed" if completes else "run.failed")
            if not fine:
                reason = asked.view.reason or asked.view.error if asked.view else ""
                self._no("ends", f"{asked.name} ({asked.run}) is {state} ({end}): {reason}")
        for run, events in self._runs.items():
            over = [event.seq for event in events if event.type in _OVER]
            if len(over) > 1 or (over and over[0] != events[-1].seq):
                self._no("ends", f"{run}: events follow its end at {over[0]}")

    def _escapes(self) -> None:
        for error in self._errors:
            self._no("escape", error)


_BY_CLAIMANTS = {"run.created", "run.trial", "run.quarantined", "run.held"}


def _id(stream: str) -> str:
    return stream.split("/", 1)[1].split("@", 1)[0]


def _events(records: list[Raw]) -> Iterable[Event]:
    for seq, _, body, _ in records:
        envelope = json.loads(body)
        for index, data in enumerate(envelope["events"]):
            yield Event(seq + index, envelope["at"], envelope["append_id"], data)


def _misfit(path: str, program: list[list[Any]], result: Any) -> str:  # noqa: C901 # one case for each
    """Why a result is not what the program says; "" if it is."""
    if not isinstance(result, list) or len(result) != len(program):
        return f"{path}: {result!r} for {len(program)} operations"
    for index, (operation, value) in enumerate(zip(program, result, strict=True)):
        subject = f"{path}/{index}"
        fits = True
        match operation:
            case ["pure" | "shaky" | "once" | "once_late" | "once_blind" | "once_refuse", *_]:
                fits = value == subject
            case ["sleep", _] | ["abandon", _]:
                fits = value is None
            case ["gather", branches]:
                problems = [_misfit(f"{subject}.{number}", branch, value[number]) for number, branch in enumerate(branches)]
                if any(problems):
                    return next(filter(None, problems))
            case ["map", count, _, branch]:
                problems = [_misfit(f"{subject}.{number}", branch, value[number]) for number in range(count)]
                if any(problems):
                    return next(filter(None, problems))
            case ["child", inner]:
                problem = _misfit(subject, inner, value)
                if problem:
                    return problem
            case ["race"]:
                fits = value in ("a", "b", "ab")
            case _:
                pass
        if not fits:
            return f"{subject}: {value!r}"
    return ""
