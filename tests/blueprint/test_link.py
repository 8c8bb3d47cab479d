"""Names in one section that must be there in another."""

from __future__ import annotations

import pytest

from outlast.blueprint.link import Names, components, components_max
from outlast.blueprint.load import parse
from outlast.blueprint.schema import Blueprint
from outlast.blueprint.service import Service
from outlast.kernel.error import ConfigurationError


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode())
    return str(caught.value)


REGIONS = "regions: {home: {aws: eu-central-1}, standby: {aws: eu-west-1}, third: {}}\n"
STORE = "stores: {docs: {kind: blobs}}\n"


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("agents: {a: {needs: {b: hard}}}", "1:22", "agents.a.needs.b names b, which is not a component of this file"),
        ("agents: {a: {needs: {jurnal: hard}}}", "1:22", "did you mean 'journal'?"),
        ("agents: {a: {needs: {a: hard}}}", "1:22", "agents.a.needs.a is itself"),
        (
            "models: {a: {endpoints: [{name: e, bedrock: x}]}}\nagents: {b: {needs: {a: soft}}, a: {}}",
            "2:22",
            "could be agents.a or models.a",
        ),
        ("agents: {a: {needs: {journal: {cache: {max_age: 1m, store: answers}}}}}", "1:53", "not one of stores"),
        (
            "agents: {a: {class: live}}",
            "1:14",
            "agents.a.class names live, which is not one of objectives",
        ),
        ("objectives: {live: {}}\nagents: {a: {class: life}}", "2:14", "did you mean 'live'?"),
        ("services: {a: {kind: api, class: live}}", "1:27", "services.a.class names live"),
        ("load: {live: {steady: 1/s}}", "1:8", "load.live names live, which is not one of objectives"),
        ("drills: {load: {live: 1/s}}", "1:17", "drills.load.live names live"),
        ("objectives: {live: {}}\ndrills: {stop_if: {life_errors: 1%}}", "2:20", "did you mean 'live_errors'?"),
        ("agents: {a: {regions: [home]}}", "1:24", "agents.a.regions[0] names home, which is not one of regions"),
        (f"{REGIONS}agents: {{a: {{regions: [eu-north-1, thrid]}}}}", "2:36", "did you mean 'third'?"),
        (f"{STORE}training: {{t: {{data: dogs}}}}", "2:16", "training.t.data names dogs, which is not one of stores"),
        (f"{STORE}training: {{t: {{data: docs, checkpoints: x}}}}", "2:28", "names x, which is not one of stores"),
        (f"{STORE}training: {{t: {{data: docs, serves: x}}}}", "2:28", "names x, which is not one of models"),
        ("stores: {a: {kind: vector, from: b}}", "1:28", "stores.a.from names b, which is not a component"),
        ("stores: {a: {kind: vector, from: a}}", "1:28", "stores.a.from is itself"),
        ("backup: {a: {}}", "1:10", "backup.a names a, which is not one of stores: known: journal"),
        ("backup: {journal: {copies: [vault, standby]}}", "1:36", "which is not one of regions, nor vault"),
        (
            "models: {w: {endpoints: [{name: e, bedrock: x, from: home}]}}",
            "1:48",
            "not one of regions, nor each_region",
        ),
        ("alarms: {a: {slo: live.availability, burn_rate: [2x over 1h]}}", "1:14", "names live"),
        (
            "objectives: {live: {availability: 99%}}\nalarms: {a: {slo: live.turn_p99, burn_rate: [2x over 1h]}}",
            "2:14",
            "objectives.live does not promise turn_p99 (it promises availability)",
        ),
        ("alarms: {a: {metric: m, above: 1, page: me}}", "1:35", "alarms.a.page names me, which is not one of escal"),
        ("alarms: {a: {all: [b]}}", "1:20", "alarms.a.all[0] names b, which is not one of alarms"),
        ("alarms: {a: {any: [a]}}", "1:20", "alarms may not go in a circle"),
        ("alarms: {a: {any: [b]}, b: {all: [c]}, c: {any: [a]}}", "1:20", "b, which waits for a itself"),
        ("deploy: {order: [home]}", "1:18", "deploy.order[0] names home, which is not one of regions"),
        ("deploy: {roll_back_on: [a]}", "1:25", "deploy.roll_back_on[0] names a, which is not one of alarms"),
        ("run_on: {local: {orders: postgres}}", "1:18", "run_on.local.orders names orders, which is not one of stores"),
        ("run_on: {local: {jurnal: sqlite}}", "1:18", "did you mean 'journal'?"),
    ],
)
def test_a_name_that_is_nothings_is_refused_where_it_stands(text: str, where: str, problem: str) -> None:
    found = refused(text)
    assert found.startswith(f"outlast.yaml:{where}: ")
    assert problem in found


def test_of_two_with_the_same_name_one_is_meant_by_its_section() -> None:
    blueprint = parse(
        b"models: {a: {endpoints: [{name: e, bedrock: x}]}}\nagents: {a: {needs: {models.a: hard, journal: hard}}}"
    )
    names = Names(blueprint)
    assert names.resolve("models.a") == "models.a"
    assert names.resolve("a") is None
    assert names.resolve("journal") == "stores.journal"


def test_every_component_has_a_path_and_the_journal_is_always_one() -> None:
    assert list(components(Blueprint())) == ["stores.journal"]
    blueprint = parse(b"services: {b: {kind: api}}\nqueues: {c: {}}\nexternal: {d: {}}\nagents: {a: {}}")
    assert list(components(blueprint)) == ["agents.a", "services.b", "stores.journal", "queues.c", "external.d"]


def test_more_components_than_the_bound_are_refused() -> None:
    lines = "\n".join(f"  s{index}: {{kind: api}}" for index in range(components_max))
    assert f"has {components_max + 1} components, the bound components_max is" in refused(f"services:\n{lines}")
    assert isinstance(parse(f"services:\n{lines.rpartition(chr(10))[0]}".encode()).services["s7"], Service)


def test_an_error_lists_no_more_than_a_screen_of_names() -> None:
    lines = "\n".join(f"  s{index}: {{kind: api}}" for index in range(100))
    assert len(refused(f"services:\n{lines}\nagents: {{a: {{needs: {{zzz: hard}}}}}}")) < 500
