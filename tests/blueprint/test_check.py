"""What must hold between the values of one section."""

from __future__ import annotations

import pytest

from outlast.blueprint.load import parse
from outlast.kernel.error import ConfigurationError


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("workers: {min: 3, max: 2}", "workers has max 2, which is less than min 3"),
        ("services: {a: {kind: api, redundancy: {instances: 2, needed: 3}}}", "has needed 3 of 2 instances"),
        ("services: {a: {kind: api, redundancy: {instances: 2, max: 1}}}", "has max 1, which is less than instances 2"),
        ("objectives: {l: {}}\nload: {l: {steady: 2/s, peak: 1/s}}", "load.l has a peak that is less than steady"),
        ("queues: {q: {sqs: 'https://s/q'}}", "queues.q lacks dead_letters"),
        ("queues: {q: {dead_letters: 'https://s/q'}}", "queues.q lacks sqs"),
        ("regions: {standby: {}}", "regions lacks home: expected home"),
        ("regions: {home: {share: 60%}, standby: {share: 50%}}", "regions has shares of 110% together"),
        ("regions: {home: {}, strategy: active_active}", "has strategy active_active and only one region"),
        ("alarms: {a: {page: x}}", "has none of them: expected one of slo, metric, all and any"),
        ("alarms: {a: {slo: l.availability, metric: m}}", "has slo and metric: expected one of"),
        ("alarms: {a: {metric: m}}", "has a metric and no bound: write above, below or outside"),
        ("alarms: {a: {all: [b], above: 3s}}", "has above, which only an alarm on a metric has"),
        ("alarms: {a: {slo: l.availability}}", "has slo and no burn_rate"),
        ("alarms: {a: {metric: m, above: 1, burn_rate: [2x over 1h]}}", "has a burn_rate without slo"),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode())
    assert problem in str(caught.value)
