"""The endpoints of a model as components: where they are asked, where they process, what they share."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from outlast.assessment.component import Component, Site
from outlast.assessment.described import Described
from outlast.assessment.figure import Figure
from outlast.assessment.region import Region
from outlast.assessment.technology import Technology, technology
from outlast.blueprint.link import each_region
from outlast.blueprint.model import Fallback, Model, ModelEndpoint

_PROFILES = ("global", "eu", "us", "us-gov", "apac", "jp", "au", "ca")
"""What the identifier of a Bedrock inference profile may begin with: where it may process."""


def endpoints(described: Described, path: str, model: Model) -> Iterator[Component]:
    """Every endpoint of one model, the fallback last."""
    for index, endpoint in enumerate(model.endpoints):
        yield _endpoint(described, f"{path}.endpoints[{index}]", described.name_of[path], endpoint)
    if model.fallback is not None:
        yield _endpoint(described, f"{path}.fallback", described.name_of[path], model.fallback)


def endpoint_name(model: str, endpoint: ModelEndpoint) -> str:
    """Its name in the system: ``writer.sonnet``."""
    return f"{model}.{endpoint.name}"


def _endpoint(described: Described, path: str, model: str, endpoint: ModelEndpoint) -> Component:
    known, name = _known(endpoint)
    regions = _asked_in(described, endpoint)
    shares: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    if endpoint.bedrock is not None:
        shares = ("Amazon Bedrock",)
        prefix = endpoint.bedrock.split(".")[0]
        processes = (prefix,) if prefix in _PROFILES else tuple(region.name for region in regions)
    return Component(
        name=endpoint_name(model, endpoint),
        kind="endpoint",
        technology=name,
        provider="aws" if name in ("bedrock", "sagemaker") else "",
        sites=_sites(endpoint, regions),
        instances_max=endpoint.max,
        availability=known.availability,
        restart_s=known.restart_s,
        relaunch_s=known.relaunch_s,
        warm_up_s=described.figure(endpoint.warm_up, f"{path}.warm_up", Figure(0.0)),
        capacity=None if endpoint.capacity is None else Figure(endpoint.capacity, "declared", f"{path}.capacity"),
        quota=None if endpoint.quota is None else Figure(endpoint.quota, "declared", f"{path}.quota"),
        quota_standby=_quota_standby(endpoint, path),
        processes_in=processes,
        shares=shares,
        settings={"fallback": isinstance(endpoint, Fallback), "from": endpoint.source or ""},
        place=described.place(path),
    )


def _known(endpoint: ModelEndpoint) -> tuple[Technology, str]:
    if endpoint.bedrock is not None:
        return technology("bedrock"), "bedrock"
    if endpoint.sagemaker is not None:
        return technology("sagemaker"), "sagemaker"
    return (technology("worker"), "worker") if _is_here(endpoint) else (technology("external"), "openai")


def _is_here(endpoint: ModelEndpoint) -> bool:
    return (urlsplit(endpoint.url or "").hostname or "") in ("127.0.0.1", "localhost", "::1")


def _asked_in(described: Described, endpoint: ModelEndpoint) -> list[Region]:
    """The regions in which it is asked; an own server answers in each of them."""
    if endpoint.region is not None:
        return [described.region(endpoint.region)]
    regions = list(described.regions.values())
    if endpoint.source not in (None, each_region):
        return [described.region(endpoint.source)]
    if endpoint.bedrock is not None and endpoint.source is None:
        return regions[:1]
    return regions


def _sites(endpoint: ModelEndpoint, regions: list[Region]) -> tuple[Site, ...]:
    if endpoint.url is not None and not _is_here(endpoint):
        return ()
    sites: list[Site] = []
    for region in regions:
        running = region.running if region.standby else 1.0
        if endpoint.bedrock is not None:
            sites.append(Site(region.name, (), standby=region.standby))
            continue
        instances = endpoint.min if endpoint.min is not None else 1
        zones = region.zones[: max(1, min(instances, len(region.zones)))]
        sites.append(Site(region.name, zones, instances, min(1, instances), region.standby, running))
    return tuple(sites)


def _quota_standby(endpoint: ModelEndpoint, path: str) -> Figure | None:
    """What a standby may ask for: the same quota is said of each region only by ``from: each_region``."""
    if endpoint.quota is None or endpoint.source != each_region:
        return None
    return Figure(endpoint.quota, "declared", f"{path}.quota")
