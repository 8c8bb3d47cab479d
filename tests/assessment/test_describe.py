"""A blueprint as a system."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.assessment.edge import Edge
from outlast.assessment.system import System
from tests.assessment.blueprints import system_of

TEXT = """\
objectives: {live: {}}
regions:
  strategy: warm_standby
  residency: eu
  home: {aws: eu-central-1, zones: 3}
  standby: {aws: eu-west-1, zones: 2, running: 50%}
  edge: {host: a.example.com}
agents:
  helper:
    workers: {min: 5, max: 9}
    needs: {writer: hard, orders: {strength: soft, timeout: 300ms, retry: {attempts: 3, budget: 10%}}, logs: soft}
  reader: {reads: {queue: inbox}}
models:
  writer:
    endpoints: [{name: big, bedrock: eu.a.one-v1, from: each_region, quota: 60/m}, {name: own, sagemaker: own, min: 2}]
    fallback: {name: small, bedrock: global.a.two-v1}
stores:
  journal: {aws: dynamodb, across_regions: eventual}
  orders: {kind: sql, data: critical, aws: aurora, standbys: 2, on_loss: wait}
queues: {inbox: {aws: sqs}}
services: {logs: {kind: log}}
"""


def edge(system: System, source: str, target: str) -> Edge:
    return next(one for one in system.edges if (one.source, one.target) == (source, target))


def test_workers_are_spread_over_the_zones_of_each_region() -> None:
    home, standby = system_of(TEXT).components["helper"].sites
    assert (home.region, home.zones, home.instances) == (
        "eu-central-1",
        ("eu-central-1a", "eu-central-1b", "eu-central-1c"),
        5,
    )
    assert (standby.zones, standby.standby, standby.running) == (("eu-west-1a", "eu-west-1b"), True, 0.5)


def test_services_of_a_whole_region_are_in_no_zone() -> None:
    assert all(site.zones == () for site in system_of(TEXT).components["journal"].sites)


def test_a_need_is_an_edge_with_its_time_out_and_retries() -> None:
    found = edge(system_of(TEXT), "helper", "orders")
    assert (found.hard, found.retries, found.retry_budget, found.backoff) == (False, 2, 0.1, False)
    assert found.timeout_s is not None
    assert (found.timeout_s.value, found.timeout_s.source) == (0.3, "declared")
    assert (found.place.line, str(found.place)) == (11, "agents.helper.needs.orders")


def test_every_agent_needs_the_journal_and_its_queue() -> None:
    system = system_of(TEXT)
    assert edge(system, "helper", "journal").hard
    assert not edge(system, "reader", "inbox").synchronous
    assert system.components["inbox"].queue is not None
    assert system.components["inbox"].queue.dead_letters  # the reader gives up after five tries


def test_endpoints_are_alternatives_and_the_fallback_a_lesser_one() -> None:
    system = system_of(TEXT)
    assert edge(system, "writer", "writer.big").any_of == edge(system, "writer", "writer.small").any_of
    assert edge(system, "writer", "writer.small").degrades
    assert system.components["writer.small"].processes_in == ("global",)
    assert system.components["writer.big"].quota_standby is not None


def test_clients_come_over_the_edge_to_what_no_queue_feeds() -> None:
    assert [one.target for one in system_of(TEXT).edges if one.source == "edge"] == ["helper"]


def test_the_only_class_is_that_of_every_agent() -> None:
    assert system_of(TEXT).components["helper"].classes == ("live",)


def test_a_system_without_objectives_still_has_a_class_of_work() -> None:
    from outlast.assessment.graph import Graph

    found = Graph(system_of("services: {web: {kind: api, needs: {db: hard}}}\nstores: {db: {kind: sql}}\n"))
    assert found.entries == {"all": ("web",)}
    assert set(found.system.components) == {"web", "db"}  # no agents: nothing writes a journal


def test_names_that_two_sections_have_are_told_apart_by_their_paths() -> None:
    system = system_of("services: {orders: {kind: api, needs: {stores.orders: hard}}}\nstores: {orders: {kind: sql}}\n")
    assert set(system.components) == {"services.orders", "stores.orders"}
    assert edge(system, "services.orders", "stores.orders")


def test_the_blueprints_of_the_examples_are_described() -> None:
    for file in sorted(Path("examples").glob("*/outlast.yaml")):
        assert system_of(file.read_text(encoding="utf-8")).components


def test_regions_that_serve_and_say_no_share_take_equal_parts_of_what_is_left() -> None:
    regions = "home: {aws: eu-central-1}, b: {aws: eu-west-1, share: 40%}, c: {aws: eu-north-1}"
    text = f"regions: {{strategy: active_active, {regions}}}\n"
    assert [region.share for region in system_of(text).regions] == [pytest.approx(0.3), 0.4, pytest.approx(0.3)]
    alone = "regions: {strategy: warm_standby, home: {aws: eu-central-1}, standby: {aws: eu-west-1}}\n"
    assert [region.share for region in system_of(alone).regions] == [1.0, 0.0]
