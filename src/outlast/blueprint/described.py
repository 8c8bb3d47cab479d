"""What a blueprint describes and `outlast up` does not start."""

from __future__ import annotations

from outlast.blueprint.schema import Blueprint


def only_described(blueprint: Blueprint) -> list[str]:
    """Each part that no process of this machine stands for, by its path, with its kind; in the order of the file."""
    found = [f"regions.{name}" for name in (blueprint.regions.all() if blueprint.regions else ()) if name != "home"]
    for name, agent in blueprint.agents.items():
        if agent.cells > 1:
            found.append(f"agents.{name}.cells (one here)")
        if agent.workers is not None and agent.workers.scale_on is not None:
            found.append(f"agents.{name}.workers.scale_on ({agent.workers.min} here)")
    found += [f"services.{name} ({service.kind})" for name, service in blueprint.services.items()]
    found += [f"stores.{name} ({store.kind})" for name, store in blueprint.stores.more.items()]
    found += [f"queues.{name} (without an address)" for name, queue in blueprint.queues.items() if queue.sqs is None]
    found += [f"training.{name}" for name in blueprint.training]
    found += [f"backup.{name}" for name in blueprint.backup]
    found += [f"alarms.{name}" for name in blueprint.alarms]
    if blueprint.drills.all():
        found.append("drills")
    if blueprint.deploy.order:
        found.append("deploy")
    models = blueprint.run_on.local.models
    if models is not None:
        found.append(f"run_on.local.models ({models}: see `outlast model serve`)")
    return found
