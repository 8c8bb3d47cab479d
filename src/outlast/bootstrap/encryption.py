"""The keys that `stores.journal.encrypt` names: a key file, a variable, a secret of AWS, or KMS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.journal.seal import Sealer
from outlast.journal.stream import EventStore
from outlast.kernel.error import ConfigurationError


@asynccontextmanager
async def open_sealer(
    encrypt: str,
    home: Path,
    environ: Mapping[str, str],
    *,
    system: str,
    journal: EventStore,
    region: str | None = None,
    endpoint_url: str | None = None,
    write: bool = True,
) -> AsyncGenerator[Sealer]:
    """A Sealer for ``env:NAME``, ``file:PATH`` (from `home`), ``aws-secret:NAME`` or ``kms:KEY``.

    `system`, `journal` (the store behind the sealed one), region and address are for AWS. `write` False: only to read.
    Raises ConfigurationError, StoreUnavailable.
    """
    from outlast.adapters.keyring.keyring import Keyring

    kind, _, name = encrypt.partition(":")
    if not name or kind not in ("env", "file", "aws-secret", "kms"):
        raise ConfigurationError(
            "stores.journal.encrypt is not understood (not shown: it may be a key): "
            "expected env:NAME, file:PATH, aws-secret:NAME or kms:KEY"
        )
    if kind == "env":
        yield Keyring.of_variable(name, environ)
    elif kind == "file":
        yield Keyring.of_file(home / name)
    elif kind == "aws-secret":
        yield await asyncio.to_thread(_of_secret, name, region, endpoint_url)
    else:
        from outlast.adapters.aws.client import Place
        from outlast.adapters.aws.kms import KmsSealer

        place = Place(region, endpoint_url)
        sealer = await KmsSealer.open(name, system, journal, SystemClock(), OsRandomness(), place=place, write=write)
        try:
            yield sealer
        finally:
            await sealer.close()


def _of_secret(name: str, region: str | None, endpoint_url: str | None) -> Sealer:
    """The keys in a secret of AWS, read once."""
    from outlast.adapters.aws.client import Place
    from outlast.adapters.aws.secretsmanager import SecretsManager
    from outlast.adapters.keyring.document import Document
    from outlast.adapters.keyring.keyring import Keyring

    where = f"secret {name}"
    document = Document.parse(SecretsManager(Place(region, endpoint_url))(name), where)
    return Keyring(lambda: document, where)
