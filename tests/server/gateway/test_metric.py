"""Metrics and refusals as text."""

from __future__ import annotations

import json
import re

from outlast.server.gateway import metric
from outlast.server.gateway.metric import Counter, Histogram, Metrics
from outlast.server.gateway.refusal import Refusal


def test_a_histogram_counts_cumulatively_up_to_infinity() -> None:
    histogram = Histogram("h_seconds", "How long.", ("model",), (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 9.0):
        histogram.observe(("a",), value)
    assert list(histogram.lines())[2:] == [
        'h_seconds_bucket{model="a",le="0.1"} 2',
        'h_seconds_bucket{model="a",le="1"} 3',
        'h_seconds_bucket{model="a",le="+Inf"} 4',
        'h_seconds_sum{model="a"} 9.65',
        'h_seconds_count{model="a"} 4',
    ]


def test_labels_are_escaped() -> None:
    counter = Counter("c_total", "Things.", ("model",))
    counter.add(('a"b\\c\nd',))
    assert list(counter.lines())[-1] == r'c_total{model="a\"b\\c\nd"} 1'


def test_labels_do_not_fill_the_memory() -> None:
    counter = Counter("c_total", "Things.", ("model",))
    histogram = Histogram("h", "Sizes.", ("model",), (1.0,))
    for number in range(metric.series_max + 50):
        counter.add((str(number),))
        histogram.observe((str(number),), 1.0)
    assert counter.values[("other",)] == 50
    assert len(counter.values) == metric.series_max + 1
    assert 'h_count{model="other"} 50' in list(histogram.lines())


def test_every_line_is_one_that_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.duration.observe(("chat", "writer", ""), 0.2)
    metrics.requests.add(("/livez", "200"))
    sample = re.compile(r'[a-z_:]+(\{([a-z_]+="(\\.|[^"\\\n])*",?)*\})? [0-9.e+-]+\Z')
    for line in metrics.lines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.match(line), line


def test_a_refusal_speaks_the_language_of_its_client() -> None:
    refusal = Refusal(429, "overloaded", "too much", retry_after_s=1.2, param="model")
    assert json.loads(refusal.body("openai"))["error"] == {
        "message": "too much",
        "type": "rate_limit_error",
        "code": "overloaded",
        "param": "model",
    }
    assert json.loads(refusal.body("anthropic"))["error"]["type"] == "rate_limit_error"
    assert refusal.headers() == b"Retry-After: 2\r\n"
    assert Refusal(405, "method", "no", allow=b"GET").headers() == b"Allow: GET\r\n"
