"""Models and agents: what Bedrock and SageMaker are asked for, by resources, rights and names in the environment."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from outlast.assessment.template.network import Network
from outlast.assessment.template.noun import noun_of
from outlast.assessment.template.resource import Resource, count, items, listed, plain, references, texts
from outlast.assessment.template.sketch import Part, Sketch
from outlast.assessment.template.text import walk

_MODEL = re.compile(
    r"\b(?:(?P<profile>global|us-gov|us|eu|apac|jp|au|ca)\.)?"
    r"(?P<maker>amazon|anthropic|meta|mistral|cohere|ai21|stability|deepseek|openai|qwen|writer|twelvelabs|luma)"
    r"\.(?P<name>[a-z][a-z0-9-]*[0-9a-z](?:\.[0-9]+)?(?:-v[0-9]+)?(?::[0-9]+)?)"
)
_NOT_MODELS = re.compile(r"\.(?:com|net|org|io|html?|json|dkr)\b")


def model_ids(value: Any) -> list[str]:
    """The ids of Bedrock models and profiles in `value`."""
    found: dict[str, None] = {}
    for text in walk(value):
        if isinstance(text, str) and len(text) < 4096:
            for match in _MODEL.finditer(text):
                after = text[match.end() : match.end() + 2]
                if "-" in match["name"] and not after.startswith(".") and not _NOT_MODELS.search(match[0]):
                    found[match[0]] = None
    return list(found)


def model(sketch: Sketch, name: str, holder: Resource) -> Part:
    """The part that stands for a model of Bedrock; a profile and its model are one."""
    match = _MODEL.match(name)
    base = f"{match['maker']}.{match['name']}" if match else name
    base = re.sub(r"(-v[0-9]+)?(:[0-9]+)?$", "", base)
    key = f"{holder.region}/model/{base}"
    part = sketch.parts.get(key)
    if part is None:
        label = re.sub(r"-[0-9]{8}", "", base.partition(".")[2] or base)
        short = sketch.name(label)
        body = {"endpoints": [{"name": "bedrock", "bedrock": name}]}
        part = Part(key, "bedrock", "models", short, body, regions=[holder.region] if holder.region else [])
        part.resources.append(holder)
        part.note("nothing is said of its quota: write it, and where another one stands in (fallback)")
        sketch.parts[key] = part
    elif match is not None and match["profile"]:
        part.body["endpoints"][0]["bedrock"] = name
    if match is not None and match["profile"] == "global":
        part.note("a global. profile: prompts may be processed in any region of the world")
    return part


def _inference(sketch: Sketch, network: Network, endpoint: Resource) -> None:
    configs = sketch.resources_at(endpoint, "EndpointConfigName", "endpoint_config_name")
    name = plain(endpoint.get("EndpointName", "name")).replace("*", "") or endpoint.label
    said: dict[str, Any] = {"name": "own", "sagemaker": re.sub(r"[^A-Za-z0-9-]", "-", name)[:63]}
    part = sketch.add(endpoint, "models", endpoints=[said])
    sketch.own(part, *configs)
    for config in configs:
        sketch.own(part, *sketch.resources_at(config, "ProductionVariants", "production_variants"))
        variants = items(config.get("ProductionVariants", "production_variants"))
        for variant in variants[:1]:
            known = {key.replace("_", "").lower(): value for key, value in variant.items()}
            kind = known.get("instancetype")
            if isinstance(kind, str) and kind.startswith("ml."):
                said["type"] = kind
            if known.get("serverlessconfig"):
                part.note("serverless inference: cold until it is asked")
                said["min"] = 0
            else:
                said["min"] = count(known.get("initialinstancecount")) or 1
    for target in sketch.of("scaling_target"):
        if endpoint in sketch.resources_at(target, "ResourceId", "resource_id"):
            sketch.own(part, target)
            least = count(target.get("MinCapacity", "min_capacity"))
            most = count(target.get("MaxCapacity", "max_capacity"))
            said["min"] = least if least is not None else said.get("min", 1)
            if most and most >= said["min"]:
                said["max"] = max(1, most)


def _agent(sketch: Sketch, network: Network, agent: Resource) -> None:
    part = sketch.add(agent, "services", kind="workflow", aws="bedrock_agent")
    own = [
        one for one in sketch.of("agent_alias", "action_group", "agent_knowledge") if agent in sketch.resources_at(one)
    ]
    sketch.own(part, *own)


def _knowledge(sketch: Sketch, network: Network, base: Resource) -> None:
    part = sketch.add(base, "services", kind="api", aws="bedrock_knowledge_base")
    own = [one for one in sketch.of("knowledge_source") if base in sketch.resources_at(one)]
    sketch.own(part, *own)


READERS: dict[str, Callable[[Sketch, Network, Resource], None]] = {
    "inference": _inference,
    "bedrock_agent": _agent,
    "bedrock_flow": _agent,
    "knowledge_base": _knowledge,
}


def connect(sketch: Sketch) -> None:
    """What agents call and know, what knowledge is made of."""
    for profile in sketch.of("inference_profile"):
        sketch.use(profile)
        for name in model_ids(profile.get("ModelSource", "model_source"))[:1]:
            sketch.own(model(sketch, name, profile), profile)
    for agent in sketch.of_noun("bedrock_agent", "bedrock_flow"):
        for resource in list(agent.resources):
            named = listed(resource.get("FoundationModel", "foundation_model"))
            for name in model_ids(named if noun_of(resource.type) == "bedrock_agent" else dict(resource.properties)):
                sketch.need(agent, model(sketch, name, resource), "it is its model")
            if not model_ids(named) and texts(named) and not references(named):
                sketch.need(agent, model(sketch, texts(named)[0], resource), "it is its model")
            for target in sketch.parts_at(resource):
                if target.noun == "function":
                    sketch.need(agent, target, "an action group calls it")
                elif target.noun in ("knowledge_base", "bedrock"):
                    sketch.need(agent, target, "it asks it (assumed: it cannot answer without)")
    for base in sketch.of_noun("knowledge_base"):
        _of_knowledge(sketch, base)


def _of_knowledge(sketch: Sketch, base: Part) -> None:
    stores: list[Part] = []
    for resource in list(base.resources):
        for name in model_ids(resource.get("KnowledgeBaseConfiguration", "knowledge_base_configuration")):
            sketch.need(base, model(sketch, name, resource), "it embeds questions")
        for target in sketch.parts_at(resource, "StorageConfiguration", "storage_configuration"):
            sketch.need(base, target, "it holds its vectors")
            stores.append(target)
    for resource in list(base.resources):
        if noun_of(resource.type) != "knowledge_source":
            continue
        for source in sketch.parts_at(resource, "DataSourceConfiguration", "data_source_configuration"):
            for store in stores:
                if store.section == "stores" and store.noun in ("search", "search_serverless", "vector_bucket"):
                    store.body |= {"data": "rebuildable", "from": source.name}
                    store.notes = [note for note in store.notes if "data:" not in note]
                    store.note(f"it is filled from {source.name}")
