"""Numbers about requests, and the text that Prometheus reads (exposition format 0.0.4), written by hand.

By hand because it is on the hot path and in the start: an observation here is a bisection and an addition, and nothing
is imported. Names and buckets are those of OpenTelemetry's semantic conventions for generative AI (gen_ai.*), spelled
as Prometheus spells them: dots to underscores, the unit at the end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

Labels = tuple[str, ...]

duration_buckets = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds; of gen_ai.client.operation.duration and gen_ai.server.request.duration."""
first_token_buckets = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Seconds; of gen_ai.server.time_to_first_token."""
per_token_buckets = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
"""Seconds; of gen_ai.server.time_per_output_token."""
token_buckets = tuple(4**power for power in range(14))
"""Tokens; of gen_ai.client.token.usage."""
series_max = 2000
"""Series of one metric; what comes beyond is counted under ``other``: labels must not fill the memory."""


class Counter:
    """A number that grows, for each set of labels."""

    def __init__(self, name: str, help: str, labels: Sequence[str]) -> None:
        self.name = name
        self.help = help
        self.labels = tuple(labels)
        self.values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Count."""
        values = self.values
        if labels not in values and len(values) >= series_max:
            labels = ("other",) * len(labels)
        values[labels] = values.get(labels, 0) + amount

    def lines(self) -> Iterable[str]:
        """As text."""
        return family(self.name, self.help, "counter", self.labels, self.values.items())


class _Series:
    __slots__ = ("counts", "sum")

    def __init__(self, size: int) -> None:
        self.counts = [0] * (size + 1)
        self.sum = 0.0


class Histogram:
    """How large something was, for each set of labels."""

    def __init__(self, name: str, help: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self.name = name
        self.help = help
        self.labels = tuple(labels)
        self.buckets = tuple(buckets)
        self._series: dict[Labels, _Series] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """Count one value."""
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= series_max:
                labels = ("other",) * len(labels)
            series = self._series.setdefault(labels, _Series(len(self.buckets)))
        series.counts[bisect_left(self.buckets, value)] += 1
        series.sum += value

    def lines(self) -> Iterable[str]:
        """As text."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} histogram"
        for labels, series in self._series.items():
            shown = _shown(self.labels, labels)
            comma = "," if shown else ""
            total = 0
            for bound, count in zip(self.buckets, series.counts, strict=False):
                total += count
                yield f'{self.name}_bucket{{{shown}{comma}le="{bound:g}"}} {total}'
            total += series.counts[-1]
            braces = f"{{{shown}}}" if shown else ""
            yield f'{self.name}_bucket{{{shown}{comma}le="+Inf"}} {total}'
            yield f"{self.name}_sum{braces} {series.sum:.9g}"
            yield f"{self.name}_count{braces} {total}"


def family(
    name: str, help: str, kind: str, names: Sequence[str], values: Iterable[tuple[Labels, float]]
) -> Iterable[str]:
    """One metric as text: ``counter`` or ``gauge``."""
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values:
        shown = _shown(names, labels)
        yield f"{name}{{{shown}}} {value:.15g}" if shown else f"{name} {value:.15g}"


def _shown(names: Sequence[str], labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, labels, strict=True))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Metrics:
    """What the gateway counts about requests. What pools count is read from them when it is asked for."""

    def __init__(self) -> None:
        operation = ("gen_ai_operation_name", "gen_ai_request_model", "error_type")
        self.duration = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "From the arrival of a request to the end of its answer.",
            operation,
            duration_buckets,
        )
        self.first_token = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From the arrival of a request to its first content; of a JSON answer, to the whole.",
            operation[:2],
            first_token_buckets,
        )
        self.per_token = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Mean time between two pieces of content of a stream, after the first.",
            operation[:2],
            per_token_buckets,
        )
        self.tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of prompts and answers, where the endpoint told them.",
            ("gen_ai_operation_name", "gen_ai_request_model", "gen_ai_token_type"),
            token_buckets,
        )
        self.requests = Counter(
            "outlast_gateway_requests_total", "Requests answered, by path and status.", ("path", "status")
        )
        self.refused = Counter(
            "outlast_pool_refused_total", "Requests refused by the gateway or a pool, by reason.", ("model", "reason")
        )
        self.degraded = Counter(
            "outlast_pool_degraded_total", "Answers that another model than the one asked for gave.", ("model",)
        )
        self.interrupted = Counter(
            "outlast_pool_interrupted_total", "Answers that broke off after their first content.", ("model",)
        )
        account = ("key", "gen_ai_request_model")
        self.key_requests = Counter(
            "outlast_gateway_key_requests_total", "Requests, by the key that they came with.", account
        )
        self.key_tokens = Counter(
            "outlast_gateway_key_tokens_total",
            "Tokens, by the key that they are counted against; estimated where no endpoint told them.",
            account,
        )
        self.gone = Counter("outlast_gateway_clients_gone_total", "Clients that left before their answer.", ("path",))

    def lines(self) -> Iterable[str]:
        """As text."""
        for metric in (
            self.duration, self.first_token, self.per_token, self.tokens, self.requests, self.refused, self.degraded,
            self.interrupted, self.key_requests, self.key_tokens, self.gone,
        ):  # fmt: skip
            yield from metric.lines()
