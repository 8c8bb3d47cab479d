"""Rules about order, waiting and how runs end."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

from outlast.simulation.client import Asked
from outlast.simulation.evidence import ENDS, Event, Evidence
from outlast.simulation.expected import completes, is_poisoned
from outlast.simulation.mischief import skew_max_s

_late_max_s = 30.0
_trial_max_s = 60.0  # so long a trial waits whose worker died before it served (trial_start_s)
_sweep_max_s = 120.0  # so long a run waits at most whose hint was lost for good
_unheard_max = 20
_claims_max = 12  # more than quarantine allows, with its trials
_STANDSTILL = ("run.held", "run.quarantined", "run.cancelling")
_slack_s = 1e-5  # recorded times are rounded to microseconds


def turns(evidence: Evidence) -> Iterator[str]:
    """Turns of a session end in order, none is lost, none overlaps."""
    sessions: dict[str, list[Asked]] = defaultdict(list)
    for asked in evidence.asked:
        if asked.what.session and asked.run:
            sessions[asked.what.session].append(asked)
    for session, asked_turns in sessions.items():
        events = evidence.sessions.get(session, [])
        order = [event.data["run"] for event in events if event.type == "turn.queued"]
        skipped = {event.data["run"] for event in events if event.type == "turn.skipped"}
        if sorted(order) != sorted(asked.run for asked in asked_turns):
            yield f"{session}: {len(order)} are queued, {len(asked_turns)} were acknowledged"
        yield from _counts(evidence, session, order, skipped)
        yield from _overlaps(evidence, session, [run for run in order if run not in skipped])


def _counts(evidence: Evidence, session: str, order: list[str], skipped: set[str]) -> Iterator[str]:
    count = 1
    for run in order:
        last = evidence.runs[run][-1]
        if last.type == "run.completed":
            said = evidence.value(last.data["value"])[0]
            if said != count:
                yield f"{session}: turn {run} counted {said}, it is number {count}"
            count += run not in skipped


def _overlaps(evidence: Evidence, session: str, order: list[str]) -> Iterator[str]:
    for before, after in itertools.pairwise(order):
        ended_at = evidence.ended_at(before)
        begins = [event.durable_at for event in evidence.runs[after] if event.type.startswith("step.")]
        if begins and (ended_at is None or begins[0] < ended_at):
            yield f"{session}: {after} began at {begins[0]:.3f}, before {before} ended ({ended_at})"


def signals(evidence: Evidence) -> Iterator[str]:
    """A signal is consumed once, or stays in the inbox of the run that goes on; none stands there twice."""
    for run, letters in evidence.inboxes.items():
        for id, times in Counter(event.data["id"] for event in letters).items():
            if times > 1:
                yield f"{run}: letter {id} stands there {times} times"
    for asked in evidence.asked:
        chain = evidence.chain(asked.run)
        given_up = {
            (run, event.place) for run in chain for event in evidence.runs.get(run, [])
            if event.type == "step.abandoned"
        }  # fmt: skip
        taken = Counter(
            event.data["id"] for run in chain for event in evidence.runs.get(run, [])
            if event.type == "signal.consumed" and (run, event.place) not in given_up
        )  # fmt: skip
        for id, times in taken.items():
            if times > 1:
                yield f"{asked.name}: {id} was consumed {times} times"
        posted = {event.data["id"] for run in chain for event in evidence.inboxes.get(run, [])}
        last = {event.data["id"] for event in evidence.inboxes.get(chain[-1], [])} if chain else set[str]()
        for name, id in asked.signals:
            if f"client:{id}" not in posted:
                yield f"{asked.name}: {name} {id} was acknowledged and is in no inbox"
            elif f"client:{id}" not in taken and f"client:{id}" not in last:
                yield f"{asked.name}: {name} {id} was neither consumed nor handed on"
        for id in taken.keys() - posted:
            yield f"{asked.name}: {id} was consumed and never sent"


def heard(evidence: Evidence) -> Iterator[str]:
    """What a person decides about a step is acted on: nobody decides it again and again to no end."""
    for run, letters in evidence.inboxes.items():
        events = evidence.runs.get(run, [])
        acted = {event.place: event.data["mail"] for event in events if event.data.get("mail") and event.place}
        unheard = Counter(
            event.place for event in letters
            if event.type == "mail.resolve" and event.seq > acted.get(event.place, 0)
        )  # fmt: skip
        for place, times in unheard.items():
            if times > _unheard_max:
                yield f"{run}: {times} decisions about step {place} were acknowledged, none was acted on"


def timer(evidence: Evidence) -> Iterator[str]:
    """No timer is set twice, fires before its time, nor long after it once faults are over, nor never."""
    tolerance = 2 * skew_max_s if evidence.facts.skewed else _slack_s
    slack = tolerance if evidence.facts.skewed else 0.0
    for run, events in evidence.runs.items():
        fire_at: dict[str, float] = {}
        set_at: dict[str, Event] = {}
        late_max_s = _late_max_s + _trial_max_s * sum(event.type == "run.trial" for event in events)
        for event in events:
            if event.type == "timer.set":
                if event.place in fire_at:
                    yield f"{run} {event.place}: it was set twice"
                fire_at[event.place] = event.data["fire_at"]
                set_at[event.place] = event
            if event.type == "timer.fired" and event.at < fire_at[event.place] - tolerance:
                yield f"{run} {event.place}: {event.at} is before {fire_at[event.place]}"
            if event.type == "timer.fired":
                true_at = fire_at[event.place] - event.at + event.durable_at
                due = max(true_at, evidence.facts.healed_at)
                if event.durable_at > due + late_max_s + slack:
                    yield f"{run} {event.place}: fired at {event.durable_at:.3f}, was due at {due:.3f}"
            if event.type in ("timer.fired", "step.abandoned"):
                set_at.pop(event.place, None)
        if events[-1].type in ENDS or any(event.type in _STANDSTILL for event in events):
            continue
        for place, event in set_at.items():
            due = max(fire_at[place] - event.at + event.durable_at, evidence.facts.healed_at)
            if evidence.facts.over_at > due + late_max_s + slack:
                yield f"{run} {place}: it has not fired at {evidence.facts.over_at:.3f}, was due at {due:.3f}"


def claimed(evidence: Evidence) -> Iterator[str]:
    """A run is claimed soon once faults are over, and not again and again to no end."""
    for run, events in evidence.runs.items():
        due = max(events[0].durable_at, evidence.facts.healed_at) + _late_max_s + _sweep_max_s * evidence.facts.forgot
        if len(events) == 1 and evidence.facts.over_at > due:
            yield f"{run} was created at {events[0].durable_at:.3f}, nobody has claimed it at {due:.3f}"
        in_a_row = 0
        for event in events:
            in_a_row = in_a_row + 1 if event.type in ("run.claimed", "run.trial") else 0
            if in_a_row > _claims_max:
                yield f"{run} {event.seq}: claimed {in_a_row} times in a row, and nothing came of it"
                break


def swept(evidence: Evidence) -> Iterator[str]:
    """Where no hint was lost, delayed or made by a wrong clock, the sweep finds nothing to do."""
    if evidence.facts.forgot or evidence.facts.skewed:
        return
    for run, letters in evidence.inboxes.items():
        for event in letters:
            if event.data["id"].startswith("sweep:"):
                yield f"{run} was found by the sweep at {event.durable_at:.3f}"


def replay(evidence: Evidence) -> Iterator[str]:
    """The same code replays what it did: nothing drifts, no step mismatches."""
    for run, events in evidence.runs.items():
        for event in events:
            if event.type == "step.drifted" or event.data.get("code") in ("replay_mismatch", "input_mismatch"):
                what = event.data.get("reason") or f"{event.data['name']} at {event.place}"
                yield f"{run} {event.seq} {event.type}: {what}"


def ends(evidence: Evidence) -> Iterator[str]:
    """Every run ends, waits for a person with a reason, or is quarantined for a fault of its own."""
    for asked in evidence.asked:
        if not asked.run:
            yield f"{asked.name} was never acknowledged"
        elif not _ended_well(evidence, asked):
            state = asked.view.state if asked.view else "?"
            reason = asked.view.reason or asked.view.error if asked.view else ""
            yield f"{asked.name} ({asked.run}) is {state} ({evidence.end(asked.run)}): {reason}"
    resting = {
        run for asked in evidence.asked if asked.view is not None and asked.view.state in ("held", "quarantined")
        for run in evidence.chain(asked.run)
    }  # fmt: skip
    for run, events in evidence.runs.items():
        over = [event.seq for event in events if event.type in ENDS]
        if len(over) > 1 or (over and over[0] != events[-1].seq):
            yield f"{run}: events follow its end at {over[0]}"
        if not over and evidence.facts.finished and run not in resting:
            yield f"{run} never ended: {events[-1].type}"


def _ended_well(evidence: Evidence, asked: Asked) -> bool:
    end, program = evidence.end(asked.run), asked.what.program
    state, reason = (asked.view.state, asked.view.reason) if asked.view else ("?", "")
    if state == "held" and asked.what.agent in ("frugal", "thrifty", "stingy"):
        return "budget" in reason
    if is_poisoned(program):
        return state == "quarantined"
    if asked.cancelled or asked.what.cancel:
        return end in ("run.cancelled", "run.completed")
    fine = {"run.completed"} if completes(program) else {"run.failed"}
    if asked.what.deadline_s:
        fine |= {"run.failed"}
    return end in fine


def neighbour(evidence: Evidence) -> Iterator[str]:
    """Where nothing fails but a poisonous run, only that one is quarantined."""
    if not evidence.facts.calm:
        return
    poisonous = {asked.run for asked in evidence.asked if is_poisoned(asked.what.program)}
    for run, events in evidence.runs.items():
        if run not in poisonous and any(event.type == "run.quarantined" for event in events):
            yield f"{run} was quarantined beside a poisonous one"


def continued(evidence: Evidence) -> Iterator[str]:
    """A run that continues another exists only if that one ended so."""
    for run, events in evidence.runs.items():
        before = events[0].data.get("continued_from", "")
        if before:
            last = evidence.runs[before][-1]
            if last.type != "run.continued" or last.data["run"] != run:
                yield f"{run} continues {before}, which ended with {last.type}"


def family(evidence: Evidence) -> Iterator[str]:
    """A child run does not outlive its parent's cancellation for long."""
    for run, events in evidence.runs.items():
        parent = events[0].data.get("parent", "")
        if not parent or evidence.end(parent) != "run.cancelled":
            continue
        ended_at = evidence.ended_at(evidence.chain(parent)[-1])
        due = max(ended_at or 0.0, evidence.facts.healed_at) + _late_max_s
        if (evidence.ended_at(run) or due + 1.0) > due:
            yield f"{run}: its parent was cancelled at {ended_at}, it ended at {evidence.ended_at(run)}"


def escape(evidence: Evidence) -> Iterator[str]:
    """Nothing raises where nothing should."""
    yield from evidence.facts.errors
