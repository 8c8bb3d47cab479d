"""What the CDK itself synthesized (`templates_of_cdk/app.js`, aws-cdk-lib 2) is read as its author meant it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from outlast.assessment.template.cloudformation import Source
from outlast.assessment.template.draft import Draft, draft_cloudformation

FILES = Path(__file__).parent / "templates_of_cdk"
NESTED = "SearchInner83068492.nested"


def read(*stacks: str, without: str = "") -> tuple[Draft, dict[str, Any]]:
    sources = [
        Source(f"{name}.template.json", raw.replace(without.encode(), b"x") if without else raw, "eu-central-1")
        for name in stacks
        for raw in [(FILES / f"{name}.template.json").read_bytes()]
    ]
    draft = draft_cloudformation(sources)
    return draft, yaml.safe_load(draft.text)


def needs(document: dict[str, Any], name: str) -> set[str]:
    return set(document["services"][name]["needs"])


def test_containers_behind_a_balancer_with_a_queue_and_a_database() -> None:
    draft, document = read("Net", "Shop")
    assert not draft.left
    assert document["services"]["web_service"]["redundancy"] == {"instances": 3, "zones": 3, "max": 9}
    assert needs(document, "web_service") == {"jobs", "secret", "orders", "nat"}
    worker = document["services"]["queue_processing_fargate_service"]
    assert worker["needs"]["jobs"] == {"strength": "hard", "mode": "asynchronous"}
    assert document["stores"]["orders"]["standbys"] == 1
    assert document["queues"]["jobs"]["attempts"] == 5
    assert document["backup"]["orders"] == {"point_in_time": "14d", "full_every": "24h", "keep": "35d"}


def test_an_alarm_that_scales_pages_nobody() -> None:
    _, document = read("Net", "Shop")
    said = {name: (one.get("do"), one.get("page")) for name, one in document["alarms"].items()}
    assert said["lower_alarm"] == said["upper_alarm"] == ("scale", None)
    assert {page for _, page in said.values()} == {None, "page"}
    assert document["alarms"]["jobs_old_alarm"]["of"] == ["jobs"]


def test_functions_that_only_deploy_are_no_part_of_the_system() -> None:
    draft, document = read("Serverless")
    assert {one.resource.partition("4")[0] for one in draft.left if one.type == "AWS::Lambda::Function"} == {
        "CustomS3AutoDeleteObjectsCustomResourceProviderHandler9D9018",
        "BucketNotificationsHandler050a0587b75",
    }
    assert all("stack is changed" in one.why for one in draft.left if one.type == "AWS::Lambda::Function")
    assert set(document["services"]) == {
        "rest", "api", "reader", "nightly", "stream", "uploaded", "flow", "night"
    }  # fmt: skip
    assert document["services"]["uploaded"]["needs"] == {"files": {"strength": "hard", "mode": "asynchronous"}}
    assert document["stores"]["carts"]["indexes"] == 2


@pytest.mark.parametrize("without", ["", "aws:asset:path"], ids=["with metadata", "without"])
def test_a_stack_within_a_stack_is_found_with_and_without_the_metadata_that_names_it(without: str) -> None:
    draft, document = read("Net", "Search", NESTED, without=without)
    assert not draft.left
    assert needs(document, "ask") == {"index", "told", "cache", "users", "nat"}


def test_a_stack_within_a_stack_that_is_not_given_is_listed() -> None:
    draft, _ = read("Net", "Search")
    assert [one.type for one in draft.left] == ["AWS::CloudFormation::Stack"]
