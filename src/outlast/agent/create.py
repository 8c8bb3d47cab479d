"""Creating a run: one append to a stream of its own. The same identity and input again is the same run."""

from __future__ import annotations

import hashlib

import msgspec

from outlast.agent import event as ev
from outlast.agent.platform import Platform
from outlast.journal.blob import store_payload
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.record import make_append
from outlast.journal.stream import StreamKey
from outlast.journal.writer import Fenced, settle_append
from outlast.kernel.clock import stamp
from outlast.kernel.error import Conflict, NotFound
from outlast.kernel.identity import check_name, new_id


def run_key(platform: Platform, run: str) -> str:
    """The key of a run's stream; raises UsageError for what is no identifier."""
    return str(StreamKey("run", check_name("run", run), platform.store.lineage))


def derived_run_id(*parts: str) -> str:
    """An identifier that depends on its parts alone: the same request always names the same run."""
    return "run_" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:26]


class NewRun(msgspec.Struct, frozen=True):
    """What a run starts from. `input` is the JSON object of its arguments."""

    agent: str
    pool: str
    input: bytes
    deadline_at: float
    session: str = ""
    key: str = ""
    parent: str = ""
    parent_place: str = ""
    continued_from: str = ""


def digest_of(new: NewRun) -> str:
    """What makes two requests the same: agent, input and session."""
    return hashlib.sha256(b"\x1f".join((new.agent.encode(), new.session.encode(), new.input))).hexdigest()[:32]


async def read_created(platform: Platform, run: str) -> ev.RunCreated:
    """The first event of a run; raises NotFound."""
    key = run_key(platform, run)
    records = await platform.store.read(key, 0, 1)
    if not records:
        raise NotFound(f"run {run} does not exist")
    first = ev.RUN.read(key, records[0]).events[0]
    if not isinstance(first, ev.RunCreated):
        raise NotFound(f"run {run} does not begin with its creation")
    return first


async def create_run(platform: Platform, run: str, new: NewRun) -> bool:
    """True if it was created now, False if it was there with the same input. Raises Conflict for another input."""
    key = run_key(platform, run)
    now = stamp(platform.clock)
    payload = await store_payload(new.input, platform.blobs)
    digest = digest_of(new)
    created = ev.RunCreated(
        new.agent, payload, digest, new.pool, new.deadline_at, new.session, new.key, new.parent, new.parent_place,
        new.continued_from,
    )  # fmt: skip
    hint = HintPatch(
        run, agent=new.agent, pool=new.pool, session=new.session, parent=new.parent, state="ready", owner="",
        created_at=now, updated_at=now,
    )  # fmt: skip
    token = new_id("new", platform.clock, platform.randomness)
    append = make_append(key, genesis(key), token, now, [created], hint)
    try:
        await settle_append(platform.store, append, platform.clock, platform.settings.append_patience_s)
    except Fenced:
        there = await read_created(platform, run)
        if there.digest != digest:
            raise Conflict(
                f"run {run} exists with another input: the same idempotency key must come with the same agent, input "
                "and session"
            ) from None
        return False
    return True
