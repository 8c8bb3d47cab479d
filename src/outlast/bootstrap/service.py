"""Models of cloud services as members of pools: their address, what leads to them, and that nobody probes them.

A member's `url` is then ``bedrock://REGION/MODEL`` or ``sagemaker://REGION/ENDPOINT``. Without a region the
environment's is used, and ``AWS_ENDPOINT_URL`` for another address, as with every AWS SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlast.adapters.openai.probe import probe as http_probe
from outlast.blueprint.model import ModelEndpoint
from outlast.kernel.clock import Clock
from outlast.model.member import Member
from outlast.policy.health import Layer

if TYPE_CHECKING:
    from outlast.adapters.aws.service import Service

_SCHEMES = ("bedrock://", "sagemaker://")


def address_of(endpoint: ModelEndpoint) -> str:
    """The `url` of an endpoint's member."""
    if endpoint.bedrock is not None:
        return f"bedrock://{endpoint.region or ''}/{endpoint.bedrock}"
    if endpoint.sagemaker is not None:
        return f"sagemaker://{endpoint.region or ''}/{endpoint.sagemaker}"
    return endpoint.url or ""


def is_service(member: Member) -> bool:
    """Whether a member is asked through a service's own protocol, not over HTTP to `url`."""
    return member.url.startswith(_SCHEMES)


def service_of(member: Member, clock: Clock) -> Service:
    """What leads to such a member. Nothing is connected yet."""
    from outlast.adapters.aws.bedrock import bedrock
    from outlast.adapters.aws.client import Place
    from outlast.adapters.aws.sagemaker import sagemaker

    scheme, _, rest = member.url.partition("://")
    region, _, name = rest.partition("/")
    place = Place(region or None)
    return bedrock(name, place, clock) if scheme == "bedrock" else sagemaker(name, place)


async def probe(member: Member, layer: Layer, timeout_s: float) -> None:
    """As the probe of HTTP servers; a service is not probed: its requests say how it is, and an empty one costs."""
    if not is_service(member):
        await http_probe(member, layer, timeout_s)
