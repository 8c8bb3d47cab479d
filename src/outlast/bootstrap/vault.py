"""Who reads secrets that stand in AWS Secrets Manager, wherever configuration names one."""

from __future__ import annotations

from outlast.blueprint.schema import Blueprint
from outlast.blueprint.secret import Vault


def vault(blueprint: Blueprint | None = None) -> Vault:
    """Asks AWS when a secret is read, not before; at the address that the journal's engine there has, if it has one."""
    from outlast.adapters.aws.client import Place
    from outlast.adapters.aws.secretsmanager import SecretsManager

    said = blueprint.stores.journal.dynamodb if blueprint is not None else None
    return SecretsManager(Place() if said is None else Place(said.region, said.endpoint_url))
