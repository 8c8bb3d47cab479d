"""A Sealer whose keys are wrapped by AWS KMS: envelope encryption. Seen with emulators only: untested on AWS.

Each process that writes has a data key of its own, from GenerateDataKey. Before its first use the wrapped key is
durable as the one record of a stream of kind ``key``, in the journal beside what it seals: so it is replicated, backed
up, copied and audited with the history, and no collection of blobs can take it away. The stream's key is the data
key's identifier. Who meets an unknown one reads that stream and asks KMS to Decrypt, once.

Source: AWS KMS developer guide, "Envelope encryption", "Encryption context".
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.refusal import translated
from outlast.journal.chain import genesis, verify
from outlast.journal.cipher import Key, key_bytes
from outlast.journal.event import Event, version_field
from outlast.journal.record import Reader, make_append
from outlast.journal.stream import EventStore, StreamKey
from outlast.journal.writer import settle_append
from outlast.kernel.clock import Clock, stamp
from outlast.kernel.error import ConfigurationError, StoreCorrupt, StoreSealed, StoreUnavailable, UsageError
from outlast.kernel.identity import new_token
from outlast.kernel.randomness import Randomness

keys_max = 1000
"""Bound of the unwrapped keys that are kept; the least recently used goes first, and is fetched again."""
call_timeout_s = 5.0
"""Bound of one call to KMS."""
tries_max = 3
"""Tries of a call that KMS throttles or does not answer, before it counts as away."""
refused_for_s = 30.0
"""How long a key that KMS refuses is not asked for again."""
patience_s = 30.0
"""How long the append of a wrapped key is tried."""
_backoff_s = 0.1


class KeyWrapped(Event, frozen=True, tag="key.wrapped"):
    """A data key as KMS wrapped it: with which key, for which system. Useless without KMS."""

    kms: str
    wrapped: bytes
    system: str
    v: int = version_field(1)


_reader: Reader[KeyWrapped] = Reader(KeyWrapped, {}, {"key.wrapped": 1})


class KmsSealer:
    """Seals with this process's data key, opens with all whose KMS key this process may use.

    KMS is needed at the start, and for keys of other processes when they are first met; not to go on.
    """

    def __init__(
        self, kms: str, system: str, journal: EventStore, client: Client, clock: Clock, randomness: Randomness
    ) -> None:
        self._kms = kms
        self._system = system
        self._journal = journal
        self._client = client
        self._clock = clock
        self._randomness = randomness
        self._current: Key | None = None
        self._keys: OrderedDict[str, Key] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[Key]] = {}
        self._refused: dict[str, tuple[float, str]] = {}

    @classmethod
    async def open(
        cls,
        kms: str,
        system: str,
        journal: EventStore,
        clock: Clock,
        randomness: Randomness,
        *,
        place: Place | None = None,
        write: bool = True,
    ) -> KmsSealer:
        """With a data key of its own, which is durable in `journal`, the store behind the sealed one.

        `kms` names the KMS key: an ARN, an identifier or ``alias/NAME``. `system` is bound to every data key as its
        encryption context. `write` False: only to read; KMS is not asked before there is something to open. Raises
        ConfigurationError (refused, no such key, no credentials), StoreUnavailable (away, or throttled).
        """
        sealer = cls(kms, system, journal, Client("kms", place or Place(), call_timeout_s), clock, randomness)
        if write:
            try:
                await sealer._generate()
            except BaseException:
                await sealer.close()
                raise
        return sealer

    async def close(self) -> None:
        """Close the connections to KMS; keys that are here stay usable."""
        for task in self._fetching.values():
            task.cancel()
        await self._client.closed()

    @property
    def current(self) -> Key:
        """This process's data key. Raises StoreSealed if it was opened for reading only."""
        if self._current is None:
            raise StoreSealed("this process only reads what is sealed: it has no data key to seal with")
        return self._current

    def known(self, id: str) -> Key | None:
        """As in Sealer."""
        key = self._keys.get(id)
        if key is not None:
            self._keys.move_to_end(id)
        elif self._current is not None and self._current.id == id:
            return self._current
        return key

    async def fetch(self, id: str) -> Key:
        """As in Sealer. However many ask for a key at once, KMS is asked once."""
        until, why = self._refused.get(id, (0.0, ""))
        if why and self._clock.monotonic() < until:
            raise StoreSealed(why)
        task = self._fetching.get(id)
        if task is None:
            task = self._fetching[id] = asyncio.get_running_loop().create_task(self._unwrap(id))
            task.add_done_callback(lambda done: self._fetched(id, done))
        return await asyncio.shield(task)

    def _fetched(self, id: str, task: asyncio.Task[Key]) -> None:
        del self._fetching[id]
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._keys[id] = task.result()
            while len(self._keys) > keys_max:
                self._keys.popitem(last=False)
            self._refused.pop(id, None)
        elif isinstance(error, StoreSealed):
            while len(self._refused) >= keys_max:
                del self._refused[next(iter(self._refused))]
            self._refused[id] = (self._clock.monotonic() + refused_for_s, str(error))

    # -- the data key of this process ---------------------------------------------------------------------------------

    async def _generate(self) -> None:
        id = str(StreamKey("key", new_token(self._randomness), self._journal.lineage))
        what = f"a data key of KMS key {self._kms}"
        made = await self._ask(
            "generate_data_key", what, ConfigurationError,
            KeyId=self._kms, NumberOfBytes=key_bytes, EncryptionContext=_context(self._system, id),
        )  # fmt: skip
        wrapped = KeyWrapped(str(made["KeyId"]), bytes(made["CiphertextBlob"]), self._system)
        append = make_append(id, genesis(id), new_token(self._randomness), stamp(self._clock), [wrapped])
        await settle_append(self._journal, append, self._clock, patience_s)
        self._current = Key(id, bytes(made["Plaintext"]))  # only now may anything be sealed with it

    # -- keys of others -----------------------------------------------------------------------------------------------

    async def _unwrap(self, id: str) -> Key:
        try:
            is_ours = StreamKey.parse(id).kind == "key"
        except UsageError:
            is_ours = False
        if not is_ours:
            raise StoreSealed(
                f"this is sealed with key {id}, which is none of KMS: give the key file that holds it as well"
            )
        records = await self._journal.read(id, 0, 1)
        if not records:
            raise StoreSealed(f"this is sealed with key {id}, whose wrapped form is not in the journal: restore it")
        verify(id, records)
        (found,) = _reader.read(id, records[0]).events
        got = await self._ask(
            "decrypt", f"data key {id} (KMS key {found.kms})", StoreSealed,
            CiphertextBlob=found.wrapped, KeyId=found.kms, EncryptionContext=_context(found.system, id),
        )  # fmt: skip
        material = bytes(got["Plaintext"])
        if len(material) != key_bytes:
            raise StoreCorrupt(f"data key {id} has {len(material)} bytes, expected {key_bytes}: it is not ours")
        return Key(id, material)

    async def _ask(
        self, call: str, what: str, refused: type[ConfigurationError | StoreSealed], **arguments: Any
    ) -> Mapping[str, Any]:
        wait_s = _backoff_s
        for _ in range(tries_max - 1):
            try:
                return await self._try(call, what, refused, arguments)
            except StoreUnavailable:
                await self._clock.sleep(wait_s)
                wait_s *= 4
        return await self._try(call, what, refused, arguments)

    async def _try(
        self, call: str, what: str, refused: type[ConfigurationError | StoreSealed], arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        client = await self._client.get()
        with translated(what, refused):
            async with asyncio.timeout(call_timeout_s):
                return await getattr(client, call)(**arguments)


def _context(system: str, id: str) -> dict[str, str]:
    return {"outlast:system": system, "outlast:key": id}
