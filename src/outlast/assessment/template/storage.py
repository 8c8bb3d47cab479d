"""What holds data: databases, tables, caches, buckets, file systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlast.assessment.template import bucket
from outlast.assessment.template.bucket import critical
from outlast.assessment.template.network import Network
from outlast.assessment.template.resource import Resource, count, items, plain, true
from outlast.assessment.template.sketch import Part, Sketch

_PROXIED = ("DBInstanceIdentifiers", "DBClusterIdentifiers", "db_instance_identifier", "db_cluster_identifier")
_LOGGED = ("LoggingConfiguration.DestinationBucketName", "target_bucket", "logging.target_bucket")


def _store(sketch: Sketch, resource: Resource, kind: str, aws: str, **body: Any) -> Part:
    part = sketch.add(resource, "stores", kind=kind, data="critical", aws=aws, **body)
    part.note(critical)
    return part


def _table(sketch: Sketch, network: Network, table: Resource) -> None:
    part = _store(sketch, table, "key_value", "dynamodb")
    if not true(table.get("DeletionProtectionEnabled", "deletion_protection_enabled")) and not _retained(table):
        part.body["delete_protection"] = False
    recovery = table.get(
        "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", "point_in_time_recovery.enabled"
    )
    replicas = [one.get("Region") or one.get("region_name") for one in items(table.get("Replicas", "replica"))]
    for one in items(table.get("Replicas")):  # of a GlobalTable: each says it for itself
        found = one.get("PointInTimeRecoverySpecification")
        recovery = recovery or (found.get("PointInTimeRecoveryEnabled") if isinstance(found, dict) else None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    replicas += [one.region for one in sketch.of("table_replica") if table in sketch.resources_at(one)]
    if true(recovery):
        days = count(table.get("point_in_time_recovery.recovery_period_in_days")) or 35
        part.backup["point_in_time"] = f"{days}d"
    elsewhere = [region for region in replicas if isinstance(region, str) and region and region != table.region]
    if elsewhere:
        strong = str(table.get("MultiRegionConsistency", "multi_region_consistency")).upper() == "STRONG"
        consistent = items(table.get("replica"))
        strong = strong or any(str(one.get("consistency_mode")).upper() == "STRONG" for one in consistent)
        part.body["across_regions"] = "strong" if strong else "eventual"
        part.regions = [*part.regions, *elsewhere]
        if not strong:
            part.note("a global table with eventual consistency: of two writes to one item the later one wins")
    indexes = len(items(table.get("GlobalSecondaryIndexes", "global_secondary_index")))
    if indexes:
        part.body["indexes"] = indexes
    if true(table.get("TimeToLiveSpecification.Enabled", "ttl.enabled")):
        part.note("its items expire (TTL): how soon stands in the items")
    capacity = str(table.get("BillingMode", "billing_mode") or "PROVISIONED")
    if capacity.upper() != "PAY_PER_REQUEST" and table.type != "AWS::Serverless::SimpleTable":
        write = count(table.get("ProvisionedThroughput.WriteCapacityUnits", "write_capacity"))
        if write:
            part.note(f"provisioned: {write} write units; beyond them it throttles, unless it scales")
    for replica in sketch.of("table_replica"):
        if table in sketch.resources_at(replica):
            sketch.own(part, replica)


def _retained(resource: Resource) -> bool:
    return str(resource.get("DeletionPolicy")) in ("Retain", "RetainExceptOnCreate", "Snapshot")


def _protected(part: Part, resource: Resource) -> None:
    if not true(resource.get("DeletionProtection", "deletion_protection")) and not _retained(resource):
        part.body["delete_protection"] = False


def _encrypted(part: Part, resource: Resource, *paths: str) -> None:
    if not true(resource.get(*paths)):
        part.body["encrypted"] = False


def _days(part: Part, resource: Resource, default: int) -> None:
    """Automatic backups of the databases: a snapshot a day, and every instant in between."""
    days = count(resource.get("BackupRetentionPeriod", "backup_retention_period"))
    if days is None:
        days = default
        part.note(f"its backup retention is not in the template: taken as {default} d, the default")
    if days > 0:
        part.backup |= {"point_in_time": f"{days}d", "full_every": "24h"}


def _instance(sketch: Sketch, network: Network, instance: Resource) -> None:
    clusters = sketch.resources_at(instance, "DBClusterIdentifier", "cluster_identifier")
    owner = next((found for found in (sketch.part(one.id) for one in clusters) if found is not None), None)
    if owner is not None:
        sketch.own(owner, instance)
        return
    source = sketch.parts_at(instance, "SourceDBInstanceIdentifier", "replicate_source_db")
    if source and source[0].id != instance.id and (not instance.region or source[0].regions[:1] == [instance.region]):
        sketch.own(source[0], instance)
        source[0].note("a read replica follows it; it takes over only by hand")
        return
    kind = instance.get("DBInstanceClass", "instance_class")
    part = _store(sketch, instance, "sql", "rds", type=kind if isinstance(kind, str) and "\ue000" not in kind else None)
    _standby(part, instance.get("MultiAZ", "multi_az"))
    _protected(part, instance)
    _encrypted(part, instance, "StorageEncrypted", "storage_encrypted")
    _days(part, instance, 1 if instance.type.startswith("AWS::") else 0)
    if source:
        part.note(f"a read replica of {source[0].name} in another region; it takes over only by hand")
        part.needs = {}
        source[0].regions = [*source[0].regions, *part.regions]
        source[0].body["across_regions"] = "eventual"
        sketch.drop(part, source[0])


def _standby(part: Part, multi: Any) -> None:
    if true(multi):
        part.body["standbys"] = 1
        return
    part.body |= {"standbys": 0, "zones": 1}


def _members(sketch: Sketch, cluster: Resource, *nouns: str) -> list[Resource]:
    paths = ("DBClusterIdentifier", "cluster_identifier", "cluster_id")
    return [one for one in sketch.of(*nouns) if cluster in sketch.resources_at(one, *paths)]


def _cluster(sketch: Sketch, network: Network, cluster: Resource) -> None:
    engine = str(cluster.get("Engine", "engine") or "")
    members = _members(sketch, cluster, "db_instance", "db_member")
    kind = next((one.get("DBInstanceClass", "instance_class") for one in members), None)
    kind = kind or cluster.get("DBClusterInstanceClass", "db_cluster_instance_class")
    written = kind if isinstance(kind, str) and "\ue000" not in kind else None
    if cluster.get("DBClusterInstanceClass", "db_cluster_instance_class") is not None:
        part = _store(sketch, cluster, "sql", "rds_cluster", type=written, standbys=2)
        part.note("a Multi-AZ DB cluster: two readable standbys")
    else:
        part = _store(sketch, cluster, "sql", "aurora", type=written)
        _readers(part, network, cluster, members)
        if not engine.startswith("aurora"):
            part.note(f"its engine is {engine[:32] or 'not in the template'}: taken as Aurora")
    sketch.own(part, *members)
    _protected(part, cluster)
    _encrypted(part, cluster, "StorageEncrypted", "storage_encrypted")
    _days(part, cluster, 1)


def _readers(part: Part, network: Network, cluster: Resource, members: list[Resource]) -> None:
    if not members:
        part.note("its instances are not in the template: taken as one")
    standbys = max(0, len(members) - 1)
    zones = network.place(part, *members, cluster)
    part.body["standbys"] = standbys
    if standbys == 0 or zones == 1:
        part.body["zones"] = 1


def _document(sketch: Sketch, network: Network, cluster: Resource) -> None:
    graph = "Neptune" in cluster.type or "neptune" in cluster.type
    part = _store(sketch, cluster, "graph" if graph else "document", "neptune" if graph else "documentdb")
    members = _members(sketch, cluster, "graph_member" if graph else "document_member")
    _readers(part, network, cluster, members)
    sketch.own(part, *members)
    _protected(part, cluster)
    _encrypted(part, cluster, "StorageEncrypted", "storage_encrypted")
    _days(part, cluster, 1)


def _cache_group(sketch: Sketch, network: Network, group: Resource) -> None:
    engine = "valkey" if str(group.get("Engine", "engine")).lower() == "valkey" else "redis"
    part = _cache(sketch, group, engine)
    shards = count(group.get("NumNodeGroups", "num_node_groups")) or 1
    nodes = count(group.get("NumCacheClusters", "num_cache_clusters", "number_cache_clusters"))
    replicas = count(group.get("ReplicasPerNodeGroup", "replicas_per_node_group"))
    found = replicas if replicas is not None else max(0, (nodes or 1) - 1)
    if shards > 1:
        part.body["shards"] = shards
    if found and not true(group.get("AutomaticFailoverEnabled", "automatic_failover_enabled")):
        part.note("its replicas do not take over: automatic failover is off; taken as none")
        found = 0
    part.body["replicas"] = found
    if found == 0 or not true(group.get("MultiAZEnabled", "multi_az_enabled")):
        part.body["zones"] = 1
        if found:
            part.note("Multi-AZ is off: nothing keeps its replicas out of the zone of the primary")


def _cache(sketch: Sketch, resource: Resource, engine: str) -> Part:
    part = sketch.add(resource, "stores", kind="cache", data="disposable", aws=engine)
    part.note("that nobody misses its data is assumed")
    return part


def _cache_cluster(sketch: Sketch, network: Network, cluster: Resource) -> None:
    groups = sketch.parts_at(cluster, "replication_group_id")
    if groups:
        sketch.own(groups[0], cluster)
        return
    nodes = count(cluster.get("NumCacheNodes", "num_cache_nodes")) or 1
    memcached = str(cluster.get("Engine", "engine")).lower() == "memcached"
    part = _cache(sketch, cluster, "elasticache")
    if not memcached:
        part.body |= {"replicas": 0, "zones": 1}
        return
    part.note("memcached: what a lost node held is gone")
    cross = str(cluster.get("AZMode", "az_mode")) == "cross-az"
    part.spread(nodes, None if cross else 1)


def _cache_serverless(sketch: Sketch, network: Network, cache: Resource) -> None:
    part = _cache(sketch, cache, "elasticache")
    part.body["replicas"] = 1
    part.note("serverless: the service keeps a replica in another zone")


def _memory_db(sketch: Sketch, network: Network, cluster: Resource) -> None:
    part = _store(sketch, cluster, "key_value", "memorydb")
    part.body["shards"] = count(cluster.get("NumShards", "num_shards")) or 1
    replicas = count(cluster.get("NumReplicasPerShard", "num_replicas_per_shard"))
    part.body["replicas"] = 1 if replicas is None else replicas
    days = count(cluster.get("SnapshotRetentionLimit", "snapshot_retention_limit"))
    if days:
        part.backup |= {"full_every": "24h", "keep": f"{days}d"}


_SIZES = ("InstanceCount", "ZoneAwarenessConfig.AvailabilityZoneCount")


def _of_domain(domain: Resource, name: str) -> list[Any]:
    """A value of the cluster of a domain, under each of the names that it has had."""
    return [domain.get(f"{above}.{name}") for above in ("ClusterConfig", "ElasticsearchClusterConfig")]


def _search(sketch: Sketch, network: Network, domain: Resource) -> None:
    part = sketch.add(domain, "stores", kind="search", aws="opensearch")
    part.note("what its data is worth is not known: say it in data:")
    nodes, zones = (next((found for found in map(count, _of_domain(domain, name)) if found), None) for name in _SIZES)
    aware = any(map(true, _of_domain(domain, "ZoneAwarenessEnabled")))
    part.body["replicas"] = max(0, min(2, (nodes or 1) - 1))
    part.body["zones"] = (zones or 2) if aware else 1
    _encrypted(part, domain, "EncryptionAtRestOptions.Enabled", "encrypt_at_rest.enabled")
    part.backup = {"full_every": "1h", "keep": "14d"}
    part.note("the service takes a snapshot every hour and keeps it for 14 d, beside the domain")


def _search_serverless(sketch: Sketch, network: Network, collection: Resource) -> None:
    part = sketch.add(collection, "stores", kind="search", aws="opensearch_serverless")
    part.note("what its data is worth is not known: say it in data:")
    if str(collection.get("StandbyReplicas", "standby_replicas")).upper() == "DISABLED":
        part.body |= {"replicas": 0, "zones": 1}


def _files(sketch: Sketch, network: Network, files: Resource) -> None:
    part = _store(sketch, files, "files", "efs" if "EFS" in files.type or "efs" in files.type else "fsx")
    own = [one for one in sketch.of("file_backup", "mount_target", "access_point") if files in sketch.resources_at(one)]
    sketch.own(part, *own)
    if files.get("AvailabilityZoneName", "availability_zone_name") is not None:
        part.body |= {"standbys": 0, "zones": 1}
    _encrypted(part, files, "Encrypted", "encrypted")
    status = [files.get("BackupPolicy.Status")] + [one.get("backup_policy.status") for one in own]
    if any(true(one) for one in status):
        part.backup |= {"full_every": "24h", "keep": "35d"}


def _disk(sketch: Sketch, network: Network, disk: Resource) -> None:
    part = _store(sketch, disk, "volume", "ebs")
    part.body |= {"standbys": 0, "zones": 1}
    _encrypted(part, disk, "Encrypted", "encrypted")
    for use in sketch.of("disk_use"):
        if disk in sketch.resources_at(use, "VolumeId", "volume_id"):
            sketch.own(part, use)
            for machine in sketch.parts_at(use, "InstanceId", "instance_id"):
                sketch.need(machine, part, "it is attached")


def _warehouse(sketch: Sketch, network: Network, cluster: Resource) -> None:
    part = _store(sketch, cluster, "warehouse", "redshift")
    serverless = "erverless" in cluster.type
    multi = true(cluster.get("MultiAZ", "multi_az"))
    part.body |= {"standbys": 1} if multi or serverless else {"standbys": 0, "zones": 1}
    days = count(cluster.get("AutomatedSnapshotRetentionPeriod", "automated_snapshot_retention_period"))
    if days is None or days:
        part.backup |= {"full_every": "8h", "keep": f"{days or 1}d"}


def _time_series(sketch: Sketch, network: Network, table: Resource) -> None:
    _store(sketch, table, "time_series", "timestream")


READERS: dict[str, Callable[[Sketch, Network, Resource], None]] = {
    "table": _table,
    "db_cluster": _cluster,
    "db_instance": _instance,
    "document_db": _document,
    "graph_db": _document,
    "cache_group": _cache_group,
    "cache_cluster": _cache_cluster,
    "cache_serverless": _cache_serverless,
    "memory_db": _memory_db,
    "search": _search,
    "search_serverless": _search_serverless,
    **bucket.READERS,
    "file_system": _files,
    "disk": _disk,
    "warehouse": _warehouse,
    "time_series": _time_series,
}


def fold(sketch: Sketch) -> None:
    """Proxies before databases, clusters over regions, buckets that only hold logs."""
    for proxy in sketch.of("db_proxy_target"):
        for part in sketch.parts_at(proxy, *_PROXIED):
            sketch.own(part, proxy, *(one for one in sketch.resources_at(proxy, "DBProxyName", "db_proxy_name")))
            part.note("calls go through an RDS proxy; it is taken as a part of the database")
    for everywhere in sketch.of("db_global"):
        _global(sketch, everywhere)
    for holder in sketch.of("bucket", "bucket_logs"):
        for part in sketch.parts_at(holder, *_LOGGED):
            if part.id != holder.id and part.noun == "bucket":
                part.body["data"] = "disposable"
                part.notes = [note for note in part.notes if note != critical]
                part.note("logs are written to it: that nobody misses its data is assumed")


def _global(sketch: Sketch, everywhere: Resource) -> None:
    members: list[Part] = []
    for part in sketch.of_noun("db_cluster"):
        cluster = part.resources[0]
        linked = everywhere in sketch.resources_at(cluster, "GlobalClusterIdentifier", "global_cluster_identifier")
        linked = linked or part in sketch.parts_at(
            everywhere, "SourceDBClusterIdentifier", "source_db_cluster_identifier"
        )
        name = plain(everywhere.get("GlobalClusterIdentifier", "global_cluster_identifier"))
        if linked or (name and name == plain(cluster.get("GlobalClusterIdentifier", "global_cluster_identifier"))):
            members.append(part)
    if not members:
        sketch.leave(everywhere, "no cluster of the templates belongs to it")
        return
    sketch.own(members[0], everywhere)
    for member in members:
        member.body["aws"] = "aurora_global"
    for other in members[1:]:
        if other.regions != members[0].regions:
            members[0].regions = [*members[0].regions, *other.regions]
            sketch.drop(other, members[0])
