"""Seals what an engine stores, if the blueprint says where the keys are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.engine import Engine, Journal, place_of
from outlast.bootstrap.vault import vault
from outlast.journal.seal import Sealer
from outlast.journal.sealed import sealed


@asynccontextmanager
async def open_sealer(
    home: Path, blueprint: Blueprint, journal: Journal, *, write: bool = True
) -> AsyncGenerator[Sealer | None]:
    """Who seals and opens for `journal`, the store behind; None without keys. Raises ConfigurationError,
    StoreUnavailable.
    """
    where = blueprint.stores.journal.encrypt
    if where is None:
        yield None
    elif where.kind == "kms":
        from outlast.adapters.aws.kms import KmsSealer

        sealer = await KmsSealer.open(
            where.place, blueprint.name, journal, SystemClock(), OsRandomness(), place=place_of(blueprint), write=write
        )
        try:
            yield sealer
        finally:
            await sealer.close()
    else:
        from outlast.adapters.keyring.document import Document
        from outlast.adapters.keyring.keyring import Keyring

        if where.kind == "file":
            yield Keyring.of_file(home / where.place)
        elif where.kind == "env":
            yield Keyring.of_variable(where.place, os.environ)
        else:
            text = await asyncio.to_thread(vault(blueprint), where.place)
            document = Document.parse(text, f"secret {where.place}")
            yield Keyring(lambda: document, f"secret {where.place}")


@asynccontextmanager
async def sealing(home: Path, blueprint: Blueprint, engine: Engine, *, write: bool = True) -> AsyncGenerator[Engine]:
    """`engine` as agents see it: what they store is sealed, what they read is opened. Raises as `open_sealer`."""
    async with open_sealer(home, blueprint, engine.journal, write=write) as sealer:
        if sealer is None:
            yield engine
        else:
            journal, blobs = sealed(engine.journal, engine.blobs, sealer)
            yield replace(engine, journal=journal, blobs=blobs)
