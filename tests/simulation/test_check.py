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
from outlast.simulation.evidence import Evidence, Facts, Raw, genesis
from outlast.simulation.ledger import Ledger
from outlast.simulation.rule import storage

RUN, INBOX, SESSION, AGENT = "run/r1@0.a.b", "inbox/r1@0.a.b", "session/s@0.a.b", "agent/program@0.a.b"
PROGRAM: list[list[Any]] = [["once"]]
Events = list[tuple[str, dict[str, Any]]]


def records(stream: str, events: Events) -> list[Raw]:
    """One record for each event; (append_id, event)."""
    before, made = genesis(stream), list[Raw]()
    for seq, (append_id, event) in enumerate(events, 1):
        said = {"stream": stream, "seq": seq, "append_id": append_id, "at": float(seq), "events": [event]}
        body = json.dumps(said).encode()
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
        self.raw: dict[str, list[Raw]] = {}
        self.forgotten: set[str] = set()
        self.durable: dict[tuple[str, int], float] = {}

    def check(self) -> set[str]:
        facts = self.facts
        streams = {RUN: self.history} | self.streams
        facts.streams = {stream: records(stream, events) for stream, events in streams.items()} | self.raw
        facts.durable_at = {(stream, seq): float(seq) for stream, made in facts.streams.items() for seq, *_ in made}
        facts.durable_at |= self.durable
        runs = [stream.split("/")[1].split("@")[0] for stream in facts.streams if stream.startswith("run/")]
        facts.entries = dict.fromkeys(runs, (self.state, 0)) | facts.entries
        for run in self.forgotten:
            del facts.entries[run]
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


@pytest.mark.parametrize("stream", [RUN, INBOX, SESSION, AGENT])
@pytest.mark.parametrize("spoilt", ["bytes", "gap"])
def test_streams_of_every_kind_are_read_from_their_bytes_and_their_chain_verified(stream: str, spoilt: str) -> None:
    case = Case()
    event_of = {INBOX: SIGNAL, SESSION: event("turn.queued", run="r0"), AGENT: event("agent.stopped", reason="x")}
    case.streams = {other: [said, said] for other, said in event_of.items()}
    case.check()
    records = case.facts.streams[stream]
    if spoilt == "gap":
        del records[0]
    else:
        records[0] = (*records[0][:2], records[0][2].replace(b'"at": 1.0', b'"at": 1.5'), records[0][3])
    lines = list(storage.chain(Evidence(case.facts)))
    assert lines
    assert all(stream in line for line in lines)


BIG = [["big", 70_000]]
CONTENT = b"x" * 70_000
NAME = hashlib.sha256(CONTENT).hexdigest()


def record(case: Case) -> None:
    queued = event("turn.queued", run="r1")[1]
    body = json.dumps({"stream": RUN, "seq": 2, "append_id": "a", "at": 1.0, "events": [queued]}).encode()
    case.raw[SESSION] = [(1, 1, body, hashlib.sha256(genesis(SESSION) + body).digest())]


def anchors(case: Case) -> None:
    case.facts.anchors = {RUN: (6, b"x" * 32)}


def anchors_of_another_history(case: Case) -> None:
    case.facts.anchors = {RUN: (5, b"x" * 32)}


def audit(case: Case) -> None:
    case.facts.audits = ["a stream lost its last record, and the audit does not say so"]


def named(case: Case, at: float, content: bytes) -> None:
    case.history[3] = event("step.done", place="1", value={"blob": {"sha256": NAME, "size": len(CONTENT)}})
    case.facts.blobs = {NAME: content}
    case.facts.blob_at = {NAME: at}


def blob(case: Case) -> None:
    named(case, 3.9, CONTENT[:-1])


def blob_after_the_event_that_names_it(case: Case) -> None:
    named(case, 4.1, CONTENT)


def test_a_blob_that_was_there_before_and_is_whole_breaks_no_rule() -> None:
    case = Case()
    named(case, 3.9, CONTENT)
    assert "blob" not in case.check()


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


def index_without_a_run(case: Case) -> None:
    case.facts.finished = False
    case.forgotten = {"r1"}


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


def given(case: Case) -> None:
    case.asked.what = Runs(BIG)
    case.ledger.give("a/0", "a/0".ljust(70_000, "."))
    case.ledger.give("a/0", "a/0".ljust(69_999, "."))


def patience(case: Case) -> None:
    case.ledger.overdue.append("say a/0: for 30.0 s by w1")


