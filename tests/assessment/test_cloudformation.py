"""CloudFormation: functions, conditions, nested stacks, several regions."""

from __future__ import annotations

from typing import Any

from outlast.assessment.template.cloudformation import Source, cloudformation
from outlast.assessment.template.draft import Draft, draft_cloudformation
from outlast.assessment.template.resource import Resource, references
from outlast.blueprint.load import parse


def resources(text: str) -> dict[str, Resource]:
    return cloudformation([Source("t.yaml", text.encode(), "eu-central-1")]).resources


def properties(text: str) -> Any:
    return resources(text)["X"].properties


def drafted(*files: tuple[str, str, str]) -> Draft:
    return draft_cloudformation([Source(name, text.encode(), region) for name, region, text in files])


def test_short_and_long_functions_mean_the_same() -> None:
    long = properties("""
Parameters: {P: {Type: String, Default: live}}
Resources:
  Q: {Type: "AWS::SQS::Queue"}
  X:
    Type: A
    Properties:
      a: {"Fn::Sub": ["${P}-${v}-${Q.Arn}-${!P}", {v: {Ref: P}}]}
      b: {"Fn::GetAtt": [Q, Arn]}
      c: {"Fn::Join": ["-", [a, {Ref: P}]]}
      d: {"Fn::Select": [1, {"Fn::Split": [".", "a.b.c"]}]}
      e: {"Fn::If": [C, 1, {Ref: "AWS::NoValue"}]}
Conditions: {C: {"Fn::Not": [{"Fn::Equals": [{Ref: P}, live]}]}}
""")
    short = properties("""
Parameters: {P: {Type: String, Default: live}}
Resources:
  Q: {Type: "AWS::SQS::Queue"}
  X:
    Type: A
    Properties:
      a: !Sub ["${P}-${v}-${Q.Arn}-${!P}", {v: !Ref P}]
      b: !GetAtt Q.Arn
      c: !Join ["-", [a, !Ref P]]
      d: !Select [1, !Split [".", "a.b.c"]]
      e: !If [C, 1, !Ref "AWS::NoValue"]
Conditions: {C: !Not [!Equals [!Ref P, live]]}
""")
    assert long == short
    assert "e" not in long
    assert (long["c"], long["d"]) == ("a-live", "b")
    assert long["a"].startswith("live-live-")
    assert long["a"].endswith("-${P}")
    assert [reference.resource for reference in references(long["a"])] == ["Q"]


def test_a_condition_decides_with_defaults_and_is_said_where_they_do_not() -> None:
    inventory = cloudformation([
        Source("t.yaml", b"""
Parameters: {Stage: {Type: String, Default: test}, Other: {Type: String}}
Conditions:
  Live: !Equals [!Ref Stage, live]
  Unknown: !Equals [!Ref Other, yes]
  Either: !Or [!Condition Live, !Condition Unknown]
Resources:
  A: {Type: "AWS::SQS::Queue", Condition: Live}
  B: {Type: "AWS::SQS::Queue", Condition: Either}
""")
    ])  # fmt: skip
    assert list(inventory.resources) == ["B"]
    assert [(left.resource, left.line) for left in inventory.left] == [("A", 8)]
    assert any("condition Either is not decided" in remark for remark in inventory.remarks)


def test_a_nested_stack_that_is_given_is_read_with_its_parameters_and_outputs() -> None:
    outer = """
Resources:
  Data:
    Type: AWS::CloudFormation::Stack
    Properties: {TemplateURL: "https://s3.amazonaws.com/b/data.yaml", Parameters: {Days: 7}}
  Work:
    Type: AWS::Lambda::Function
    Properties: {Environment: {Variables: {TABLE: !GetAtt Data.Outputs.Table}}}
"""
    inner = """
Parameters: {Days: {Type: Number}}
Resources:
  Orders: {Type: "AWS::RDS::DBInstance", Properties: {BackupRetentionPeriod: !Ref Days, MultiAZ: true}}
Outputs: {Table: {Value: !Ref Orders}}
"""
    draft = drafted(("outer.yaml", "eu-central-1", outer), ("data.yaml", "", inner))
    blueprint = parse(draft.text.encode())
    assert list(blueprint.services["work"].needs) == ["orders"]
    assert blueprint.backup["orders"].point_in_time == 7 * 86400
    alone = drafted(("outer.yaml", "eu-central-1", outer))
    assert "give its template as another FILE" in alone.left[0].why


def test_what_one_stack_exports_another_imports() -> None:
    first = """
Resources: {Jobs: {Type: "AWS::SQS::Queue"}}
Outputs: {Jobs: {Value: !Ref Jobs, Export: {Name: !Sub "${AWS::Region}-jobs"}}}
"""
    second = """
Resources:
  Send: {Type: "AWS::Lambda::Function", Properties: {Environment: {Variables: {
    JOBS: !ImportValue "eu-central-1-jobs", GONE: !ImportValue gone}}}}
"""
    draft = drafted(("first.yaml", "eu-central-1", first), ("second.yaml", "eu-central-1", second))
    assert list(parse(draft.text.encode()).services["send"].needs) == ["jobs"]
    assert any("imports gone" in remark for remark in draft.remarks)


REGION = """
Parameters: {Count: {Type: Number, Default: COUNT}}
Resources:
  Api:
    Type: AWS::ECS::Service
    Properties: {DesiredCount: !Ref Count, TaskDefinition: !Ref Task}
  Task:
    Type: AWS::ECS::TaskDefinition
    Properties:
      RequiresCompatibilities: [FARGATE]
      ContainerDefinitions: [{Name: a, Environment: [{Name: FILES, Value: !Ref Files}]}]
  Files: {Type: "AWS::S3::Bucket"}
"""


