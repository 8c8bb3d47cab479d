"""Hostile and broken files end in one clear error, in bounded time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlast.assessment.template.cloudformation import Source, cloudformation
from outlast.assessment.template.draft import draft_cloudformation, draft_terraform
from outlast.assessment.template.terraform import terraform
from outlast.assessment.template.text import read_text, template_bytes_max, yaml_template_bytes_max
from outlast.blueprint.load import parse
from outlast.kernel.error import ConfigurationError


def refused(raw: bytes) -> str:
    with pytest.raises(ConfigurationError) as error:
        cloudformation([Source("t.yaml", raw)])
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{" + b" " * template_bytes_max, "larger than template_bytes_max"),
        (b"a: b\n" * (yaml_template_bytes_max // 4), "larger than yaml_template_bytes_max"),
        (b'{"Resources": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper than template_depth_max, 64"),
        (b'{"Resources": ' + b"[" * 70 + b"]" * 70 + b"}", "nested deeper than template_depth_max, 64"),
        (b"Resources: " + b"[" * 5_000, "nested deeper than template_depth_max, 64"),
        (b'{"Resources": [' + b"1," * 500_000 + b"1]}", "more keys and values than template_values_max"),
        (b"a: &a [*a]\n", "t.yaml:1: an alias inside of what it stands for"),
        (b"Resources: {a: !!python/object:os.system {}}", "has no Type"),
        (b"Resources: {a: !<tag:x,1:y> {}}", "is not one of CloudFormation"),
        (b"Resources: {}\nResources: {}\n", "t.yaml:2: the key 'Resources' stands there twice"),
        (b"Resources: {}\n---\nResources: {}\n", "a second document"),
        (b"Resources: {a: \xff}", "not UTF-8"),
        (b"Resources: [", "t.yaml:2:1: not valid YAML"),
        (b'{"Resources": {]', "not valid JSON"),
        (b"", "has no Resources"),
        (b'{"planned_values": {}}', "try `outlast import terraform`"),
    ],
    ids=lambda value: value[:24].decode("utf-8", "replace") if isinstance(value, bytes) else value[:40],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(raw: bytes, expected: str) -> None:
    if "has no Type" in expected:
        assert cloudformation([Source("t.yaml", raw)]).left[0].why == expected
        return
    assert expected in refused(raw)


def test_aliases_that_multiply_are_counted_before_they_are_followed() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "aliases counted in" in refused("\n".join(lines).encode())


def test_functions_that_multiply_are_bounded() -> None:
    conditions: dict[str, Any] = {f"C{n}": {"Fn::And": [{"Condition": f"C{n - 1}"}] * 10} for n in range(1, 300)}
    conditions["C0"] = {"Condition": "C299"}
    template = {"Conditions": conditions, "Resources": {"Q": {"Type": "AWS::SQS::Queue", "Condition": "C299"}}}
    assert "Q" in cloudformation([Source("t", json.dumps(template).encode())]).resources
    found = {"Fn::FindInMap": ["M", "a", "b"]}
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"X": found}}
    circle = {"Mappings": {"M": {"a": {"b": found}}}, "Resources": {"Q": queue}}
    assert "Q" in cloudformation([Source("t", json.dumps(circle).encode())]).resources


def test_resources_in_a_circle_are_read_like_any_others() -> None:
    template = """
Resources:
  A: {Type: "AWS::Lambda::Function", Properties: {Environment: {Variables: {OTHER: !Ref B}}}}
  B: {Type: "AWS::Lambda::Function", Properties: {Environment: {Variables: {OTHER: !Ref A}}}}
"""
    draft = draft_cloudformation([Source("t.yaml", template.encode())])
    needs = {drawn.component: list(drawn.needs) for drawn in draft.components}
    assert needs == {"services.a": ["services.b"], "services.b": []}, "an assumption makes no circle of two"


def test_modules_of_terraform_that_lead_to_themselves_end() -> None:
    outputs = {"o": {"expression": {"references": ["var.x"]}}}
    call = {"expressions": {"x": {"references": ["module.m.o"]}}, "module": {"outputs": outputs}}
    queue = {"address": "aws_sqs_queue.q", "mode": "managed", "type": "aws_sqs_queue", "name": "q"}
    plan = {
        "planned_values": {"root_module": {"resources": [{**queue, "values": {}}]}},
        "configuration": {
            "root_module": {
                "resources": [{**queue, "expressions": {"name": {"references": ["module.m.o"]}}}],
                "module_calls": {"m": call},
            }
        },
    }
    assert "aws_sqs_queue.q" in terraform([Source("p", json.dumps(plan).encode())]).resources


@pytest.mark.parametrize("raw", [b'resource "aws_s3_bucket" "b" {}', b'{"Resources": {}}', b"[]", b'{"values": 3}'])
def test_what_is_no_plan_of_terraform_is_refused_with_advice(raw: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"terraform show -json"):
        draft_terraform([Source("main.tf", raw)])


def test_characters_that_mark_references_do_not_come_from_a_file() -> None:
    text = read_text("t", '{"a": "\ue000Secret|Arn\ue001"}'.encode())
    assert text.value == {"a": "\ufffdSecret|Arn\ufffd"}


def test_what_an_attacker_calls_his_resources_stays_in_its_comment() -> None:
    name = "Queue\n\x1b[31m#: evil: {a: 1}\u2028"
    template = {"Resources": {name: {"Type": "AWS::SQS::Queue"}}}
    draft = draft_cloudformation([Source("t\nname: evil", json.dumps(template).encode())], "x")
    assert "\x1b" not in draft.text
    assert list(parse(draft.text.encode()).queues) == ["queue_31m_evil_a_1"]
    assert parse(draft.text.encode()).name == "x"
