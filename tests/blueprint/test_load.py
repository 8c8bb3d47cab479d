"""From ``outlast.yaml`` to frozen structs, or to an error that says where and what."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.blueprint.agent import Agent, Budget, Reads, ScaleOn, Workers
from outlast.blueprint.alarm import BurnRate, Escalation, Measure
from outlast.blueprint.backup import Backup
from outlast.blueprint.component import Need
from outlast.blueprint.deploy import Deploy, Slice
from outlast.blueprint.drill import DrillLoad, StopIf
from outlast.blueprint.link import components
from outlast.blueprint.load import check_agents, load, load_file, parse, parse_placed
from outlast.blueprint.model import Canary, Fallback, Model, ModelEndpoint, ModelGuard
from outlast.blueprint.objective import Latency, Load, Objective, Recovery, Survive
from outlast.blueprint.queue import Queue
from outlast.blueprint.region import Edge, Failback, Failover, Probe, Region, Regions
from outlast.blueprint.run_on import Local, LocalModels, OnAws, RunOn, Spending
from outlast.blueprint.schema import Blueprint, DynamoJournal, Listen, PostgresJournal, Server
from outlast.blueprint.secret import KeyPlace, Secret
from outlast.blueprint.service import External
from outlast.blueprint.store import AcrossRegions
from outlast.blueprint.training import Promotion
from outlast.kernel.error import ConfigurationError

EVERYTHING = b"""
outlast: 1
name: support-desk
app: desk.main:app
workers: {min: 3, memory_max: 512MiB}
takeover_after: 500ms
agents:
  support:
    workers: {min: 6}
    deadline: 30s
    budget: {steps: 60, tokens: 40000, cost: 0.25USD, time: 10m}
  "no": {deadline: 2h}
models:
  writer:
    endpoints:
      - {name: own, url: "http://127.0.0.1:8001/v1/", model: smollm2, key: env:WRITER_KEY}
server: {listen: "[::1]:80", token: file:.token}
run_on:
  local: {journal: sqlite, durability: process}
