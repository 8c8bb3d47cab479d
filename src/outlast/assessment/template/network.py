"""Networks: the zones that something is spread over, and the gateways through which it leaves."""

from __future__ import annotations

import re

from outlast.assessment.template.noun import noun_of
from outlast.assessment.template.resource import Missing, Resource, listed, plain, texts
from outlast.assessment.template.sketch import Part, Sketch, unique

_SUBNETS = (
    "NetworkConfiguration.AwsvpcConfiguration.Subnets", "network_configuration.subnets", "VpcConfig.SubnetIds",
    "vpc_config.subnet_ids", "ResourcesVpcConfig.SubnetIds", "VPCZoneIdentifier", "vpc_zone_identifier",
    "SubnetMappings", "subnet_mapping", "Subnets", "SubnetIds", "subnet_ids", "SubnetId", "subnet_id",
    "VPCOptions.SubnetIds", "vpc_options.subnet_ids", "BrokerNodeGroupInfo.ClientSubnets",
    "broker_node_group_info.client_subnets", "DBSubnetGroupName", "db_subnet_group_name", "CacheSubnetGroupName",
    "subnet_group_name", "SubnetGroupName", "ComputeResources.Subnets", "compute_resources.subnets",
)  # fmt: skip
_ZONES = (
    "AvailabilityZones",
    "availability_zones",
    "AvailabilityZone",
    "availability_zone",
    "preferred_cache_cluster_azs",
)
_outside_nouns = frozenset((
    "table", "bucket", "queue", "topic", "event_bus", "state_machine", "stream", "secret", "key", "external",
    "bedrock", "inference", "bedrock_agent", "knowledge_base", "user_pool", "search_serverless", "function",
    "unknown", "delivery", "graph_api", "rest_api", "http_api", "vector_bucket", "time_series",
))  # fmt: skip
_leaving = ("ecs_service", "function", "machine", "machine_group", "eks_nodes", "eks_fargate", "batch")
"""Nouns of what calls out of its subnets."""
_ENDPOINTS = {
    "s3": "bucket", "dynamodb": "table", "sqs": "queue", "sns": "topic", "secretsmanager": "secret", "kms": "key",
    "states": "state_machine", "bedrock-runtime": "bedrock", "events": "event_bus", "kinesis-streams": "stream",
}  # fmt: skip


class Network:
    """Subnets with their zones, and what leads out of them."""

    def __init__(self, sketch: Sketch) -> None:
        """Read the subnets of all files."""
        self._sketch = sketch
        self.zone_of = {subnet.id: self._zone(subnet) for subnet in sketch.of("subnet")}
        for group in sketch.of("db_subnets"):
            sketch.use(group)
        self.unknown = 0
        """Parts whose subnets the templates do not name."""

    def _zone(self, subnet: Resource) -> str:
        self._sketch.use(subnet)
        zone = subnet.get("AvailabilityZone", "availability_zone", "AvailabilityZoneId", "availability_zone_id")
        text = plain(zone) if isinstance(zone, str) and "\ue000" not in zone else ""
        return text or f"zone of {subnet.id}"

    @property
    def zones(self) -> list[str]:
        """Every zone that a subnet is in."""
        return unique(self.zone_of.values())

    def zones_in(self, region: str) -> int:
        """How many zones subnets of a region are in."""
        resources = self._sketch.inventory.resources
        return len({zone for name, zone in self.zone_of.items() if resources[name].region in (region, "")})

    def place(self, part: Part, *resources: Resource) -> int | None:
        """The number of zones that `resources` of `part` are in; None: not said. Notes what was not known."""
        for resource in resources:
            subnets = self._subnets(resource, 0)
            if subnets:
                part.subnets = unique([*part.subnets, *subnets])
                return len({self.zone_of[subnet] for subnet in subnets})
            for path in _ZONES:
                zones = texts(listed(resource.get(path)))
                if zones:
                    return len(set(zones))
        for resource in resources:
            for path in _SUBNETS:
                value = resource.get(path)
                given = [one for one in listed(value) if isinstance(one, str | Missing)]
                if given:
                    self.unknown += 1
                    part.note("its subnets are not in the template: taken as in all zones of the region")
                    return None
        return None

    def _subnets(self, resource: Resource, deep: int) -> list[str]:
        found: list[str] = []
        for one in self._sketch.resources_at(resource, *_SUBNETS):
            if one.id in self.zone_of:
                found.append(one.id)
            elif noun_of(one.type) == "db_subnets" and deep < 2:
                self._sketch.use(one)
                found.extend(self._subnets(one, deep + 1))
        return unique(found)

    def gateways(self) -> None:
        """Draw the NAT gateways of each region as one part, and who leaves through it."""
        sketch = self._sketch
        gateways: dict[str, list[Resource]] = {}
        for gateway in sketch.of("nat"):
            gateways.setdefault(gateway.region, []).append(gateway)
        nats: dict[str, Part] = {}
        for found in gateways.values():
            part = sketch.add(found[0], "services", "nat", kind="nat", aws="nat")
            sketch.own(part, *found[1:])
            zones = {self.zone_of[subnet] for one in found for subnet in self._subnets(one, 0)}
            part.spread(len(found), len(zones) or len(found))
            nats |= {one.id: part for one in found}
        if not nats:
            return
        ways = self._ways()
        endpoints = self._endpoints()
        for part in sketch.of_noun(*_leaving):
            through = {
                nats[way].id: nats[way] for subnet in part.subnets for way in ways.get(subnet, ()) if way in nats
            }
            outside = {sketch.parts[target].noun for target in part.needs if target in sketch.parts}
            outside = (outside & _outside_nouns) - endpoints
            for nat in through.values():
                if outside:
                    sketch.need(part, nat, "its subnets leave the network through it")
                else:
                    sketch.need(part, nat, "its subnets leave through it", strength="soft", on_loss="keep_running")

    def _ways(self) -> dict[str, set[str]]:
        """By subnet, the gateways that its routes lead to."""
        sketch = self._sketch
        of_table: dict[str, set[str]] = {}
        for route in sketch.of("route", "route_table"):
            sketch.use(route)
            tables = (
                [route]
                if noun_of(route.type) == "route_table"
                else sketch.resources_at(route, "RouteTableId", "route_table_id")
            )
            gateways = {one.id for one in sketch.resources_at(route) if noun_of(one.type) == "nat"}
            for table in tables:
                of_table.setdefault(table.id, set()).update(gateways)
        found: dict[str, set[str]] = {}
        for use in sketch.of("route_use"):
            sketch.use(use)
            for subnet in sketch.resources_at(use, "SubnetId", "subnet_id"):
                for table in sketch.resources_at(use, "RouteTableId", "route_table_id"):
                    found.setdefault(subnet.id, set()).update(of_table.get(table.id, ()))
        return found

    def _endpoints(self) -> set[str]:
        """The nouns that are reached without leaving the network."""
        found: set[str] = set()
        for endpoint in self._sketch.of("vpc_endpoint"):
            self._sketch.use(endpoint)
            service = re.split(r"[.]", plain(endpoint.get("ServiceName", "service_name")))[-1]
            found.add(_ENDPOINTS.get(service, ""))
        return found


def instances_of(sketch: Sketch, resource: Resource) -> list[Resource]:
    """`resource` and its copies by ``count``."""
    if not resource.group:
        return [resource]
    return [one for one in sketch.of(noun_of(resource.type)) if one.group == resource.group]
