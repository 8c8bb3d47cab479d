"""A host gets the rights for what its blueprint asks it to do for all, and no more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlast.blueprint.load import parse
from outlast.bootstrap.preparing import permissions
from outlast.kernel.error import ConfigurationError, UsageError

ACCOUNT = "111122223333"
BUS = f"arn:aws:events:eu-central-1:{ACCOUNT}:event-bus/decisions"


def on_dynamodb(more: str = "", publish: str = "") -> Any:
    text = f"""
stores:
  journal:
    dynamodb: {{table: outlast, bucket: outlast-blobs, region: eu-central-1{more}}}
    {publish}
run_on: {{local: {{journal: dynamodb}}}}
"""
    return parse(text.encode())


def actions(document: str) -> dict[str, set[str]]:
    return {statement["Sid"]: set(statement["Action"]) for statement in json.loads(document)["Statement"]}


def test_a_worker_may_not_do_what_nobody_asks_it_to() -> None:
    found = actions(permissions(on_dynamodb(), "worker", ACCOUNT))
    assert set(found) == {"Bucket", "Indexes", "Objects", "Table"}
    assert "s3:DeleteObjectVersion" not in found["Objects"]
    assert not {"dynamodb:UpdateItem", "dynamodb:DescribeTable"} & found["Table"]


def test_where_runs_go_and_events_are_published_each_host_may_do_it() -> None:
    blueprint = on_dynamodb(", keep: 90d", "publish: {eventbridge: decisions}")
    document = permissions(blueprint, "worker", ACCOUNT)
    found = actions(document)
    assert "s3:DeleteObjectVersion" in found["Objects"]
    assert {"dynamodb:UpdateItem", "dynamodb:DescribeTimeToLive", "dynamodb:DescribeTable"} <= found["Table"]
    assert found["Stream"] == {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}
    assert found["Bus"] == {"events:PutEvents"}
    assert BUS in document
    assert "Bus" not in actions(permissions(blueprint, "preparer", ACCOUNT))


def test_on_other_engines_the_bus_is_all_that_is_asked_of_aws() -> None:
    publish = "publish: {eventbridge: decisions, region: eu-central-1}"
    on_file = parse(f"stores: {{journal: {{{publish}}}}}".encode())
    assert actions(permissions(on_file, "worker", ACCOUNT)) == {"Bus": {"events:PutEvents"}}
    text = f"stores: {{journal: {{postgres: {{url: env:P}}, {publish}}}}}\nrun_on: {{local: {{journal: postgres}}}}"
    grants = permissions(parse(text.encode()), "app", ACCOUNT)
    assert grants.startswith("GRANT ")
    _, _, after = grants.partition("-- and on AWS:\n")
    assert BUS in after
    assert all(line.startswith("-- ") for line in after.splitlines())


def test_whose_hosts_let_runs_go_or_anchor_in_s3_may_do_that_and_others_may_not() -> None:
    anchors = "keep: 30d, anchors: {s3: outlast-anchors}"
    asked = actions(permissions(on_dynamodb(publish=anchors.replace(", ", "\n    ", 1)), "worker", ACCOUNT))
    assert "s3:DeleteObjectVersion" in asked["Objects"]
    assert {"s3:PutObject", "s3:PutObjectRetention"} <= asked["Anchors"]
    text = "stores: {{journal: {{postgres: {{url: env:P}}{more}}}}}\nrun_on: {{local: {{journal: postgres}}}}"
    plain = permissions(parse(text.format(more="").encode()), "app", ACCOUNT)
    assert "DELETE ON outlast.record" not in plain
    grants = permissions(parse(text.format(more=f", {anchors}").encode()), "app", ACCOUNT)
    assert "GRANT DELETE ON outlast.record" in grants
    assert "arn:aws:s3:::outlast-anchors/anchors/*" in grants.partition("-- and on AWS:\n")[2]


def test_a_bus_whose_region_nobody_says_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    blueprint = parse(b"stores: {journal: {publish: {eventbridge: decisions}}}")
    with pytest.raises(ConfigurationError, match="has no region"):
        permissions(blueprint, "worker", ACCOUNT)
    with pytest.raises(UsageError, match="12 digits"):
        permissions(on_dynamodb(publish="publish: {eventbridge: decisions}"), "worker", "mine")


def test_who_takes_backups_in_s3_may_remove_none_and_a_keeper_may() -> None:
    backup = "backup: {journal: {full_every: 24h, places: {vault: 's3://vault/desk?region=eu-central-1', home: here}}}"
    on_file = parse(backup.encode())
    document = permissions(on_file, "worker", ACCOUNT)
    assert actions(document)["Depot"] == {"s3:ListBucket"}
    assert "arn:aws:s3:::vault/desk/*" in document
    assert "s3:DeleteObjectVersion" not in document
    assert "s3:DeleteObjectVersion" in actions(permissions(on_file, "keeper", ACCOUNT))["Backups"]
    assert "Backups" not in actions(permissions(on_dynamodb(), "worker", ACCOUNT))