"""


WHOLE = Path(__file__).with_name("whole.yaml").read_bytes()


def refused(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode())
    message = str(caught.value)
    assert message.startswith("outlast.yaml:")
    assert "\n" not in message
    return message


def test_everything_that_means_something_is_read_with_its_unit() -> None:
    assert parse(EVERYTHING) == Blueprint(
        outlast=1,
        name="support-desk",
        app="desk.main:app",
        workers=Workers(min=3, memory_max=512 << 20),
        takeover_after=0.5,
        agents={
            "support": Agent(Workers(min=6), 30.0, Budget(60, 40000, 0.25, 600.0)),
            "no": Agent(deadline=7200.0),
        },
        models={
            "writer": Model((ModelEndpoint("own", "http://127.0.0.1:8001/v1", "smollm2", Secret("env", "WRITER_KEY")),))
        },
        server=Server(Listen("::1", 80), Secret("file", ".token")),
        run_on=RunOn(Local("sqlite", "process")),
    )


def test_a_system_of_two_regions_is_read_section_by_section() -> None:
    whole = parse(WHOLE)
    assert whole.objectives["live"] == Objective(
        0.9995,
        latency=Latency(first_token_p95=1.5, turn_p99=20.0),
        survive=Survive(
            process=Recovery(1.0, 0.0),
            zone=Recovery(15.0, 0.0),
            region=Recovery(60.0, 5.0),
            corruption=Recovery(3600.0, 300.0),
        ),
    )
    assert whole.load["live"] == Load(1.0, 10.0, 6.0, 2.0)
    assert whole.regions == Regions(
        home=Region("eu-central-1", 3, 1.0),
        standby=Region("eu-west-1", 3, 0.0, 1.0),
        strategy="warm_standby",
        residency="eu",
        edge=Edge("support.example.com", 20.0, probe=Probe(10.0, 3, 3)),
        failover=Failover("automatic", "observers_agree", 5.0),
        failback=Failback("manual", True),
    )
    assert whole.agents["support"].workers == Workers(6, max=24, scale_on=ScaleOn(backlog_per_worker=4))
    assert whole.agents["support"].needs["journal"] == Need("hard")
    assert whole.agents["support"].needs["payments"] == Need("soft")
    assert whole.agents["intake"].reads == Reads("documents_in", 5)
    assert [endpoint.source for endpoint in whole.models["writer"].endpoints] == ["each_region", None]
    assert [endpoint.max for endpoint in whole.models["writer"].endpoints] == [None, 6]
    assert whole.stores.journal.across_regions == AcrossRegions("eventual")
    assert whole.stores.more["documents"].across_regions == AcrossRegions("eventual", 900.0)
    assert whole.stores.more["knowledge"].source == "documents"
    assert whole.stores.more["orders"].survive == Survive(zone=Recovery(60.0, 0.0), region=Recovery(600.0, 5.0))
    assert whole.queues["documents_in"] == Queue(aws="sqs", visibility=300.0, keep=14 * 86400.0)
    assert whole.external["payments"] == External(
        url="https://pay.example.com", effect="once", timeout=4.0, rate=30.0, on_loss="wait"
    )
    assert whole.training["classifier"].promote_if == Promotion(0.85)
    assert whole.backup["documents"] == Backup(
        versions=90 * 86400.0, copies=("standby", "vault"), test_restore="monthly"
    )
    assert whole.alarms["turns_failing"].burn_rate == (BurnRate(14.0, 3600.0), BurnRate(6.0, 21600.0))
    assert whole.alarms["lagging"].above == Measure(4.0, "s")
    assert whole.alarms["model_drift"].below == Measure(0.85)
    assert whole.escalation["ml"] == (Escalation("chat:ml"), Escalation("page:ml", 1800.0))
    assert whole.drills.load == DrillLoad({"live": 5.0}, 300.0)
    assert whole.drills.stop_if == StopIf({"live_errors": 0.2}, 60.0)
    assert whole.deploy == Deploy(("standby", "home"), Slice(1, "cell"), 900.0, ("turns_failing", "model_drift"))
    assert whole.run_on.local.stores["orders"] == "postgres"
    assert whole.run_on.local.models == LocalModels(2, "smollm2")
    assert whole.run_on.aws == OnAws("111122223333", "444455556666", "fargate", Spending(9000.0, 40000.0))


def test_what_was_read_goes_to_children_as_json_and_comes_back() -> None:
    whole = parse(WHOLE)
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Blueprint) == whole


def test_the_place_of_every_key_and_list_item_is_told() -> None:
    _, places = parse_placed(WHOLE)
    lines = WHOLE.decode().splitlines()
    for path, word in (
        ("agents.support.needs.writer", "writer"),
        ("stores.orders", "orders"),
        ("models.writer.endpoints[1]", "{name: own"),
        ("run_on.aws.budget.tokens", "tokens"),
        ("alarms.overload.all[1]", "slow_tokens"),
    ):
        line, column = places[path]
        assert lines[line - 1][column - 1 :].startswith(word)
    assert "stores.orders.kind" in places
    assert "stores.journal.replicas" not in places


def test_a_file_is_read_wherever_it_is_and_named_after_its_directory(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("workers: {min: 3}")
    assert load_file(tmp_path / "other.yaml")[0].name == tmp_path.name
    assert load_file(tmp_path / "other.yaml", "desk")[0].name == "desk"
    with pytest.raises(ConfigurationError, match=r"none\.yaml is not there"):
        load_file(tmp_path / "none.yaml")


def test_five_hundred_components_are_read_within_the_bounds() -> None:
    needs = "{strength: soft, timeout: 300ms, retry: {attempts: 3, budget: 10%}}"
    lines = ["services:"]
    for index in range(500):
        before = ", ".join(f"s{other}: {needs}" for other in range(max(0, index - 3), index))
        lines += [f"  s{index}:", "    kind: api", "    redundancy: {instances: 3}", f"    needs: {{{before}}}"]
    blueprint, places = parse_placed("\n".join(lines).encode())
    assert len(components(blueprint)) == 501
    assert places["services.s499"].line == 2 + 499 * 4


def test_no_file_and_an_empty_file_are_all_defaults_named_after_the_directory(tmp_path: Path) -> None:
    home = tmp_path / "My desk!"
    home.mkdir()
    assert load(home) == Blueprint(name="My-desk")
    (home / "outlast.yaml").write_text("# nothing yet\n")
    assert load(home) == Blueprint(name="My-desk")
    (home / "outlast.yaml").write_text("name: desk\n")
    assert load(home).name == "desk"


def test_what_was_read_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        parse(b"name: a").name = "b"  # type: ignore[misc] # that is the point


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("worker: {min: 1}", "1:1", "unknown key 'worker' in the file: did you mean 'workers'?"),
        ("agents:\n  a:\n    deadlin: 3s", "3:5", "unknown key 'deadlin' in agents.a: did you mean 'deadline'?"),
        ("agents: {a: {klass: live}}", "1:14", "unknown key 'klass' in agents.a: did you mean 'class'?"),
        ("<<: {name: a}", "1:1", "unknown key '<<'"),
        ("? [a]\n: 1", "1:3", "a key in the file is a list"),
        ("outlast: 2", "1:10", "'2' found, expected 1"),
        ("name:", "1:6", "name is empty"),
        ("name: ~", "1:7", "name is empty"),
        ("name: [a]", "1:7", "name is a list, expected one value"),
        ("name: {a: b}", "1:7", "name is a mapping, expected one value"),
        ("name: 'a b'", "1:7", "name 'a b' is not valid"),
        ("name: !!python/object/apply:os.system [ls]", "1:7", "name is a list"),
        ("name: !!python/name:os.system x", "1:7", "tags are not allowed"),
        ("name: a\nname: b", "2:1", "key 'name' stands twice in the file"),
        ("agents: {a: {}, a: {}}", "1:17", "key 'a' stands twice in agents"),
        ("agents: {'a b': {}}", "1:10", "agents name 'a b' is not valid"),
        ("agents: {a: }", "1:13", "agents.a is empty, expected keys and values"),
        ("agents: [a]", "1:9", "agents is a list, expected keys and values"),
        ("app: app", "1:6", "expected module:object"),
        ("app: '../app:app'", "1:6", "expected module:object"),
        ("workers: 3", "1:10", "workers is a single value, expected keys and values"),
        ("workers: {min: 0}", "1:16", "workers.min is 0, expected a number >= 1"),
        ("workers: {min: 65}", "1:16", "workers.min is 65, expected a number <= 64"),
        ("workers: {min: '2'}", "1:16", "expected a whole number, without quotes"),
        ("workers: {min: 2.5}", "1:16", "expected a whole number"),
        ("workers: {min: -1}", "1:16", "expected a whole number"),
        ("workers: {min: 99999999999999999999}", "1:16", "expected a whole number"),
        ("workers: {memory_max: 1GB}", "1:23", "size '1GB' is not understood"),
        ("workers: {memory_max: 1073741824}", "1:23", "has no unit: write for example 1073741824MiB"),
        ("takeover_after: 1", "1:17", "1 has no unit: write for example 1s"),
        ("takeover_after: 0s", "1:17", "expected more than nothing"),
        ("takeover_after: soon", "1:17", "duration 'soon' is not understood"),
        ("takeover_after: 99999999999d", "1:17", "is not understood"),
        ("agents: {a: {budget: {cost: 3EUR}}}", "1:29", "amount '3EUR' is not understood"),
        ("agents: {a: {budget: {steps: many}}}", "1:30", "expected a whole number"),
        ("models: {w: {endpoints: {}}}", "1:25", "models.w.endpoints is a mapping, expected a list"),
        ("models: {w: {endpoints: []}}", "1:13", "models.w has 0 endpoints, expected at least one"),
        ("models: {w: {}}", "1:13", "models.w lacks endpoints"),
        ("models: {w: {endpoints: [{url: 'http://h/v1', model: m}]}}", "1:26", "models.w.endpoints[0] lacks name"),
        ("server: {listen: '7788'}", "1:18", "expected HOST:PORT"),
        ("server: {listen: 'localhost:70000'}", "1:18", "expected HOST:PORT"),
        ("server: {listen: '0.0.0.0:80'}", "1:9", "which others can reach: set token"),
        ("run_on: {local: {durability: none}}", "1:30", "'none' found, expected power or process"),
        ("run_on: {local: {journal: mysql}}", "1:27", "'mysql' found, expected sqlite or postgres or dynamodb"),
        ("run_on: {local: {journal: postgres}}", "1:18", "write stores: {journal: {postgres: …}}"),
        ("stores: {journal: {postgres: {url: 'postgresql://me:hunter2@db/x'}}}", "1:36", "(not shown)"),
        ("stores: {journal: {postgres: {url: env:X, strong: yes}}}", "1:51", "expected true or false"),
        ("stores: {journal: {dynamodb: {bucket: A}}}", "1:30", "expected 3 to 63 lower-case letters"),
        ("stores: {journal: {dynamodb: {bucket: abc, region: Mars}}}", "1:52", "expected one such as eu-central-1"),
        ("stores: {journal: {dynamodb: {bucket: abc, queue: 'a b'}}}", "1:51", "expected http://HOST:PORT/PATH"),
        ("agents: {a: {reads: {queue: q}}}", "1:22", "which is not one of queues: known: none"),
        ("queues: {q: {sqs: 'https://sqs/1/q'}}", "1:13", "lacks dead_letters"),
        ("queues: {q: {sqs: 'https://s/q', dead_letters: 'https://s/d', region: x}}", "1:71", "such as eu-central-1"),
        ("run_on: {gcp: {}}", "1:10", "unknown key 'gcp' in run_on: known: local, aws"),
        ("workers: {memory_max: %sB}" % ("9" * 400), "1:23", "is not understood"),
    ],
)
def test_what_cannot_be_accepted_is_refused_where_it_stands(text: str, where: str, message: str) -> None:
    found = refused(text)
    assert found.startswith(f"outlast.yaml:{where}: ")
    assert message in found


POOL = b"""
models:
  writer:
    endpoints:
      - {name: a, url: "http://h/v1", model: m, weight: 2.5, quota: 1500/m, limit: 8, warm_up: 90s, lacks: [tools]}
      - {name: b, url: "http://i/v1", model: m, context: 8192}
    fallback: {name: c, url: "http://j/v1", model: n, mark: degraded}
    guard: {error_rate: 10%, slower_than_peers: 4x, window: 20s, open_for: 5s, retry_budget: 5%, hedge_after: never}
    canary: {prompts: golden/writer.jsonl, every: 30s, min_score: 0.85}