def answers(case: Case, agent: str, count: int, usd: float = 0.00005) -> None:
    case.asked.what = Runs(PROGRAM, agent=agent)
    case.history[4:4] = [
        event("step.done", place=str(place), kind="model", value={"json": 1}, tokens=10, usd=usd)
        for place in range(2, 2 + count)
    ]


def budget_of_dollars(case: Case) -> None:
    answers(case, "stingy", 4)


def budget_of_answers_that_cost_nothing(case: Case) -> None:
    answers(case, "program", 1, 0.0)


def test_a_budget_of_dollars_is_exceeded_by_the_step_in_flight_at_most() -> None:
    case = Case()
    answers(case, "stingy", 3)
    assert "budget" not in case.check()


def answered_by(case: Case, model: str, degraded: bool) -> None:
    value = {"json": {"value": "x", "model": model, "degraded": degraded}}
    usd = 0.00001 if model == "gpt-4.1-mini" else 0.00005
    case.history[4:4] = [event("step.done", place="2", kind="model", value=value, tokens=10, usd=usd)]


def fallback(case: Case) -> None:
    answered_by(case, "gpt-4.1-mini", False)


def fallback_marked_for_nothing(case: Case) -> None:
    answered_by(case, "gpt-4.1", True)


def budget_of_the_fallback_s_price(case: Case) -> None:
    answered_by(case, "gpt-4.1-mini", True)
    case.history[4][1]["usd"] = 0.00005


def test_what_the_fallback_answered_is_marked_and_has_its_own_price() -> None:
    for model, degraded in (("gpt-4.1", False), ("gpt-4.1-mini", True)):
        case = Case()
        answered_by(case, model, degraded)
        assert {found.split(":")[0] for found in case.check()}.isdisjoint({"fallback", "budget"})


def switch(case: Case) -> None:
    case.facts.stops = [("program", 5.0, 9.0)]


def switch_by_the_bytes_of_its_stream(case: Case) -> None:
    case.facts.calm = True
    case.streams[AGENT] = [event("agent.stopped", reason="x"), event("agent.resumed")]
    stopped, resumed = records(AGENT, case.streams[AGENT])
    case.durable = {(AGENT, stopped[0]): -1.0, (AGENT, resumed[0]): 9.0}


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


def swept(case: Case) -> None:
    case.streams[INBOX] = [event("mail.wake", id="sweep:1", run="r1")]


def test_what_the_sweep_finds_where_hints_were_dropped_is_as_it_should_be() -> None:
    case = Case()
    swept(case)
    case.facts.forgot = True
    assert "swept" not in case.check()


def heard(case: Case) -> None:
    case.streams[INBOX] = [event("mail.resolve", id=str(number), place="1", how="retry") for number in range(21)]


def test_a_decision_that_was_acted_on_is_heard() -> None:
    case = Case()
    heard(case)
    case.history[3] = event("step.done", place="1", value={"json": "a/0"}, by="person", mail=21)
    assert "heard" not in case.check()


def timer_never(case: Case) -> None:
    case.history[4:] = [event("timer.set", place="2", fire_at=6.0)]
    case.facts.over_at = 900.0


def claimed(case: Case) -> None:
    case.history[1:] = []
    case.facts.over_at = 900.0


def claimed_to_no_end(case: Case) -> None:
    case.history[1:1] = [CLAIMED] * 12


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
    record, anchors, anchors_of_another_history, audit, blob, blob_after_the_event_that_names_it, given, patience,
    budget_of_dollars, budget_of_answers_that_cost_nothing, budget_of_the_fallback_s_price, fallback,
    fallback_marked_for_nothing, switch_by_the_bytes_of_its_stream, swept, acknowledged,
    visible, owner, outcome, outcome_of_intents, index, index_without_a_run, snapshot, doubled, missing,
    missing_before_its_record, stray, intent, intent_after_the_end, result, budget, switch, cancel,
    cancel_before_it_is_settled, turns, turns_counted, signals, signals_consumed_twice, signals_posted_twice,
    signals_not_handed_on, timer, timer_late, timer_twice, timer_never, heard, claimed, claimed_to_no_end, replay, ends,
    ends_twice, ends_never, neighbour, continued, family, escape,
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_violation_is_caught(plant: Any) -> None:
    case = Case()
    plant(case)
    assert plant.__name__.split("_")[0] in case.check()


def test_every_rule_is_tried() -> None:
    assert {plant.__name__.split("_")[0] for plant in PLANTED} | {"chain"} == set(RULES)
