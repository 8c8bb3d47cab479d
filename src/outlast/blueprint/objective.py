"""What a class of work promises: how much of it is answered, how fast, and how soon again after what."""

from __future__ import annotations

import msgspec

from outlast.blueprint.value import Age, Count, Number, Rate, Seconds, Share


class Latency(msgspec.Struct, frozen=True):
    """``{first_token_p95: 1500ms, turn_p99: 20s}``: within which time so many per cent of the work is answered."""

    first_token_p50: Seconds | None = None
    """Half of the turns show their first token within this."""
    first_token_p95: Seconds | None = None
    """95 of 100 turns show their first token within this."""
    first_token_p99: Seconds | None = None
    """99 of 100 turns show their first token within this."""
    turn_p50: Seconds | None = None
    """Half of the turns are done within this."""
    turn_p95: Seconds | None = None
    """95 of 100 turns are done within this."""
    turn_p99: Seconds | None = None
    """99 of 100 turns are done within this."""
    request_p50: Seconds | None = None
    """Half of the requests to services are answered within this."""
    request_p95: Seconds | None = None
    """95 of 100 requests to services are answered within this."""
    request_p99: Seconds | None = None
    """99 of 100 requests to services are answered within this."""


class Recovery(msgspec.Struct, frozen=True):
    """``{rto: 15s, rpo: 0s}``: how soon it goes on, and what may be lost."""

    rto: Age | None = None
    """From the failure until a client's next success, at most; None: not promised."""
    rpo: Age | None = None
    """The age of what may be lost, at most; ``0s``: nothing that was acknowledged; None: not promised."""


class Survive(msgspec.Struct, frozen=True):
    """``{process: {rto: 1s, rpo: 0s}, zone: …}``: by disruption, what is promised; what is left out is not promised."""

    process: Recovery | None = None
    """One process dies or hangs."""
    node: Recovery | None = None
    """One machine, task or instance is lost."""
    zone: Recovery | None = None
    """All that runs in one zone is lost."""
    region: Recovery | None = None
    """All that runs in one region is lost or cut off."""
    corruption: Recovery | None = None
    """Data was destroyed or falsified, and every replica has it so."""
    dependency: Recovery | None = None
    """Something outside that is needed is away; `rto`: how long until answers come again, lesser ones included."""


class Objective(msgspec.Struct, frozen=True):
    """``{availability: 99.95%, latency: {turn_p99: 20s}, survive: {…}}``: the promises of one class of work."""

    availability: Share | None = None
    """The share of the work that is answered, over `over`; None: not promised."""
    over: Seconds = 30 * 86400.0
    """The time that `availability` is counted over."""
    latency: Latency = Latency()
    """How fast the work is answered."""
    survive: Survive = Survive()
    """How soon it goes on after what."""


class Load(msgspec.Struct, frozen=True):
    """``{steady: 1/s, peak: 10/s, turns_per_session: 6, model_calls_per_turn: 2}``: the work of one class."""

    steady: Rate
    """Turns (or documents, or requests) that arrive on average."""
    peak: Rate | None = None
    """What arrives in the busiest minutes; None: as `steady`."""
    turns_per_session: Number = 1.0
    """Turns of one conversation."""
    model_calls_per_turn: Number = 1.0
    """Calls of models for one turn."""
    prompt_tokens: Count = 1000
    """Tokens of the prompt of one model call."""
    answer_tokens: Count = 200
    """Tokens of the answer of one model call."""
    steps_per_turn: Number = 4.0
    """Durable steps of one turn: each is one write of the journal."""