"""


def test_a_pool_is_read_with_its_policies() -> None:
    model = parse(POOL).models["writer"]
    assert model == Model(
        (
            ModelEndpoint("a", "http://h/v1", "m", None, 2.5, 25.0, 8, 90.0, None, ("tools",)),
            ModelEndpoint("b", "http://i/v1", "m", context=8192),
        ),
        Fallback("c", "http://j/v1", "n"),
        ModelGuard(0.1, 4.0, 20.0, 5.0, 0.05, "never"),
        Canary("golden/writer.jsonl", 30.0, 0.85),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("endpoints: [{E}, {E}]", "models.w has two endpoints named 'a': rename one"),
        ("endpoints: [{E}], fallback: {E}", "models.w has two endpoints named 'a': rename one"),
        ("endpoints: [{E, weight: 0}]", "models.w has only endpoints of weight 0"),
        ("endpoints: [{E, weight: much}]", "models.w.endpoints[0].weight: 'much' is not understood: expected a number"),
        ("endpoints: [{E, quota: 1500}]", "1500 has no unit: write for example 1500/m"),
        ("endpoints: [{E, quota: 5/y}]", "rate '5/y' is not understood"),
        ("endpoints: [{E, load: [feet]}]", "'feet' is not understood: expected metrics, slots, nvml:INDEX or http"),
        ("endpoints: [{E, load: ['http://me:pw@h/metrics']}]", "holds a user or password"),
        ("endpoints: [{E}], fallback: {F, load: [slots]}", "a fallback stands alone"),
        ("endpoints: [{name: b, bedrock: x, load: [metrics]}]", "has load: bedrock does not tell its load"),
        ("endpoints: [{E, lacks: [feet]}]", "'feet' found, expected tools or schema or vision"),
        ("endpoints: [{E, bedrock: eu.x}]", "models.w.endpoints[0] has url and bedrock: expected one of url"),
        ("endpoints: [{name: s}]", "models.w.endpoints[0] has none of them: expected one of url"),
        ("endpoints: [{name: s, url: 'http://h/v1'}]", "models.w.endpoints[0] lacks model"),
        ("endpoints: [{E, region: eu-west-1}]", "has a region: only bedrock and sagemaker have one"),
        ("endpoints: [{name: s, bedrock: x, key: env:K}]", "has a key: bedrock uses the AWS credentials"),
        ("endpoints: [{name: s, bedrock: x, model: y}]", "has a model: bedrock names it already"),
        ("endpoints: [{name: s, sagemaker: x, region: Mars}]", "'Mars' is not understood: expected one such as eu-"),
        ("endpoints: [{E, min: -1}]", "models.w.endpoints[0].min: '-1' is not understood"),
        ("endpoints: [{E, min: 3, max: 2}]", "models.w.endpoints[0] has max 2, which is less than min 3"),
        ("endpoints: [{E}], guard: {error_rate: 200%}", "models.w.guard.error_rate: share '200%' is not understood"),
        ("endpoints: [{E}], guard: {error_rate: 20}", "20 has no unit: write for example 20%"),
        ("endpoints: [{E}], guard: {slower_than_peers: 1x}", "has slower_than_peers 1x or less: expected more"),
        ("endpoints: [{E}], guard: {slower_than_peers: fast}", "factor 'fast' is not understood"),
        ("endpoints: [{E}], guard: {hedge_after: p42}", "'p42' found, expected p50 or p90"),
        ("endpoints: [{E}], canary: {prompts: p, keep_versions: 0}", "keep_versions is 0, expected a number >= 1"),
        ("endpoints: [{E}], canary: {prompts: p, min_score: 1}", "1 found, expected more than 0 and less than 1"),
        ("endpoints: [{E}], fallback: {F, mark: fine}", "models.w.fallback.mark: 'fine' found, expected degraded"),
    ],
)
def test_what_no_pool_can_have_is_refused(text: str, problem: str) -> None:
    text = text.replace("{E", "{name: a, url: 'http://h/v1', model: m")
    text = text.replace("{F", "{name: f, url: 'http://h', model: m")
    assert problem in refused(f"models: {{w: {{{text}}}}}")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/v1",
        "h/v1",
        "http://",
        "http://h:99999/v1",
        "http://[::1/v1",
        "http://h/v1?a=hunter2",
        "http://u:hunter2@h/v1",
    ],
)
def test_a_bad_url_is_refused_and_not_shown_because_it_may_hold_a_secret(url: str) -> None:
    found = refused(f"models: {{w: {{endpoints: [{{name: a, url: '{url}', model: m}}]}}}}")
    assert "url" in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "where", ["server: {token: %s}", "models: {w: {endpoints: [{name: a, url: 'http://h', model: m, key: %s}]}}"]
)
def test_a_secret_that_stands_in_the_file_is_refused_and_not_shown(where: str) -> None:
    found = refused(where % "hunter2")
    assert "env:NAME or file:PATH" in found
    assert "hunter2" not in found


def test_an_agent_that_the_app_does_not_have_is_named_with_the_nearest_one() -> None:
    blueprint = parse(b"agents: {suport: {}}")
    with pytest.raises(ConfigurationError, match=r"agents\.suport is not an agent of app:app: did you mean 'support'"):
        check_agents(blueprint, {"support": 1, "intake": 2})
    check_agents(blueprint, {"suport": 1})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "outlast.yaml").mkdir()
    with pytest.raises(ConfigurationError, match=r"outlast\.yaml cannot be read: is a directory"):
        load(tmp_path)


def test_a_link_to_nothing_is_an_error_and_not_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "outlast.yaml").symlink_to("production.yaml")
    with pytest.raises(ConfigurationError, match=r"outlast\.yaml is a link to production\.yaml, which is not there"):
        load(tmp_path)


def test_the_error_names_the_file_by_its_whole_path(tmp_path: Path) -> None:
    (tmp_path / "outlast.yaml").write_text("a: 1")
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/outlast.yaml:1:1: ")


_words = st.sampled_from(
    [
        *Blueprint.__struct_fields__,
        "support",
        "min",
        "endpoints",
        "url",
        "env:A",
        "1s",
        "1",
        "a b",
        "*a",
        "&a",
        "local",
        "~",
    ]
)
_values = st.recursive(
    _words,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
        | st.dictionaries(_words, inner, max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
        )
    ),
    max_leaves=12,
)


@given(_values)
def test_any_yaml_gives_a_blueprint_or_one_clear_error(text: str) -> None:
    try:
        blueprint, found = parse(text.encode()), "outlast.yaml"
    except ConfigurationError as error:
        blueprint, found = Blueprint(), str(error)
    assert found.startswith("outlast.yaml")
    assert "\n" not in found
    assert msgspec.convert(msgspec.to_builtins(blueprint), Blueprint) == blueprint


def test_the_journal_may_be_on_engines_that_many_machines_share() -> None:
    text = b"""
