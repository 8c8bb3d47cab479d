"""The checker of a pool. It reads what clients and endpoints wrote down, and the documented bounds; no counter of the
pool, but for `counted`, which compares them.

Each rule gives a line for each violation, beginning with the rule's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from outlast.simulation.pool.book import Asked, Book, Sent, slack_s

_TYPED = {"EndpointUnavailable", "EndpointOverloaded", "PoolOverloaded", "EndpointRefused", "Interrupted"}


def in_time(book: Book) -> Iterator[str]:
    """Every call ends by its deadline, 0.1 s for doing so granted, and no endpoint is told a later one."""
    for asked in book.asked:
        due = asked.at + asked.deadline_s
        if asked.ended_at is None or asked.ended_at > book.at_the_latest(due):
            yield f"call {asked.id} was due at {due:.3f} and ended at {asked.ended_at or math.inf:.3f}"
    deadlines = {asked.id: asked.at + asked.deadline_s for asked in book.asked}
    for sent in book.sent:
        if sent.deadline > book.at_the_latest(deadlines[sent.call]):
            yield f"call {sent.call} request {sent.number} was given until {sent.deadline:.3f}, after the call's end"


def typed(book: Book) -> Iterator[str]:
    """A call ends with an answer, with an error of the documented kinds, or because its client left."""
    for asked in book.asked:
        left = asked.outcome == "CancelledError" and asked.left_at is not None
        if asked.ended_at is not None and asked.outcome != "answer" and asked.outcome not in _TYPED and not left:
            yield f"call {asked.id} ended with {asked.outcome}: {asked.said}"
        if asked.outcome == "PoolOverloaded" and not (asked.retry_after_s or 0.0) > 0.0:
            yield f"call {asked.id} was refused and not told when to come back"
    yield from book.errors


def ordered(book: Book) -> Iterator[str]:
    """The tokens of a stream reach its client in order, none twice, none left out."""
    for asked in book.asked:
        indexes = [index for _, _, _, index in asked.got]
        if indexes != list(range(len(indexes))):
            yield f"call {asked.id} got the tokens {indexes}"
        if asked.stream and asked.outcome == "answer" and len(indexes) != asked.tokens:
            yield f"call {asked.id} is answered with {len(indexes)} of {asked.tokens} tokens"


def single(book: Book) -> Iterator[str]:
    """What a client gets is all from one endpoint, and after its first content no other is asked."""
    for asked, requests in _calls(book):
        sources = {number for _, _, number, _ in asked.got}
        if asked.value is not None:
            sources.add(asked.value[1])
        if len(sources) > 1:
            yield f"call {asked.id} got content of requests {sorted(sources)}"
        if asked.got:
            late = [sent.number for sent in requests if sent.at > asked.got[0][0]]
            if late:
                yield f"call {asked.id} had content at {asked.got[0][0]:.3f}; requests {late} were sent after it"


def lost(book: Book) -> Iterator[str]:
    """An answer that was read to its end in time reaches the client, who has not left."""
    for asked, requests in _calls(book):
        whole = [
            sent
            for sent in requests
            if sent.whole_at is not None and (sent.committed_at is not None or not asked.stream)
        ]
        read_at = min((sent.whole_at or 0.0 for sent in whole), default=math.inf)
        if asked.outcome != "answer" and asked.left_at is None and read_at < asked.at + asked.deadline_s - slack_s:
            yield f"call {asked.id} ended with {asked.outcome}; request {whole[0].number} had the answer"


def interrupted(book: Book) -> Iterator[str]:
    """Whoever has had content is told that it broke off, and nobody else is."""
    for asked, requests in _calls(book):
        if asked.outcome == "answer" or asked.left_at is not None or asked.ended_at is None:
            continue
        had = bool(asked.got) or any(sent.whole_at is not None for sent in requests)
        if had != (asked.outcome == "Interrupted"):
            yield f"call {asked.id} got {len(asked.got)} tokens and ended with {asked.outcome}"


def amplified(book: Book) -> Iterator[str]:
    """Retries and hedges stay within the budget in every window, and each call within its attempts.

    ``burst + per_s x window + ratio x calls``, not counted those that left an endpoint out of rotation, of which a call
    has at most `moves_max`.
    """
    terms = book.terms
    firsts: dict[bool, list[float]] = {True: [], False: []}
    extras: dict[bool, list[float]] = {True: [], False: []}
    for asked, requests in _calls(book):
        if len(requests) > terms.attempts_max:
            yield f"call {asked.id} was sent {len(requests)} times; {terms.attempts_max} are allowed"
        for fallback in (False, True):
            times = [sent.at for sent in requests if (sent.endpoint in terms.fallback) == fallback]
            firsts[fallback] += times[:1]
            extras[fallback] += times[1 + terms.moves_max :]
    whole_s = terms.window_s - terms.bucket_s  # the budget forgets in buckets
    for fallback, times in extras.items():
        times.sort()
        for at in times:
            spent = sum(at - whole_s < other <= at for other in times)
            calls = sum(at - terms.window_s - slack_s <= first <= at for first in firsts[fallback])
            bound = terms.burst + terms.per_s * terms.window_s + terms.ratio * calls
            if spent > bound:
                yield f"at {at:.3f} {spent} others in {whole_s:g} s, for {calls} calls at most {bound:.1f}"
                break


def hedged(book: Book) -> Iterator[str]:
    """At most one request of a call is sent beside another in each pool, none if the call allows none."""
    for asked, requests in _calls(book):
        for fallback in (False, True):
            mine = [sent for sent in requests if (sent.endpoint in book.terms.fallback) == fallback]
            beside = [
                sent.number
                for index, sent in enumerate(mine)
                if any(before.closed_at is None or before.closed_at > sent.at for before in mine[:index])
            ]
            if len(beside) > (1 if asked.hedge else 0):
                yield f"call {asked.id} had requests {beside} sent beside others"


def loser(book: Book) -> Iterator[str]:
    """What has lost is stopped, and nothing is under way for a call that is over."""
    for asked, requests in _calls(book):
        ends = [sent.committed_at for sent in requests if sent.committed_at is not None]
        winner = {sent.number for sent in requests if sent.committed_at is not None}
        for sent in requests:
            due = math.inf if asked.ended_at is None else asked.ended_at
            if sent.number not in winner:
                due = min(due, *ends) if ends else due
            if (math.inf if sent.closed_at is None else sent.closed_at) > book.at_the_latest(max(due, sent.at)):
                yield f"call {asked.id} request {sent.number} went on after {due:.3f}"


def limited(book: Book) -> Iterator[str]:
    """No endpoint ever holds more requests than its limit."""
    for endpoint, limit in book.terms.servers.items():
        if limit is None:
            continue
        here = [sent for sent in book.sent if sent.endpoint == endpoint]
        moves = [(sent.at, 1) for sent in here] + [(sent.closed_at, -1) for sent in here if sent.closed_at is not None]
        held = 0
        for at, change in sorted(moves):
            held += change
            if held > limit:
                yield f"{endpoint} held {held} requests at {at:.3f}; its limit is {limit}"
                break


def rested(book: Book) -> Iterator[str]:
    """An endpoint that said when to come back is not asked before."""
    for told in book.sent:
        if told.retry_after is None:
            continue
        at, rest_s = told.retry_after
        until = at + min(rest_s, book.terms.rest_max_s)
        early = [sent for sent in book.sent if sent.endpoint == told.endpoint and at + 0.01 < sent.at < until - 0.001]
        if early:
            came = f"call {early[0].call} came at {early[0].at:.3f}"
            yield f"{told.endpoint} wanted no request from {at:.3f} to {until:.3f}; {came}"


def refused(book: Book) -> Iterator[str]:
    """A wrong request is not sent again once an endpoint has said that it is, and only its client hears so."""
    for asked, requests in _calls(book):
        told_at = min((sent.refused_at for sent in requests if sent.refused_at is not None), default=math.inf)
        if any(sent.at > told_at for sent in requests):
            yield f"call {asked.id} is wrong, as was said at {told_at:.3f}, and was sent again"
        if told_at < math.inf and asked.outcome != "EndpointRefused" and asked.left_at is None:
            yield f"call {asked.id} is wrong, as was said at {told_at:.3f}, and its client heard {asked.outcome}"
        if asked.outcome == "EndpointRefused" and told_at == math.inf and not any(sent.denied for sent in requests):
            yield f"call {asked.id} was refused, and no endpoint had said so"


def degraded(book: Book) -> Iterator[str]:
    """An answer is marked as degraded exactly if the fallback gave it, and names whoever gave it."""
    for asked in book.asked:
        if asked.value is None:
            continue
        by = asked.value[0]
        if asked.degraded != (by in book.terms.fallback):
            yield f"call {asked.id} was answered by {by} and is {'' if asked.degraded else 'not '}marked as degraded"
        if asked.endpoint != by:
            yield f"call {asked.id} was answered by {by}; the pool says {asked.endpoint}"


def counted(book: Book) -> Iterator[str]:
    """The tokens that endpoints counted are charged, once."""
    for endpoint, charged in book.charged.items():
        used = sum(sent.usage for sent in book.sent if sent.endpoint == endpoint)
        if charged != used:
            yield f"{endpoint} counted {used} tokens; {charged} were charged"


def recovered(book: Book) -> Iterator[str]:
    """A stated time after the last fault every call is answered, not degraded, and every endpoint is in rotation."""
    proof = {asked.id: asked for asked in book.asked if asked.phase == "proof"}
    for asked in proof.values():
        if asked.outcome != "answer" or asked.degraded:
            how = "by the fallback" if asked.degraded else f"not: {asked.outcome} {asked.said}"
            yield f"call {asked.id} at {asked.at:.3f}, when all was long well, was answered {how}"
    used = {sent.endpoint for sent in book.sent if sent.call in proof}
    if proof:
        yield from (f"{name} is not asked any more" for name in book.terms.servers
                    if name not in used and name not in book.terms.fallback)  # fmt: skip


Rule = Callable[[Book], Iterator[str]]
_ALL: tuple[Rule, ...] = (
    in_time, typed, ordered, single, lost, interrupted, amplified, hedged, loser, limited, rested, refused, degraded,
    counted, recovered,
)  # fmt: skip
POOL_RULES = {rule.__name__: " ".join((rule.__doc__ or "").split()).rstrip(".") for rule in _ALL}
"""What each rule demands."""


def check_pool(book: Book) -> list[str]:
    """All violations."""
    return [f"{rule.__name__}: {text}" for rule in _ALL for text in rule(book)]


def _calls(book: Book) -> Iterator[tuple[Asked, list[Sent]]]:
    by_call = book.by_call()
    return ((asked, by_call[asked.id]) for asked in book.asked)
