"""What fails when something fails: along which edges, in which order, how far, how long.

A breadth-first walk against the direction of the edges until nothing gets worse. States only rise, so that cycles
end. What a failed target does to its source:

==================  ==========================================================================
edge                the source is then
==================  ==========================================================================
hard, synchronous   as its target is; degraded while an earlier answer is used (`cache_s`)
hard, ``wait``      waiting: its work is kept until the target is back
hard, asynchronous  waiting: a queue or a copy stands between
soft                degraded, also by answers that are worse only because its target is degraded
soft, ``recompute`` weakened: what the target kept is made again, the answer is the same
alternatives        as with the best of them; degraded if only worse ones are left
==================  ==========================================================================
"""

from __future__ import annotations

from collections import deque

import msgspec

from outlast.assessment.disruption import Disruption
from outlast.assessment.edge import Edge
from outlast.assessment.graph import Graph
from outlast.assessment.hit import Hit, hits
from outlast.assessment.impact import Impact, State, Touch

degraded_share = 0.3
"""How much of the blast radius a degraded class of work counts, next to one that is down."""

recompute = "recompute"
"""``on_loss`` of what only saves work, such as a cache: without it the same answer comes later."""

_Effect = tuple[State, float | None, str]
"""State of the source, seconds until it is over, why."""


def spread(graph: Graph, disruption: Disruption) -> Impact:
    """Everything that `disruption` does to the system."""
    return spread_from(graph, disruption, tuple(hits(graph, disruption)))


def spread_from(graph: Graph, disruption: Disruption, direct: tuple[Hit, ...]) -> Impact:
    """The same, when what is hit itself is known."""
    touches: dict[str, Touch] = {}
    for hit in direct:
        if hit.state > State.UNTOUCHED:
            touches[hit.component] = Touch(hit.component, hit.state, 0, "", 0.0, hit.until_s, hit.why)
    waiting = deque(touches)
    while waiting:
        name = waiting.popleft()
        for edge in graph.needed_by[name]:
            touch = _reached(graph, edge, touches)
            if touch is not None and _worse(touch, touches.get(edge.source)):
                touches[edge.source] = touch
                waiting.append(edge.source)
    ordered = dict(sorted(touches.items(), key=lambda item: (item[1].step, item[1].after_s)))
    entered = {name: _entered(graph, name, ordered) for name in graph.works}
    work = {name: max((touch.state for touch in found), default=State.UNTOUCHED) for name, found in entered.items()}
    return Impact(disruption, ordered, work, blast_radius(graph, work), entered)


def blast_radius(graph: Graph, work: dict[str, State]) -> float:
    """0 to 1: that of the class of work that is hit hardest, by its weight and by how bad it is."""
    return max((graph.weight(name) * _badness[state] for name, state in work.items()), default=0.0)


_badness = {
    State.UNTOUCHED: 0.0,
    State.WEAKENED: 0.0,
    State.DEGRADED: degraded_share,
    State.WAITING: 0.5,
    State.INTERRUPTED: 1.0,
    State.DOWN: 1.0,
}


def _entered(graph: Graph, work: str, touches: dict[str, Touch]) -> tuple[Touch, ...]:
    """What happens where a class of work enters; what stands before it passes on only what is on its own way."""
    fronts = [name for name in graph.fronts(work) if name in touches and touches[name].step]
    if any(not graph.leads(work, edge) for name in fronts for edge in graph.needs[name]):
        touches = {name: touch for name, touch in touches.items() if name not in fronts}
        for name in fronts:  # those further in come first
            for edge in graph.needs[name]:
                touch = _reached(graph, edge, touches) if graph.leads(work, edge) else None
                if touch is not None and _worse(touch, touches.get(name)):
                    touches[name] = touch
    return tuple(touches[name] for name in graph.entries[work] if name in touches)


def _worse(new: Touch, old: Touch | None) -> bool:
    if old is None:
        return new.state > State.UNTOUCHED
    return new.state > old.state or (new.state == old.state and (new.until_s or 0.0) > (old.until_s or 0.0))


