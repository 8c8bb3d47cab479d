"""Rules judge each component and each class of work for itself: what watches one does not watch another."""

from __future__ import annotations

import pytest

from outlast.assessment.finding import Finding
from outlast.assessment.precaution import Evidence
from outlast.kernel.error import ConfigurationError
from tests.assessment.blueprints import NOW, assessment_of

QUEUES = """
objectives: {live: {survive: {zone: {rto: 5m}}}}
regions: {home: {aws: eu-central-1}}
agents:
  sorter: {class: live, reads: {queue: mail}}
  filer: {class: live, reads: {queue: papers}}
queues: {mail: {aws: sqs}, papers: {aws: sqs}}
escalation: {oncall: [{to: "page:first"}]}
"""
REGIONS = """
objectives:
  live: {survive: {region: {rto: 5m, rpo: 5s}}}
  batch: {survive: {zone: {rto: 1h}}}
regions:
  strategy: warm_standby
  home: {aws: eu-central-1}
  standby: {aws: eu-west-1}
agents:
  helper: {class: live, needs: {orders: hard, journal: hard}}
  counter: {class: batch, needs: {numbers: hard}}
stores:
  journal: {aws: dynamodb, across_regions: eventual}
  orders: {kind: sql, data: critical, aws: aurora_global}
  numbers: {kind: key_value, data: eventual, aws: dynamodb, across_regions: eventual}
"""


def found(rule: str, text: str, *evidence: Evidence) -> list[Finding]:
    return [one for one in assessment_of(text, evidence).findings if one.rule == rule]


def subjects(rule: str, text: str, *evidence: Evidence) -> set[str]:
    return {one.subject for one in found(rule, text, *evidence)}


def alarms(*entries: str) -> str:
    return "alarms:\n" + "".join(f"  {entry}\n" for entry in entries)


@pytest.mark.parametrize(
    ("alarm", "left"),
    [
        ("a: {metric: queue_age, of: [mail], above: 5m}", {"papers"}),
        ("a: {metric: queue_age, of: [mail, papers], above: 5m}", set[str]()),
        ("a: {metric: queue_age, above: 5m}", {"mail", "papers"}),  # of which of them?
        ("a: {metric: papers.queue_depth, above: 100}", {"mail"}),
        ("a: {metric: mail_queue_age, above: 5m}", {"papers"}),
        ("a: {metric: storage_usage, of: [mail], above: 80%}", {"mail", "papers"}),  # "age" is a part of words
    ],
)
def test_an_alarm_on_one_queue_does_not_watch_the_other(alarm: str, left: set[str]) -> None:
    assert subjects("OL-OBS-004", QUEUES + alarms(alarm)) == left


def test_an_alarm_on_the_only_queue_need_not_name_it() -> None:
    text = QUEUES.replace(", papers: {aws: sqs}", "").replace("  filer: {class: live, reads: {queue: papers}}\n", "")
    assert subjects("OL-OBS-004", text) == {"mail"}
    assert not found("OL-OBS-004", text + alarms("a: {metric: queue_age, above: 5m}"))


@pytest.mark.parametrize(
    ("alarm", "left"),
    [
        ("a: {metric: replication_lag, of: [orders], above: 4s}", {"journal"}),
        ("a: {metric: replication_lag, of: [orders, journal], above: 4s}", set[str]()),
        ("a: {metric: flag_changes, of: [orders, journal], above: 4}", {"journal", "orders"}),
    ],
)
def test_an_alarm_on_the_lag_of_one_store_does_not_watch_the_other(alarm: str, left: set[str]) -> None:
    assert subjects("OL-OBS-003", REGIONS + alarms(alarm)) == left


def test_a_store_whose_classes_promise_nothing_for_a_region_need_not_be_watched() -> None:
    assert "numbers" not in subjects("OL-OBS-003", REGIONS)


def test_an_alarm_on_latency_does_not_follow_the_availability() -> None:
    text = """
objectives: {live: {availability: 99.9%, latency: {turn_p99: 20s}}}
agents: {helper: {class: live}}
"""
    assert subjects("OL-OBS-001", text) == {"live"}
    slow = "slow: {slo: live.turn_p99, burn_rate: [14x over 1h]}"
    assert subjects("OL-OBS-001", text + alarms(slow)) == {"live"}
    assert not found("OL-OBS-001", text + alarms("down: {slo: live.availability, burn_rate: [14x over 1h]}"))


