"""Restores the newest backup into a temporary store, verifies it, and keeps what was measured as evidence."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.assessment.precaution import Evidence
from outlast.blueprint.run_on import Local, RunOn
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.restoring import restore
from outlast.drill.evidence import append, evidence_file, stamped
from outlast.kernel.error import OutlastError, StoreUnavailable
from outlast.recover.catalog import Catalog
from outlast.recover.depot import Depot
from outlast.recover.trial import Trial, keep_trial

drill = "test-restore"
"""Its name in the evidence."""
_prefix = "trial-"


async def try_restore(home: Path, blueprint: Blueprint, depot: Depot) -> Trial:
    """Restore the newest backup; the result is kept in the depot and in ``.outlast/evidence.jsonl``. A restore that
    does not succeed is a result too.

    The temporary store is a SQLite one below ``.outlast``, and removed. Raises NotFound if there is no backup,
    StoreUnavailable if the depot cannot be reached.
    """
    clock, state = SystemClock(), StateDirectory(home)
    newest = (await Catalog.latest(depot)).check_found(depot)
    at, begun = clock.now(), clock.monotonic()
    state.make()
    for left in state.path.glob(f"{_prefix}*"):
        await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
    target = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=_prefix, dir=state.path))
    local = msgspec.structs.replace(blueprint, run_on=RunOn(Local(journal="sqlite")))
    try:
        outcome = await restore(depot, target, None, backup=newest.id, keys=(home, local))
        report = outcome.restored.report
        why = "; ".join(f"{flaw.damage}: {flaw.subject}: {flaw.message}" for flaw in report.flaws if flaw.grave)
        trial = Trial(
            newest.id, at, report.whole, outcome.took_s, at - newest.begun_at, report.streams, report.events, why[:1000]
        )
    except StoreUnavailable:
        raise
    except OutlastError as error:
        trial = Trial(newest.id, at, False, clock.monotonic() - begun, at - newest.begun_at, why=str(error)[:1000])
    finally:
        for directory in (target, StateDirectory(target).socket.parent):  # where paths are long, that one is elsewhere
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    await keep_trial(depot, trial)
    shown = stamped([_evidence_of(trial)], blueprint.name, home)
    await asyncio.to_thread(append, home / evidence_file, shown)
    return trial


def _evidence_of(trial: Trial) -> Evidence:
    return Evidence(
        drill=drill,
        at=trial.at,
        passed=trial.passed,
        disruption="corruption",
        subject="journal",
        rto_s=trial.took_s,
        rpo_s=trial.age_s,
    )
