"""Plans of Terraform: what a module is given is followed to where it comes from."""

from __future__ import annotations

import json

from outlast.assessment.template.cloudformation import Source
from outlast.assessment.template.draft import draft_terraform


def test_a_variable_of_a_module_leads_to_what_the_caller_gave() -> None:
    def resource(kind: str, name: str, **more: object) -> dict[str, object]:
        return {"address": f"{kind}.{name}", "mode": "managed", "type": kind, "name": name, **more}

    environment = [{"variables": {"references": ["var.queue"]}}]
    plan = {
        "planned_values": {
            "root_module": {
                "resources": [resource("aws_sqs_queue", "jobs", values={})],
                "child_modules": [
                    {
                        "address": "module.send",
                        "resources": [
                            {
                                **resource("aws_lambda_function", "this", values={}),
                                "address": "module.send.aws_lambda_function.this",
                            }
                        ],
                    }
                ],
            }
        },
        "configuration": {
            "root_module": {
                "resources": [resource("aws_sqs_queue", "jobs", expressions={})],
                "module_calls": {
                    "send": {
                        "expressions": {"queue": {"references": ["aws_sqs_queue.jobs.url", "aws_sqs_queue.jobs"]}},
                        "module": {
                            "resources": [
                                resource("aws_lambda_function", "this", expressions={"environment": environment})
                            ]
                        },
                    }
                },
            }
        },
    }
    draft = draft_terraform([Source("plan.json", json.dumps(plan).encode())])
    needs = {drawn.component: list(drawn.needs) for drawn in draft.components}
    assert needs == {"services.send": ["queues.jobs"], "queues.jobs": []}


def test_references_that_are_no_list_or_very_many_are_read_in_bounds() -> None:
    import json

    from outlast.assessment.template.cloudformation import Source
    from outlast.assessment.template.terraform import terraform

    many = [f"aws_sqs_queue.jobs.x{i}" for i in range(20_000)]
    for references in (7, True, "x" * 20_000, {"a": 1}, many, ["aws_sqs_queue.jobs.arn", "aws_sqs_queue.jobs"]):
        plan = {
            "planned_values": {"root_module": {"resources": [
                {"address": f"aws_sqs_queue.{name}", "mode": "managed", "type": "aws_sqs_queue", "name": name,
                 "values": {}}
                for name in ("jobs", "other")
            ]}},
            "configuration": {"root_module": {"resources": [
                {"address": "aws_sqs_queue.other", "mode": "managed", "type": "aws_sqs_queue", "name": "other",
                 "expressions": {"kms_master_key_id": {"references": references}}}
            ]}},
        }  # fmt: skip
        found = terraform([Source("plan.json", json.dumps(plan).encode())])
        assert set(found.resources) == {"aws_sqs_queue.jobs", "aws_sqs_queue.other"}