LATE = """
objectives: {live: {availability: 99.9%, survive: {region: {rto: 1h}, dependency: {rto: 1m}}}}
agents: {helper: {class: live, needs: {pay: hard}}}
external: {pay: {}}
escalation: {oncall: [{to: "page:first"}]}
"""
SLOW = "slow: {slo: live.availability, burn_rate: [6x over 6h], page: oncall}"  # 130 s of a full outage
FAST = "fast: {slo: live.availability, burn_rate: [14x over 1h], page: oncall}"  # 50 s


def test_an_alarm_is_held_against_the_shortest_promise_that_people_keep() -> None:
    assert subjects("OL-OBS-005", LATE + alarms(SLOW)) == {"slow"}


def test_what_needs_nobody_needs_no_alarm_in_time() -> None:
    assert not found("OL-OBS-005", LATE.replace("pay: hard", "pay: {strength: soft, on_loss: skip}") + alarms(SLOW))
    tight = LATE.replace("pay: hard", "pay: soft").replace("region: {rto: 1h}", "region: {rto: 90s}")
    assert subjects("OL-OBS-005", tight + alarms(SLOW)) == {"slow"}
    automatic = """
regions:
  {strategy: warm_standby, home: {aws: eu-central-1}, standby: {aws: eu-west-1}, edge: {host: a.example.com},
   failover: {mode: automatic}}
"""
    assert not found("OL-OBS-005", tight + automatic + alarms(SLOW))


def test_a_slow_alarm_beside_a_fast_one_is_no_weakness() -> None:
    assert not found("OL-OBS-005", LATE + alarms(SLOW, FAST))
    assert subjects("OL-OBS-005", LATE + alarms(SLOW, FAST.replace(", page: oncall", ""))) == {"slow"}


def test_what_an_alarm_is_of_must_be_there() -> None:
    with pytest.raises(ConfigurationError, match=r"alarms\.a\.of\[0\] names mial.*did you mean 'mail'"):
        assessment_of(QUEUES + alarms("a: {metric: queue_age, of: [mial], above: 5m}"))
    with pytest.raises(ConfigurationError, match="only an alarm on a metric has"):
        assessment_of(LATE + alarms("a: {slo: live.availability, burn_rate: [14x over 1h], of: [helper]}"))


def test_a_drill_of_one_class_is_no_evidence_for_another() -> None:
    text = """
objectives: {live: {survive: {zone: {rto: 5m}}}, batch: {survive: {zone: {rto: 1h}}}}
agents: {helper: {class: live}, counter: {class: batch}}
"""
    of_batch = Evidence(drill="zone-off", at=NOW, passed=True, disruption="zone", work="batch", rto_s=5)
    (finding,) = found("OL-EVI-001", text, of_batch)
    assert finding.reason.startswith("live promises to survive zone")
    of_all = Evidence(drill="zone-off", at=NOW, passed=True, disruption="zone", rto_s=5)
    assert not found("OL-EVI-001", text, of_all)


def test_a_name_that_is_asked_in_one_region_stands_in_no_zone_of_it() -> None:
    text = """
objectives: {live: {survive: {node: {rto: 1m}, zone: {rto: 1m}}}}
regions: {home: {aws: eu-central-1}}
agents: {helper: {class: live, workers: {min: 4, zones: 2}, needs: {writer: hard, pay: hard}}}
models: {writer: {regions: [home], endpoints: [{name: a, bedrock: eu.a.one-v1}]}}
external: {pay: {regions: [home]}}
stores: {journal: {aws: dynamodb}}
"""
    assert not subjects("OL-REC-001", text) | subjects("OL-REC-002", text) | subjects("OL-AVL-002", text)


def test_a_gateway_that_its_provider_keeps_within_a_zone_is_lost_with_the_zone_alone() -> None:
    text = """
objectives: {live: {survive: {node: {rto: 1m}, zone: {rto: 1m}}}}
regions: {home: {aws: eu-central-1}}
services:
  web: {kind: container, aws: fargate, class: live, redundancy: {instances: 3, zones: 3}, needs: {way: hard}}
  way: {kind: nat, aws: nat, redundancy: {instances: 1, zones: 1}}
"""
    assert not subjects("OL-REC-001", text) | subjects("OL-AVL-001", text)
    assert subjects("OL-AVL-002", text) == {"way"}
    assert subjects("OL-REC-002", text) == {"live.zone.rto"}


def test_a_thousand_million_instances_take_no_longer_than_three() -> None:
    text = """
objectives: {live: {availability: 99.9%, survive: {zone: {rto: 5m}}}}
load: {live: {steady: 5/s, peak: 9/s}}
regions: {home: {aws: eu-central-1}}
services:
  web: {kind: api, class: live, capacity: 1/s, redundancy: {instances: 1000000000, needed: 900000000, zones: 3}}
"""
    assert subjects("OL-LOD-004", text) == {"web"}
