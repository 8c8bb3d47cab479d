"""Two deployments of one stack: one that was changed by hand is named."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from outlast.assessment.template.cloudformation import Source
from outlast.assessment.template.difference import Difference, differences
from outlast.assessment.template.draft import draft_cloudformation
from outlast.blueprint.load import parse
from outlast.blueprint.schema import Blueprint

STACK: dict[str, Any] = {
    "Resources": {
        "Orders": {
            "Type": "AWS::RDS::DBInstance",
            "Properties": {"Engine": "postgres", "MultiAZ": True, "BackupRetentionPeriod": 35},
        },
        "Jobs": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 60}},
        "Events": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}},
        },
        "Files": {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}},
    }
}


def deployed(region: str, resource: str = "", changed: dict[str, Any] | None = None) -> Blueprint:
    """The stack in a region, with properties of one resource changed."""
    stack = yaml.safe_load(yaml.safe_dump(STACK))
    if resource:
        stack["Resources"][resource]["Properties"] |= changed or {}
    text = yaml.safe_dump(stack).encode()
    return parse(draft_cloudformation([Source("stack.yaml", text, region)], "shop").text.encode())


def test_the_same_stack_in_two_regions_has_no_differences() -> None:
    assert differences(deployed("eu-central-1"), deployed("eu-west-1")) == []


@pytest.mark.parametrize(
    ("resource", "changed", "named"),
    [
        ("Orders", {"MultiAZ": False}, Difference("stores.orders.standbys", 1, 0)),
        ("Orders", {"BackupRetentionPeriod": 1}, Difference("backup.orders.point_in_time", "35d", "1d")),
        ("Jobs", {"VisibilityTimeout": 5}, Difference("queues.jobs.visibility", "1m", "5s")),
        ("Events", {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}},
         Difference("backup.events", {"point_in_time": "35d"}, None)),
    ],
)  # fmt: skip
def test_what_was_changed_by_hand_in_one_region_is_named(
    resource: str, changed: dict[str, Any], named: Difference
) -> None:
    found = differences(deployed("eu-central-1"), deployed("eu-west-1", resource, changed))
    assert named in found
    assert {one.where.split(".")[1] for one in found} == {resource.lower()}, "nothing else is"


def test_a_resource_that_is_missing_is_named() -> None:
    whole, lacking = deployed("eu-central-1"), yaml.safe_load(yaml.safe_dump(STACK))
    del lacking["Resources"]["Files"]
    text = yaml.safe_dump(lacking).encode()
    other = parse(draft_cloudformation([Source("stack.yaml", text, "eu-west-1")], "shop").text.encode())
    assert "stores.files" in {one.where for one in differences(whole, other)}
    assert [one.here for one in differences(other, whole) if one.where == "stores.files"] == [None]