def test_the_same_stack_in_two_regions_is_one_system_with_a_standby() -> None:
    home, standby = REGION.replace("COUNT", "4"), REGION.replace("COUNT", "1")
    draft = drafted(("home.yaml", "eu-central-1", home), ("standby.yaml", "eu-west-1", standby))
    blueprint = parse(draft.text.encode())
    assert blueprint.regions is not None
    assert blueprint.regions.standby is not None
    assert (blueprint.regions.home.aws, blueprint.regions.standby.aws) == ("eu-central-1", "eu-west-1")
    assert (blueprint.regions.strategy, blueprint.regions.standby.running) == ("warm_standby", 0.25)
    assert list(blueprint.services) == ["api"]
    assert blueprint.stores.more["files"].across_regions is not None
    assert blueprint.stores.more["files"].across_regions.mode == "none"
    cold = drafted(("home.yaml", "eu-central-1", home), ("dr.yaml", "eu-west-1", REGION.replace("COUNT", "0")))
    assert "strategy: pilot_light" in cold.text


def test_what_depends_on_something_unknown_needs_a_component_for_it() -> None:
    draft = drafted(("t.yaml", "eu-central-1", """
Resources:
  Work: {Type: "AWS::Lambda::Function", Properties: {Environment: {Variables: {A: !Ref Game, B: !GetAtt Flags.Url}}}}
  Game: {Type: "AWS::GameLift::Fleet"}
  Flags: {Type: "LaunchDarkly::Flags::Project"}
  Alone: {Type: "AWS::RoboMaker::Fleet"}
"""))  # fmt: skip
    blueprint = parse(draft.text.encode())
    assert set(blueprint.services["work"].needs) == {"game", "flags"}
    assert blueprint.services["game"].kind == "other"
    assert "flags" in blueprint.external
    assert {left.resource for left in draft.left} == {"Game", "Flags", "Alone"}


def test_an_autoscaling_group_behind_a_balancer_has_its_size_zones_and_health_check() -> None:
    draft = drafted(("t.yaml", "eu-central-1", """
Resources:
  A: {Type: "AWS::EC2::Subnet", Properties: {AvailabilityZone: eu-central-1a}}
  B: {Type: "AWS::EC2::Subnet", Properties: {AvailabilityZone: eu-central-1b}}
  Lb: {Type: "AWS::ElasticLoadBalancingV2::LoadBalancer", Properties: {Subnets: [!Ref A, !Ref B]}}
  L: {Type: "AWS::ElasticLoadBalancingV2::Listener", Properties: {
      LoadBalancerArn: !Ref Lb, DefaultActions: [{Type: forward, TargetGroupArn: !Ref G}]}}
  G: {Type: "AWS::ElasticLoadBalancingV2::TargetGroup", Properties: {HealthCheckPath: /deep}}
  T: {Type: "AWS::EC2::LaunchTemplate", Properties: {LaunchTemplateData: {InstanceType: m7g.large}}}
  Web:
    Type: AWS::AutoScaling::AutoScalingGroup
    Properties:
      {MinSize: "2", MaxSize: "6", LaunchTemplate: {LaunchTemplateId: !Ref T, Version: "1"},
       VPCZoneIdentifier: [!Ref A, !Ref B], TargetGroupARNs: [!Ref G]}
"""))  # fmt: skip
    web = parse(draft.text.encode()).services["web"]
    assert web.redundancy is not None
    assert (web.redundancy.instances, web.redundancy.max, web.redundancy.zones) == (2, 6, 2)
    assert (web.type, web.health) == ("m7g.large", "deep")
    assert list(parse(draft.text.encode()).services["lb"].needs) == ["web"]


def test_secrets_in_addresses_do_not_come_into_the_draft() -> None:
    draft = drafted(("t.yaml", "eu-central-1", """
Resources:
  Work:
    Type: AWS::Lambda::Function
    Properties: {Environment: {Variables: {HOOK: "https://u:hunter2@hooks.example.com/T0?key=hunter3", PW: hunter4}}}
"""))  # fmt: skip
    assert "hooks" in draft.text
    assert "hunter" not in draft.text


def test_where_nothing_decides_the_branch_that_says_something_is_taken() -> None:
    found = properties("""
Parameters: {P: {Type: String}}
Conditions: {C: !Equals [!Ref P, a]}
Resources: {X: {Type: A, Properties: {a: !If [C, !Ref "AWS::NoValue", 7]}}}
""")
    assert found == {"a": 7}


def test_a_profile_goes_before_its_model_and_old_rules_for_versions_are_read() -> None:
    draft = drafted(("t.yaml", "eu-central-1", """
Resources:
  Work:
    Type: AWS::Lambda::Function
    Properties: {Environment: {Variables: {A: "amazon.nova-lite-v1:0", B: "eu.amazon.nova-lite-v1:0"}}}
  Files:
    Type: AWS::S3::Bucket
    Properties:
      VersioningConfiguration: {Status: Enabled}
      LifecycleConfiguration: {Rules: [{NoncurrentVersionExpirationInDays: 12}]}
"""))  # fmt: skip
    blueprint = parse(draft.text.encode())
    assert [model.endpoints[0].bedrock for model in blueprint.models.values()] == ["eu.amazon.nova-lite-v1:0"]
    assert blueprint.backup["files"].versions == 12 * 86400
