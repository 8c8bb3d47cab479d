"""What holds data beside the journal."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from outlast.blueprint.component import Component
from outlast.blueprint.objective import Survive
from outlast.blueprint.value import Age, ByteCount, Count, CountOrNone, Form, Name, Part, Seconds

StoreKind = Literal[
    "journal", "sql", "key_value", "document", "vector", "search", "graph", "time_series", "cache", "blobs", "files",
    "volume", "warehouse",
]  # fmt: skip
"""What a store is, whoever makes it."""


class AcrossRegions(msgspec.Struct, frozen=True):
    """``strong``, ``eventual`` or ``{within: 15m}``: how its data comes to the other regions."""

    mode: Annotated[Literal["strong", "eventual", "none"], Form.ALONE] = "eventual"
    """strong: acknowledged when another region has it · eventual: it follows · none: each region has its own."""
    within: Age | None = None
    """How far the other regions are behind, at most; None: what is known of the service."""


class Indexes(msgspec.Struct, frozen=True):
    """``2`` or ``{count: 2, writes: 50%, size: 20%}``: copies of its entries under other keys, where they are found."""

    count: Annotated[Count, Form.ALONE]
    """How many there are."""
    writes: Part = 1.0
    """Of the writes, so many change something in each of them, and so are written again."""
    size: Part = 1.0
    """Of what is held, so much lies in each of them: less where only some attributes are copied."""


class Stored(Component, frozen=True, kw_only=True, omit_defaults=True):
    """What any store may say, the journal too."""

    aws: Name | None = None
    """The service that holds it on AWS, such as ``aurora_global``, ``dynamodb``, ``opensearch``, ``valkey``, ``s3``."""
    across_regions: AcrossRegions | None = None
    """None: as the service does it by itself, else not at all."""
    standbys: CountOrNone | None = None
    """Copies in other zones that can take over the writing; None: what the service has by default."""
    replicas: CountOrNone | None = None
    """Copies of each shard that can take over or be read; None: what the service has by default."""
    shards: Count | None = None
    """Parts that the data is divided into; None: one, or as the service does it."""
    zones: Count | None = None
    """The zones that its copies are spread over; None: what the service does by default."""
    timeout: Seconds | None = None
    """How long a caller waits for one answer; None: the caller says, or nobody."""
    survive: Survive | None = None
    """Promises of its own; None: those of the classes that need it."""
    source: Name | None = msgspec.field(default=None, name="from")
    """The component that it can be made from again."""
    rebuild: Seconds | None = None
    """How long making it again takes; None: not known."""
    ttl: Seconds | None = None
    """How long an entry lives; None: until it is deleted."""
    lock: Seconds | None = None
    """How long nobody, not even an administrator, can delete or change what was written; None: no lock."""
    size: ByteCount | None = None
    """What it holds; None: not known."""
    type: str | None = None
    """The class of its machines, such as ``db.r7g.large``; None: what the service has by default."""
    encrypted: bool = True
    """Whether it is encrypted where it lies."""
    delete_protection: bool = True
    """Whether it cannot be deleted in one step."""


class Store(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """``{kind: sql, data: critical, aws: aurora_global, standbys: 2, on_loss: wait}``: one store."""

    kind: StoreKind
    """What it is."""
    indexes: Indexes | None = None
    """Secondary indexes of a ``key_value`` or ``document`` store, which cost writes and storage again; None: none."""
