from __future__ import annotations

import asyncio

import pytest

from outlast.journal.stream import Head
from outlast.kernel.error import StoreCorrupt
from outlast.simulation.anchor import SimAnchors

HEAD = Head(3, b"x" * 32)


def test_damaged_anchors_take_nothing_and_give_nothing() -> None:
    anchors = SimAnchors()
    asyncio.run(anchors.note([("s", HEAD)]))
    assert asyncio.run(anchors.all()) == {"s": HEAD}
    assert anchors.heads() == {"s": (3, b"x" * 32)}
    anchors.damaged = True
    for call in (lambda: anchors.note([("s", HEAD)]), anchors.all):
        with pytest.raises(StoreCorrupt, match="damaged"):
            asyncio.run(call())
    assert anchors.heads() == {}


def test_a_damaged_file_is_put_aside_and_begun_anew_and_a_whole_one_is_kept() -> None:
    anchors = SimAnchors()
    asyncio.run(anchors.note([("s", HEAD)]))
    anchors.renew()
    assert asyncio.run(anchors.all()) == {"s": HEAD}
    anchors.damaged = True
    anchors.renew()
    assert (asyncio.run(anchors.all()), anchors.renewals) == ({}, 1)
