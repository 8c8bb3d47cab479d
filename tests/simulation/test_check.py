"""Every rule catches a planted violation, and finds nothing in a run that went well."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from outlast.agent.view import RunView
from outlast.simulation.check import RULES, check
from outlast.simulation.client import Asked
from outlast.simulation.data import Runs
from outlast.simulation.evidence import Facts, Raw, genesis
from outlast.simulation.ledger import Ledger

RUN, INBOX, SESSION = "run/r1@0.a.b", "inbox/r1@0.a.b", "session/s@0.a.b"
PROGRAM: list[list[Any]] = [["once"]]
Events = list[tuple[str, dict[str, Any]]]


def records(stream: str, events: Events) -> list[Raw]:
    """One record for each event; (append_id, event)."""
    before, made = genesis(stream), list[Raw]()
    for seq, (append_id, event) in enumerate(events, 1):
        body = json.dumps({"append_id": append_id, "at": float(seq), "events": [event]}).encode()
        before = hashlib.sha256(before + body).digest()
        made.append((seq, 1, body, before))
    return made


def event(type: str, **data: Any) -> tuple[str, dict[str, Any]]:
    return data.pop("by", "c1.1"), {"type": type, **data}


def created(program: list[list[Any]] = PROGRAM, **more: Any) -> tuple[str, dict[str, Any]]:
    return event("run.created", agent="program", input={"json": {"name": "a", "program": program}}, **more)


CLAIMED = event("run.claimed", by="c1", worker="w1")
INTENDED = event("step.intended", place="1", key="r1:1")
DONE = event("step.done", place="1", value={"json": "a/0"})
COMPLETED = event("run.completed", value={"json": ["a/0"]})
CANCELLING, CANCELLED = event("run.cancelling"), event("run.cancelled")
SIGNAL = event("mail.signal", id="client:go0")


class Case:
    """A run that went well; tests spoil it."""

    def __init__(self, *events: tuple[str, dict[str, Any]], program: list[list[Any]] = PROGRAM, **runs: Any) -> None:
        self.history: Events = list(events) or [created(), CLAIMED, INTENDED, DONE, COMPLETED]
        self.asked = Asked("a", Runs(program, **runs), "r1", view=RunView("r1", "program", "completed", 0.0))
        self.ledger = Ledger()
        self.ledger.start(3.1, "w1", "r1:1", "a/0")
        self.ledger.book(3.2, "w1", "r1:1", "a/0")
        self.streams: dict[str, Events] = {}
        self.state = "completed"
        self.facts = Facts({}, [], [self.asked], self.ledger)

    def check(self) -> set[str]:
        facts = self.facts
        streams = {RUN: self.history} | self.streams
        facts.streams = {stream: records(stream, events) for stream, events in streams.items()}
        facts.durable_at = {(stream, seq): float(seq) for stream, made in facts.streams.items() for seq, *_ in made}
        runs = [stream.split("/")[1].split("@")[0] for stream in facts.streams if stream.startswith("run/")]
        facts.entries = dict.fromkeys(runs, (self.state, 0)) | facts.entries
        return {line.split(":")[0] for line in check(facts)}


def test_a_run_that_went_well_breaks_no_rule() -> None:
    assert Case().check() == set()


@pytest.mark.parametrize("spoilt", ["hash", "gap"])
def test_chain(spoilt: str) -> None:
    case = Case()
    case.check()
    stream = case.facts.streams[RUN]
    stream[1] = (*stream[1][:3], b"x" * 32) if spoilt == "hash" else (7, *stream[1][1:])
    assert "chain" in {line.split(":")[0] for line in check(case.facts)}


def acknowledged(case: Case) -> None:
    case.facts.acknowledged = [(RUN, 99, b"x")]


def visible(case: Case) -> None:
    case.asked.seen_missing.append("the run")


def owner(case: Case) -> None:
    case.history[3] = ("c0.1", DONE[1])


def outcome(case: Case) -> None:
    case.history.insert(4, DONE)


def outcome_of_intents(case: Case) -> None:
    case.history.insert(3, INTENDED)


def index(case: Case) -> None:
    case.facts.entries = {"r1": ("running", 0)}


def snapshot(case: Case) -> None:
    case.asked.what = Runs(PROGRAM)
    case.streams[SESSION] = [event("turn.queued", run="r1")]
    digest = records(SESSION, case.streams[SESSION])[0][3]
    case.facts.snapshots = {SESSION: (1, digest, b'{"state": {"turns": 5}, "turns": 1}')}


def doubled(case: Case) -> None:
    case.ledger.book(3.3, "w2", "r1:1", "a/0")


def missing(case: Case) -> None:
    case.ledger.bookings.clear()


def missing_before_its_record(case: Case) -> None:
    case.ledger.bookings[:] = []
    case.ledger.book(4.5, "w1", "r1:1", "a/0")


def stray(case: Case) -> None:
    case.ledger.book(3.3, "w2", "r1:2", "b/7")


def intent(case: Case) -> None:
    case.ledger.started.clear()
    case.ledger.start(2.9, "w1", "r1:1", "a/0")


def intent_after_the_end(case: Case) -> None:
    case.history.insert(4, event("step.intended", place="2", key="r1:2"))
    case.history.insert(5, event("step.cleared", place="2"))
    case.ledger.start(9.0, "w1", "r1:2", "a/0")


def result(case: Case) -> None:
    case.history[4] = event("run.completed", value={"json": ["other"]})


def budget(case: Case) -> None:
    case.asked.what = Runs(PROGRAM, agent="frugal")
    case.history[4:4] = [event("step.done", place=str(place), value={"json": 1}) for place in range(2, 8)]


def switch(case: Case) -> None:
    case.facts.calm = True
    case.facts.stops = [("program", -1.0, 9.0)]


def cancel(case: Case) -> None:
    case.asked.what = Runs(PROGRAM, cancel=True)
    case.history[2:] = [CANCELLING, INTENDED, DONE, CANCELLED]


def cancel_before_it_is_settled(case: Case) -> None:
    case.asked.what = Runs(PROGRAM, cancel=True)
    case.history[2:] = [INTENDED, CANCELLING, CANCELLED]


def turns(case: Case) -> None:
    case.asked.what = Runs(PROGRAM, session="s")
    case.streams[SESSION] = []


def turns_counted(case: Case) -> None:
    case.asked.what = Runs(PROGRAM, session="s")
    case.history[4] = event("run.completed", value={"json": [2]})
    case.streams[SESSION] = [event("turn.queued", run="r1")]


def signals(case: Case) -> None:
    case.asked.signals.append(("go", "go0"))


def signals_consumed_twice(case: Case) -> None:
    case.streams[INBOX] = [SIGNAL]
    case.history[4:4] = [event("signal.consumed", place=place, id="client:go0", mail=1) for place in ("2", "3")]


def signals_posted_twice(case: Case) -> None:
    case.streams[INBOX] = [SIGNAL, SIGNAL]


def signals_not_handed_on(case: Case) -> None:
    case.asked.signals.append(("go", "go0"))
    case.streams[INBOX] = [SIGNAL]
    case.history[4] = event("run.continued", run="r2")
    case.streams["run/r2@0.a.b"] = [created(continued_from="r1"), COMPLETED]


def timer(case: Case) -> None:
    case.history[4:4] = [event("timer.set", place="2", fire_at=90.0), event("timer.fired", place="2")]


def timer_late(case: Case) -> None:
    late = [event("step.drifted", place="1", name="x") for _ in range(40)]
    case.history[4:4] = [event("timer.set", place="2", fire_at=6.0), *late, event("timer.fired", place="2")]


def timer_twice(case: Case) -> None:
    case.history[4:4] = [event("timer.set", place="2", fire_at=6.0), event("timer.set", place="2", fire_at=7.0)]


def replay(case: Case) -> None:
    case.history.insert(4, event("step.drifted", place="1", name="once"))


def ends(case: Case) -> None:
    case.history[4] = event("run.failed")


def ends_twice(case: Case) -> None:
    case.history.append(CANCELLING)


def ends_never(case: Case) -> None:
    case.history.pop()
    case.streams["run/r2@0.a.b"] = [created(parent="r1")]


def neighbour(case: Case) -> None:
    case.facts.calm = True
    case.history.insert(4, event("run.quarantined", claims=3, reason=""))


def continued(case: Case) -> None:
    case.streams["run/r2@0.a.b"] = [created(continued_from="r1"), COMPLETED]


def family(case: Case) -> None:
    case.asked.what = Runs(PROGRAM, cancel=True)
    case.history[4] = CANCELLED
    case.streams["run/r2@0.a.b"] = [created(parent="r1"), CLAIMED]


def escape(case: Case) -> None:
    case.facts.errors = ["Task exception was never retrieved"]


PLANTED = [
    acknowledged, visible, owner, outcome, outcome_of_intents, index, snapshot, doubled, missing,
    missing_before_its_record, stray, intent, intent_after_the_end, result, budget, switch, cancel,
    cancel_before_it_is_settled, turns, turns_counted, signals, signals_consumed_twice, signals_posted_twice,
    signals_not_handed_on, timer, timer_late, timer_twice, replay, ends, ends_twice, ends_never, neighbour, continued,
    family, escape,
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_violation_is_caught(plant: Any) -> None:
    case = Case()
    plant(case)
    assert plant.__name__.split("_")[0] in case.check()


def test_every_rule_is_tried() -> None:
    assert {plant.__name__.split("_")[0] for plant in PLANTED} | {"chain"} == set(RULES)
