"""What a blueprint wants one host of a store to do for all of them; `bootstrap/keeper.py` does it."""

from __future__ import annotations

from outlast.adapters.aws.client import Place
from outlast.blueprint.schema import Blueprint, Publish
from outlast.bootstrap.engine import place_of


def has_duties(blueprint: Blueprint) -> bool:
    """Whether there is anything of that kind."""
    return blueprint.stores.journal.publish is not None or keep_s(blueprint) is not None or backs_up(blueprint)


def backs_up(blueprint: Blueprint) -> bool:
    """Whether backups of the journal are taken by a schedule, and it is said where they lie."""
    said = blueprint.backup.get("journal")
    return said is not None and bool(said.places) and (said.full_every is not None or said.point_in_time is not None)


def keep_s(blueprint: Blueprint) -> float | None:
    """How long ended runs are kept on the engine in use; None: for ever."""
    said = blueprint.stores.journal
    if blueprint.run_on.local.journal == "dynamodb" and said.dynamodb is not None and said.dynamodb.keep is not None:
        return said.dynamodb.keep
    return said.keep


def publish_place(blueprint: Blueprint, said: Publish) -> Place:
    """Where the event bus is."""
    beside = place_of(blueprint) if blueprint.run_on.local.journal == "dynamodb" else Place()
    return Place(said.region or beside.region, said.endpoint_url or beside.endpoint_url)
