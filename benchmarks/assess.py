"""How long it takes to assess a large system: 500 components in three zones, two regions, four classes of work.

python -m benchmarks.assess [--components 500]
"""

from __future__ import annotations

import argparse
import time

from outlast.assessment.assess import assess
from outlast.assessment.describe import describe
from outlast.blueprint.load import parse_placed

per_service = 5
"""Components of one unit: two services, a store, a queue and something of others."""


def blueprint(components: int) -> str:
    """A blueprint with about so many components: units that call the next one, as services grow."""
    survive = "{zone: {rto: 5m, rpo: 0s}, region: {rto: 1h, rpo: 15m}}"
    edge = "{host: a.example}"
    lines = [
        "objectives:",
        *(f"  class{i}: {{availability: 99.9%, survive: {survive}}}" for i in range(4)),
        "load: {" + ", ".join(f"class{i}: {{steady: 5/s, peak: 50/s}}" for i in range(4)) + "}",
        f"regions: {{strategy: warm_standby, home: {{aws: eu-central-1}}, standby: {{aws: eu-west-1}}, edge: {edge}}}",
        "services:",
    ]
    units = max(1, components // per_service)
    for i in range(units):
        following = f", web{i + 1}: {{strength: soft, on_loss: skip, timeout: 2s, retry: 2}}" if i + 1 < units else ""
        lines.append(
            f"  web{i}: {{kind: api, class: class{i % 4}, redundancy: 3, needs: {{core{i}: hard{following}}}}}"
        )
        needs = (
            f"store{i}: {{timeout: 1s}}, queue{i}: {{mode: asynchronous}}, other{i}: {{strength: soft, timeout: 1s}}"
        )
        lines.append(f"  core{i}: {{kind: container, redundancy: 3, needs: {{{needs}}}}}")
    lines.append("stores:")
    lines.extend(f"  store{i}: {{kind: sql, data: critical, aws: aurora, standbys: 2}}" for i in range(units))
    lines.append("queues:")
    lines.extend(f"  queue{i}: {{aws: sqs}}" for i in range(units))
    lines.append("external:")
    lines.extend(f"  other{i}: {{on_loss: wait}}" for i in range(units))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--components", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    raw = blueprint(options.components).encode()
    for _ in range(options.rounds):
        begun = time.perf_counter()
        found, places = parse_placed(raw)
        read = time.perf_counter()
        system = describe(found, places)
        described = time.perf_counter()
        assessment = assess(system, 0.0)
        ended = time.perf_counter()
        print(
            f"{len(system.components)} components, {len(system.edges)} edges, {len(raw) / 1024:.0f} KiB: "
            f"read {read - begun:.2f} s, described {described - read:.2f} s, assessed {ended - described:.2f} s, "
            f"{len(assessment.findings)} findings"
        )


if __name__ == "__main__":
    main()