stores:
  journal:
    postgres: {url: env:OUTLAST_POSTGRES, strong: true}
    dynamodb: {table: t, bucket: outlast-blobs, region: eu-central-1, endpoint_url: "http://127.0.0.1:4566",
               queue: "https://sqs/1/q"}
run_on: {local: {journal: postgres}}
"""
    blueprint = parse(text)
    assert blueprint.run_on.local.journal == "postgres"
    assert blueprint.stores.journal.postgres == PostgresJournal(Secret("env", "OUTLAST_POSTGRES"), strong=True)
    assert blueprint.stores.journal.dynamodb == DynamoJournal(
        "outlast-blobs", "t", "eu-central-1", "http://127.0.0.1:4566", "https://sqs/1/q"
    )


@pytest.mark.parametrize(
    "text",
    [
        "env:KEYS",
        "file:keys.json",
        "aws-secret:outlast/keys",
        "kms:alias/outlast",
        "kms:arn:aws:kms:eu-central-1:111122223333:key/1",
    ],
)
def test_payloads_may_be_sealed_with_keys_that_are_elsewhere(text: str) -> None:
    kind, _, place = text.partition(":")
    blueprint = parse(f"stores: {{journal: {{encrypt: '{text}'}}}}".encode())
    assert blueprint.stores.journal.encrypt == KeyPlace(kind, place)  # type: ignore[arg-type]
    assert str(blueprint.stores.journal.encrypt) == text


@pytest.mark.parametrize("text", ["c2VjcmV0", "env:", "kms:", "vault:x", "env:A B"])
def test_a_key_that_stands_there_itself_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError, match="env:NAME, file:PATH, aws-secret:NAME or kms:alias/NAME") as caught:
        parse(f"stores: {{journal: {{encrypt: '{text}'}}}}".encode())
    assert repr(text) not in str(caught.value)
