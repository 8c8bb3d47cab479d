"""What is left out of the bytes is said here: it must mean the same for ever."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from outlast.agent import event as ev
from outlast.journal.chain import genesis
from outlast.journal.record import make_append
from outlast.journal.stream import StoredRecord

LEFT_OUT: dict[str, dict[str, Any]] = {
    "run.created 1": {"session": "", "key": "", "parent": "", "parent_place": "", "continued_from": ""},
    "run.claimed 1": {"solo": False},
    "run.held 1": {"place": "", "mail": 0, "seen": 0},
    "run.completed 1": {"session": None},
    "run.failed 1": {"place": "", "name": "", "attempt": 0},
    "step.doubted 1": {"error": None},
    "step.cleared 1": {"mail": 0},
    "step.done 1": {"kind": "tool", "attempt": 1, "by": "call", "mail": 0, "tokens": 0, "usd": 0.0, "uses": ()},
    "step.failed 1": {"kind": "tool", "attempt": 1, "by": "call", "mail": 0, "uses": ()},
    "mail.resolve 1": {"attempt": 0},
    "mail.lost 1": {"worker": "", "cause": "failover"},
    "run.lost 1": {"worker": "", "cause": "failover"},
}
UNIONS = (ev.RunEvent, ev.Mail, ev.SessionEvent, ev.AgentEvent)
MEMBERS = {member.__struct_config__.tag: member for union in UNIONS for member in union.__args__}


@pytest.mark.parametrize("tag", sorted(MEMBERS))
def test_a_default_never_changes_within_a_version(tag: str) -> None:
    member = MEMBERS[tag]
    made = {
        field.name: field.default
        for field in msgspec.structs.fields(member)
        if not field.required and field.name != "v"
    }
    assert member.__struct_config__.omit_defaults
    assert made == LEFT_OUT.get(f"{tag} {member_version(member)}", {})


def member_version(member: Any) -> int:
    return next(field.default_factory() for field in msgspec.structs.fields(member) if field.name == "v")


def test_a_field_that_a_later_release_has_added_is_read_past() -> None:
    stream = "run/r@0.local.abc"
    body = make_append(stream, genesis(stream), "id", 1.0, [ev.RunReleased("w")]).body
    later = body.replace(b'"worker":"w"', b'"worker":"w","added":{"later":[1]}')
    assert later != body
    read = ev.RUN.read(stream, StoredRecord(1, 1, later, bytes(32)))
    assert read.events == [ev.RunReleased("w")]
