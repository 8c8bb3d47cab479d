"""Which backup an instant is restored from, and what is known to have come later."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from outlast.journal.stream import Head
from outlast.kernel.error import Conflict, NotFound, StoreCorrupt, UsageError
from outlast.recover.catalog import Catalog, Chain
from outlast.recover.depot import Depot
from outlast.recover.manifest import Manifest


class Choice(msgspec.Struct, frozen=True):
    """The backup to restore, with what it stands on, and how far each stream is known to have come by any later one."""

    backup: Manifest
    chain: Chain
    known: dict[str, Head]


def parse_instant(text: str) -> float | None:
    """``latest`` is None; else seconds since 1970 of an ISO 8601 time with its zone, or of such a number. Raises
    UsageError.
    """
    if text == "latest":
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError(
            f"instant {text[:64]!r} is not understood: write latest, or a time with its zone such as "
            "2026-11-26T10:00:00Z"
        )
    return found.timestamp()


def instant_text(at: float | None) -> str:
    """For people: the inverse of `parse_instant`, to the microsecond."""
    return "latest" if at is None else datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


async def choose(depot: Depot, catalog: Catalog, at: float | None, id: str = "", nothing_later: bool = False) -> Choice:
    """Of the newest series, the first backup that was begun at or after the instant; or the one named.

    Raises NotFound if there is no backup, UsageError for an instant that none holds, Conflict if `nothing_later` does
    not agree with what is there, StoreCorrupt, StoreUnavailable.
    """
    newest = catalog.check_found(depot)
    lineages = sorted({one.lineage for one in catalog.backups})
    if len(lineages) > 1 and not id:
        raise UsageError(
            f"{depot.where} holds backups of {len(lineages)} journals ({', '.join(lineages)[:200]}): name one with "
            "--backup SERIES/NUMBER"
        )
    backup = catalog.find(id) if id else newest
    series = catalog.of(backup.series)
    if at is not None and not id:
        holding = [one for one in series if one.begun_at >= at]
        if not holding:
            raise UsageError(
                f"instant {instant_text(at)} is after the newest backup, which holds everything up to "
                f"{instant_text(newest.begun_at)}: ask for that time or an earlier one, or for latest"
            )
        backup = holding[0]
    if at is not None and at > backup.begun_at:
        raise UsageError(
            f"backup {backup.id} holds everything up to {instant_text(backup.begun_at)}, not up to {instant_text(at)}"
        )
    chain = await Chain.read(depot, catalog.chain(backup))
    if nothing_later and backup.series != newest.series:
        raise Conflict(
            f"--nothing-later cannot be: backup {newest.id} was taken later, of a journal that went on otherwise"
        )
    return Choice(backup, chain, await _known(depot, catalog, chain, series[-1], nothing_later))


async def _known(depot: Depot, catalog: Catalog, chain: Chain, last: Manifest, nothing_later: bool) -> dict[str, Head]:
    """The latest head of each stream; streams that were let go since are known by the backup that had them."""
    if last == chain.newest:
        return chain.heads()
    try:
        later = await Chain.read(depot, catalog.chain(last))
    except (StoreCorrupt, NotFound) as error:
        if nothing_later:
            raise Conflict(f"--nothing-later cannot be: what came later is not known, {error}") from None
        return chain.heads()
    return chain.heads() | later.heads()
