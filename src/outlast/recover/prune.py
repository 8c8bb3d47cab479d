"""Removes backups that nothing asks for any more: never one that is locked, nor one that a kept backup stands on.

A full backup and those that stand on it go together. They stay as long as an instant for which they are needed is young
enough: until the next full one is older than `keep_s`. The newest stays always. Because a journal only grows, the
newest holds every instant that the older ones do; these are kept against damage, and as copies that were locked.

Blobs go a day later than the last backup that named them: one that is being taken may have found them there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from outlast.journal.blob import BlobRef
from outlast.kernel.clock import Clock
from outlast.kernel.error import NotFound, StoreCorrupt
from outlast.recover.catalog import Catalog
from outlast.recover.depot import Depot
from outlast.recover.manifest import Index, Manifest, blob_name, directory, read_index, read_pruned

keep_s = 35 * 86400.0
"""How long backups are kept if nothing is said: 35 days."""
settle_s = 86400.0
"""How long blobs outlive the last backup that named them: no backup may take longer than a day."""
_SERIES = re.compile(r"series_[0-9a-z]{22}/[0-9]{7}/")
_PRUNED = re.compile(r"pruned/([0-9]{12})\.")


class Pruned(msgspec.Struct):
    """What was removed, or would be: identifiers of backups, and how many objects; what is locked and stays."""

    backups: list[str] = []
    kept: int = 0
    objects: int = 0
    blobs: int = 0
    locked: list[str] = []
    dry_run: bool = False


def chains_of(backups: Sequence[Manifest]) -> list[list[Manifest]]:
    """Full backups with those that stand on them, oldest first. `backups` as `Catalog` sorts them."""
    chains: list[list[Manifest]] = []
    for backup in backups:
        last = chains[-1][-1] if chains else None
        stands = last is not None and last.series == backup.series and last.number == backup.number - 1
        if backup.kind == "full" or not stands:
            chains.append([backup])
        else:
            chains[-1].append(backup)
    return sorted(chains, key=lambda chain: (chain[0].begun_at, chain[0].series, chain[0].number))


def doomed(backups: Sequence[Manifest], now: float, keep_s: float = keep_s) -> list[Manifest]:
    """The backups that nothing asks for at `now` (seconds since 1970), each after those that stand on it. Journals that
    share a depot are told apart by their lineage.
    """
    found: list[Manifest] = []
    for lineage in sorted({one.lineage for one in backups}):
        found += _doomed([one for one in backups if one.lineage == lineage], now, keep_s)
    return found


def _doomed(backups: Sequence[Manifest], now: float, keep_s: float) -> list[Manifest]:
    chains = chains_of(backups)
    usable = [chain for chain in chains if chain[0].kind == "full"]
    newest = max(usable, key=lambda chain: chain[-1].begun_at, default=None)
    found: list[Manifest] = []
    for index, chain in enumerate(chains):
        if chain is newest or any(one.locked_until > now for one in chain):
            continue
        next_full = next((later[0] for later in chains[index + 1 :] if later[0].kind == "full"), None)
        if next_full is None or max(next_full.begun_at, chain[-1].begun_at) >= now - keep_s:
            continue
        found += reversed(chain)
    return found


async def prune(depot: Depot, clock: Clock, keep_s: float = keep_s, *, dry_run: bool = True) -> Pruned:
    """Remove what `doomed` names, what broken attempts have left, and blobs that nothing has named for a day. Nothing
    is removed with `dry_run`.

    Raises StoreUnavailable; StoreCorrupt if an index of a kept backup cannot be read: then which blobs are needed is
    not known, and none is removed.
    """
    now = clock.now()
    catalog = await Catalog.read(depot)
    going = doomed(catalog.backups, now, keep_s)
    pruned = Pruned([one.id for one in going], dry_run=dry_run)
    left = _leftovers(catalog)
    pruned.kept = len(catalog.backups) - len(going)
    if dry_run:
        pruned.objects = len(left) + sum(2 + len(one.segments) for one in going)
        return pruned
    for backup in going:
        await _remove(depot, backup, now, pruned)
    for name in left:
        await _remove_object(depot, name, pruned)
    await _collect(depot, (await Catalog.read(depot)).backups, now, pruned)
    return pruned


async def _remove(depot: Depot, backup: Manifest, now: float, pruned: Pruned) -> None:
    """The manifest first: then it is no backup any more, whatever happens."""
    try:
        index = await depot.get(backup.index.name)
    except NotFound:
        index = b""
    if not await depot.remove(backup.name):
        pruned.locked.append(backup.id)
        pruned.backups.remove(backup.id)
        pruned.kept += 1
        return
    pruned.objects += 1
    if index:
        await depot.put(f"pruned/{int(now):012d}.{backup.series}.{backup.number}", index)
    for name in await depot.names(directory(backup.series, backup.number)):
        await _remove_object(depot, name, pruned)


async def _remove_object(depot: Depot, name: str, pruned: Pruned) -> None:
    if await depot.remove(name):
        pruned.objects += 1
    else:
        pruned.locked.append(name)


def _leftovers(catalog: Catalog) -> list[str]:
    """Objects of attempts that broke off and that nobody goes on with: there is a later backup than theirs."""
    newest = catalog.newest()
    if newest is None:
        return []
    known = {directory(one.series, one.number) for one in catalog.backups}
    known |= {broken.name.removesuffix("manifest.json") for broken in catalog.broken}  # for people to look at
    found: list[str] = []
    for name in catalog.names:
        match = _SERIES.match(name)
        if match is not None and match[0] not in known and match[0] < directory(newest.series, newest.number):
            found.append(name)
    return found


async def _collect(depot: Depot, kept: Sequence[Manifest], now: float, pruned: Pruned) -> None:
    old: dict[str, Index] = {}
    for name in await depot.names("pruned/"):
        match = _PRUNED.match(name)
        if match is not None and int(match[1]) < now - settle_s:
            try:
                old[name] = read_pruned(await depot.get(name))
            except StoreCorrupt:
                continue
    if not old:
        return
    needed: set[BlobRef] = {one.configuration for one in kept if one.configuration is not None}
    for backup in kept:
        needed.update(read_index(backup, await depot.get(backup.index.name)).blobs)
    for name, index in old.items():
        for ref in index.blobs:
            if ref not in needed:
                before = pruned.objects
                await _remove_object(depot, blob_name(ref), pruned)
                pruned.blobs += pruned.objects - before
        await depot.remove(name)
