"""How sections are read: in full, as one value, and with names of the writer's own."""

from __future__ import annotations

import pytest

from outlast.blueprint.component import Need, NeedCache, Redundancy, Retry
from outlast.blueprint.load import parse
from outlast.blueprint.region import Failover, Region
from outlast.blueprint.store import AcrossRegions
from outlast.kernel.error import ConfigurationError


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode())
    return str(caught.value)


def test_a_need_is_one_word_or_says_how_it_is_called() -> None:
    service = parse(b"""
services:
  shop:
    kind: api
    redundancy: 3
    needs:
      journal: soft
      pay: {strength: hard, mode: asynchronous, timeout: 4s, retry: {attempts: 3, budget: 10%}, cache: 10m, calls: 2}
      ship: {retry: 2, cache: {max_age: 1h, store: journal}, on_loss: skip}
external: {pay: {}, ship: {}}
""").services["shop"]
    assert service.redundancy == Redundancy(3)
    assert service.needs == {
        "journal": Need("soft"),
        "pay": Need("hard", "asynchronous", 4.0, Retry(3, 0.1), NeedCache(600.0), 2.0),
        "ship": Need(retry=Retry(2), cache=NeedCache(3600.0, "journal"), on_loss="skip"),
    }


def test_what_is_one_value_is_refused_as_one_value() -> None:
    assert "agents.a.needs.journal: 'maybe' found, expected hard or soft" in refused(
        "agents: {a: {needs: {journal: maybe}}}"
    )
    assert "agents.a.needs.journal is empty" in refused("agents: {a: {needs: {journal: }}}")
    assert "agents.a.needs.journal is a list, expected keys and values" in refused(
        "agents: {a: {needs: {journal: [hard]}}}"
    )
    assert "unknown key 'stength' in agents.a.needs.journal: did you mean 'strength'?" in refused(
        "agents: {a: {needs: {journal: {stength: hard}}}}"
    )


def test_regions_and_stores_have_names_of_ones_own_beside_the_known_ones() -> None:
    blueprint = parse(b"""
regions:
  home: {aws: eu-central-1}
  frankfurt2: {aws: eu-central-2, journal_only: true}
  failover: automatic
stores:
  journal: {across_regions: strong}
  orders: {kind: sql, across_regions: {within: 5s}}
""")
    assert blueprint.regions is not None
    assert blueprint.regions.more == {"frankfurt2": Region("eu-central-2", journal_only=True)}
    assert list(blueprint.regions.all()) == ["home", "frankfurt2"]
    assert blueprint.regions.failover == Failover("automatic")
    assert blueprint.stores.journal.across_regions == AcrossRegions("strong")
    assert blueprint.stores.more["orders"].across_regions == AcrossRegions("eventual", 5.0)


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("regions: {home: {}, stratgy: x}", "1:21", "unknown key 'stratgy' in regions: did you mean 'strategy'?"),
        ("stores: {jurnal: sqlite}", "1:10", "unknown key 'jurnal' in stores: did you mean 'journal'?"),
        ("stores: {orders: {aws: s3}}", "1:18", "stores.orders lacks kind: expected kind"),
        ("stores: {orders: {kind: sequel}}", "1:25", "stores.orders.kind: 'sequel' found, expected journal or sql"),
        ("stores: {'a b': {kind: sql}}", "1:10", "stores name 'a b' is not valid"),
        ("stores: {a: {kind: sql}, a: {kind: sql}}", "1:26", "key 'a' stands twice in stores"),
        ("drills: {load: {for: 1m, live: fast}}", "1:32", "drills.load.live: rate 'fast' is not understood"),
        ("objectives: {l: {survive: {zone: {rto: 5}}}}", "1:40", "5 has no unit: write for example 5s"),
        ("objectives: {l: {survive: {zoned: {rto: 5s}}}}", "1:28", "did you mean 'zone'?"),
    ],
)
def test_a_slip_is_not_taken_for_a_name(text: str, where: str, problem: str) -> None:
    found = refused(text)
    assert found.startswith(f"outlast.yaml:{where}: ")
    assert problem in found
