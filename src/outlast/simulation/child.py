"""A process that simulates what it is told: one Case a line on its standard input, one Outcome a line back."""

from __future__ import annotations

import contextlib
import gc
import sys
import time
import warnings

import msgspec

from outlast.adapters.host.output import print_whole
from outlast.simulation.catalog import match, read_faults, read_workload
from outlast.simulation.data import Workload
from outlast.simulation.mischief import Act
from outlast.simulation.mutant import find
from outlast.simulation.pool.run import run_pool
from outlast.simulation.result import Result
from outlast.simulation.run import run_seed


class Case(msgspec.Struct, frozen=True):
    """One simulation to run: which seed, workload and faults (names or ``.json`` files), under which mutant ("": none).

    `acts` replaces the schedule that the seed draws; `trace` asks for the trace of a clean one too.
    """

    seed: int
    workload: str
    faults: str
    mutant: str = ""
    acts: list[Act] | None = None
    trace: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What came of a Case, and how many seconds of processor it took."""

    result: Result
    cpu_s: float


def simulate(case: Case) -> Outcome:
    """Run one case in this process. Raises ConfigurationError for a workload, faults or mutant that is not there."""
    match(case.workload, case.faults)
    workload, faults = read_workload(case.workload), read_faults(case.faults)
    began = time.process_time()
    with find(case.mutant).on() if case.mutant else contextlib.nullcontext():
        if isinstance(workload, Workload):
            result = run_seed(case.seed, workload, faults, case.acts, trace=case.trace)
        else:
            result = run_pool(case.seed, workload, faults, case.acts, trace=case.trace)
    return Outcome(result, time.process_time() - began)


def main() -> None:
    """Serve until standard input ends."""
    print_whole()
    warnings.simplefilter("ignore")  # coroutines of crashed nodes were never awaited: that is the point
    gc.freeze()  # what is imported stays: each collection after a simulation need not look through it
    decoder, encoder = msgspec.json.Decoder(Case), msgspec.json.Encoder()
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(encoder.encode(simulate(decoder.decode(line))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