def _reached(graph: Graph, edge: Edge, touches: dict[str, Touch]) -> Touch | None:
    """What `edge` passes on from its target to its source, given what is known so far."""
    state, until_s, why = _effect(graph, edge, touches)
    if edge.any_of and state > State.UNTOUCHED:
        state, until_s, why = _of_alternatives(graph, edge, touches)
    if state == State.UNTOUCHED:
        return None
    target = touches[edge.target]
    return Touch(edge.source, state, target.step + 1, edge.target, target.after_s + patience_s(edge), until_s, why)


def patience_s(edge: Edge) -> float:
    """Seconds until a caller gives up on a target that does not answer: all attempts."""
    if not edge.synchronous or edge.timeout_s is None:
        return 0.0
    return edge.timeout_s.value * (1 + edge.retries)


def _effect(graph: Graph, edge: Edge, touches: dict[str, Touch]) -> _Effect:
    touch = touches.get(edge.target)
    if touch is None or touch.state <= State.WEAKENED:
        return State.UNTOUCHED, None, ""
    if not edge.synchronous:
        if not edge.hard or touch.state < State.WAITING:
            return State.UNTOUCHED, None, ""
        return State.WAITING, touch.until_s, f"its work waits for {edge.target}"
    instead = edge.on_loss or graph.component(edge.target).on_loss
    if not edge.hard and instead == recompute:
        return State.WEAKENED, touch.until_s, f"makes again what {edge.target} kept"
    if touch.state == State.DEGRADED or (touch.state == State.WAITING and edge.hard):
        return touch.state, touch.until_s, f"{edge.target} is {touch.state.word}"
    if not edge.hard:
        return State.DEGRADED, touch.until_s, f"does without {edge.target}: {instead or 'nothing said'}"
    if instead == "wait":
        return State.WAITING, touch.until_s, f"waits for {edge.target}"
    if edge.cache_s is not None and (touch.until_s or 0.0) <= edge.cache_s:
        return State.DEGRADED, touch.until_s, f"uses earlier answers of {edge.target}"
    return touch.state, touch.until_s, f"cannot do without {edge.target}"


def _of_alternatives(graph: Graph, edge: Edge, touches: dict[str, Touch]) -> _Effect:
    group = [other for other in graph.needs[edge.source] if other.any_of == edge.any_of]
    effects = [(_effect(graph, other, touches), other) for other in group]
    (state, until_s, why), best = min(effects, key=lambda item: (item[0][0], item[1].degrades, item[0][1] or 0.0))
    if state >= State.DEGRADED:
        return state, until_s, why if len(group) == 1 else f"no alternative in {edge.any_of!r} is left: {why}"
    if best.degrades:
        return State.DEGRADED, _longest(effects), f"{best.target} stands in for {edge.target}"
    return State.WEAKENED, _longest(effects), f"{best.target} stands in for {edge.target}"


def _longest(effects: list[tuple[_Effect, Edge]]) -> float | None:
    return max((effect[1] or 0.0 for effect, _ in effects), default=None)


class SinglePoint(msgspec.Struct, frozen=True):
    """A component whose loss takes whole classes of work down."""

    component: str
    works: tuple[str, ...]


def single_points(graph: Graph, impacts: dict[str, Impact]) -> list[SinglePoint]:
    """Components without which classes of work stop; `impacts` are those of losing each of them as a whole."""
    found: list[SinglePoint] = []
    for name, impact in impacts.items():
        works = tuple(work for work, state in impact.work.items() if state >= State.INTERRUPTED)
        if works:
            found.append(SinglePoint(name, works))
    return found


def shared_fates(graph: Graph) -> dict[str, tuple[str, ...]]:
    """What several components share, and which: everything in one zone alone, in one region alone, on one provider."""
    groups: dict[str, list[str]] = {}
    for name, component in graph.system.components.items():
        zones = {zone for site in component.sites for zone in site.zones[: site.instances]}
        regions = {site.region for site in component.sites}
        if len(zones) == 1 and all(site.zones for site in component.sites):
            groups.setdefault(f"zone {min(zones)}", []).append(name)
        if len(regions) == 1:
            groups.setdefault(f"region {min(regions)}", []).append(name)
        for shared in component.shares:
            groups.setdefault(shared, []).append(name)
    return {shared: tuple(names) for shared, names in groups.items() if len(names) > 1}
