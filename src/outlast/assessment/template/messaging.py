"""What stands between parts: queues, topics, buses, streams, schedules, workflows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from outlast.assessment.template.network import Network
from outlast.assessment.template.noun import noun_of
from outlast.assessment.template.resource import Reference, Resource, count, number, references, true
from outlast.assessment.template.sketch import Part, Sketch
from outlast.kernel.unit import duration_text

_REDRIVE = ("RedrivePolicy", "redrive_policy")
_DLQS = (
    "DeadLetterConfig.TargetArn", "dead_letter_config.target_arn", "DeadLetterConfig.Arn", "dead_letter_config.arn",
    "DestinationConfig.OnFailure.Destination", "destination_config.on_failure.destination_arn",
    "DeadLetterQueue.TargetArn", "Targets.DeadLetterConfig.Arn", *_REDRIVE,
)  # fmt: skip


_LETTING = (
    "queue", "redrive", "function", "event_invoke", "event_source", "topic", "subscription", "rule", "rule_target",
)  # fmt: skip
"""Nouns that may say where dead letters go."""


def _at_most(seconds: float, said: float | None) -> float | None:
    """What a service admits: a template that says more is not deployed."""
    return None if said is None else min(said, seconds)


def _queue(sketch: Sketch, network: Network, queue: Resource) -> None:
    fifo = true(queue.get("FifoQueue", "fifo_queue"))
    visible = _at_most(43_200.0, number(queue.get("VisibilityTimeout", "visibility_timeout_seconds")))
    kept = _at_most(1_209_600.0, number(queue.get("MessageRetentionPeriod", "message_retention_seconds")))
    part = sketch.add(
        queue,
        "queues",
        aws="sqs_fifo" if fifo else "sqs",
        visibility=duration_text(30.0 if visible is None else max(visible, 0.001)),
        keep=duration_text(kept or 345600.0),
    )
    if visible is None:
        part.note("its visibility time-out is not in the template: taken as 30 s, the default")


def dead_letters(sketch: Sketch) -> None:
    """Fold queues of dead letters into the queues, functions and rules whose letters they hold."""
    tries: dict[str, int | None] = {}
    holds: dict[str, Part | None] = {}
    for resource in [*sketch.of(*_LETTING)]:
        for letters in sketch.parts_at(resource, *_DLQS):
            if letters.noun != "queue" or letters.id == resource.id:
                continue
            source = sketch.part(resource.id)
            if noun_of(resource.type) == "redrive":
                source = next(iter(sketch.parts_at(resource, "queue_url")), None)
                sketch.use(resource)
            holds.setdefault(letters.id, source)
            if source is not None and source.noun == "queue":
                tries[source.id] = _tries(resource)
    for queue, attempts in tries.items():
        part = sketch.parts[queue]
        part.body["attempts"] = attempts or 3
        if attempts is None:
            part.note("how often it tries is not in the plan: taken as 3")
    for letters, source in holds.items():
        part = sketch.parts[letters]
        if source is not None and source.id in sketch.parts and source.id != letters:
            source.note(f"{part.name} holds its dead letters")
            sketch.drop(part, source)
        else:
            part.body["attempts"] = 1
            part.note("it holds dead letters")


def _tries(resource: Resource) -> int | None:
    policy = resource.get(*_REDRIVE)
    if isinstance(policy, str):
        try:
            policy = json.loads(policy)
        except (ValueError, RecursionError):
            return None
    found = cast("dict[str, Any]", policy) if isinstance(policy, dict) else {}
    return count(next((value for key, value in found.items() if key.lower() == "maxreceivecount"), None))


def _topic(sketch: Sketch, network: Network, topic: Resource) -> None:
    sketch.add(topic, "services", kind="topic", aws="sns")


def _bus(sketch: Sketch, network: Network, bus: Resource) -> None:
    sketch.add(bus, "services", kind="event_bus", aws="eventbridge")


def _stream(sketch: Sketch, network: Network, stream: Resource) -> None:
    hours = number(stream.get("RetentionPeriodHours", "retention_period")) or 24.0
    sketch.add(stream, "services", kind="stream", aws="kinesis", keep=duration_text(min(hours, 8760.0) * 3600))


def _delivery(sketch: Sketch, network: Network, delivery: Resource) -> None:
    sketch.add(delivery, "services", kind="stream", aws="firehose")


def _kafka(sketch: Sketch, network: Network, cluster: Resource) -> None:
    part = sketch.add(cluster, "services", kind="stream", aws="msk")
    brokers = count(cluster.get("NumberOfBrokerNodes", "number_of_broker_nodes")) or 3
    part.spread(brokers, network.place(part, cluster), needed=max(1, brokers - 1))


def _broker(sketch: Sketch, network: Network, broker: Resource) -> None:
    part = sketch.add(broker, "services", kind="stream", aws="amazon_mq")
    mode = str(broker.get("DeploymentMode", "deployment_mode") or "SINGLE_INSTANCE")
    if mode == "SINGLE_INSTANCE":
        part.spread(1, 1)
    else:
        part.spread(2 if mode.startswith("ACTIVE") else 3, None, mode="standby" if mode.startswith("ACTIVE") else None)


def _workflow(sketch: Sketch, network: Network, machine: Resource) -> None:
    sketch.add(machine, "services", kind="workflow", aws="step_functions")


def _schedule(sketch: Sketch, network: Network, schedule: Resource) -> None:
    sketch.add(schedule, "services", kind="scheduler", aws="eventbridge")


READERS: dict[str, Callable[[Sketch, Network, Resource], None]] = {
    "queue": _queue,
    "topic": _topic,
    "event_bus": _bus,
    "stream": _stream,
    "delivery": _delivery,
    "kafka": _kafka,
    "broker": _broker,
    "state_machine": _workflow,
    "schedule": _schedule,
}


def connect(sketch: Sketch) -> None:
    """Who reads what: subscriptions, rules, event sources, notifications; what workflows call."""
    _event_sources(sketch)
    _subscriptions(sketch)
    _rules(sketch)
    for schedule in sketch.of("schedule"):
        _fed(
            sketch,
            sketch.part(schedule.id),
            schedule.refers("Target.Arn", "target.arn"),
            "it is started by the schedule",
        )
    for bucket in sketch.of("bucket", "notification"):
        source = sketch.part(bucket.id)
        found = bucket.refers("NotificationConfiguration")
        if noun_of(bucket.type) == "notification":
            sketch.use(bucket)
            source = next(iter(sketch.parts_at(bucket, "bucket", "BucketName")), None)
            found = bucket.refers("lambda_function", "queue", "topic", "NotificationConfiguration")
        _fed(sketch, source, found, "the bucket tells it of new objects")
    for machine in sketch.of("state_machine"):
        _calls(sketch, machine)
    for delivery in sketch.of("delivery"):
        _delivers(sketch, delivery)


def _fed(sketch: Sketch, source: Part | None, found: list[Reference], why: str) -> None:
    """Whatever is referred to works on what comes from `source`."""
    for reference in found:
        reader = sketch.part(reference.resource)
        if reader is not None and source is not None:
            sketch.need(reader, source, why, mode="asynchronous")


def _event_sources(sketch: Sketch) -> None:
    for mapping in sketch.of("event_source"):
        sketch.use(mapping)
        sources = sketch.parts_at(mapping, "EventSourceArn", "event_source_arn")
        for reader in sketch.parts_at(mapping, "FunctionName", "function_name"):
            sketch.own(reader, mapping)
            for source in sources:
                sketch.need(reader, source, "an event source mapping feeds it", mode="asynchronous")
    for function in sketch.of("function"):
        reader = sketch.part(function.id)
        events = function.get("Events") if function.type == "AWS::Serverless::Function" else None
        for event in cast("dict[str, Any]", events).values() if isinstance(events, dict) and reader else ():
            kind = str(event.get("Type", "")) if isinstance(event, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            if kind in ("SQS", "Kinesis", "DynamoDB", "SNS", "S3", "EventBridgeRule", "CloudWatchEvent", "MSK"):
                for reference in references(event):
                    source = sketch.part(reference.resource)
                    if source is not None and reader is not None and source.noun != "state_machine":
                        sketch.need(reader, source, f"an event of type {kind} feeds it", mode="asynchronous")
            if kind in ("Schedule", "ScheduleV2") and reader is not None:
                source = _implied(sketch, reader, f"{reader.name}-schedule", "scheduler", "its schedule")
                sketch.need(reader, source, "it is started by its schedule", mode="asynchronous")


def _implied(sketch: Sketch, of: Part, name: str, kind: str, why: str) -> Part:
    """A part that no resource stands for by itself."""
    key = f"{of.resources[0].region}/{name}"
    known = sketch.parts.get(key)
    if known is None:
        known = Part(
            key, kind, "services", sketch.name(name), {"kind": kind, "aws": "eventbridge"}, regions=list(of.regions)
        )
        known.note(why)
        sketch.parts[key] = known
    return known


def _subscriptions(sketch: Sketch) -> None:
    for subscription in sketch.of("subscription"):
        sketch.use(subscription)
        topics = sketch.parts_at(subscription, "TopicArn", "topic_arn")
        for topic in topics:
            sketch.own(topic, subscription)
            _fed(sketch, topic, subscription.refers("Endpoint", "endpoint"), "it is subscribed to the topic")
    for topic in sketch.of("topic"):
        _fed(sketch, sketch.part(topic.id), topic.refers("Subscription"), "it is subscribed to the topic")


def _rules(sketch: Sketch) -> None:
    sources: dict[str, Part] = {}
    for rule in sketch.of("rule"):
        sketch.use(rule)
        buses = sketch.parts_at(rule, "EventBusName", "event_bus_name")
        if buses:
            source = buses[0]
            sketch.own(source, rule)
        elif rule.get("ScheduleExpression", "schedule_expression") is not None:
            source = sketch.add(rule, "services", kind="scheduler", aws="eventbridge")
        else:
            source = sketch.parts.get(f"{rule.region}/default-event-bus")
            if source is None:
                holder = Part(
                    rule.id, "event_bus", "services", "", {}, [rule], regions=[rule.region] if rule.region else []
                )
                source = _implied(
                    sketch, holder, "default-event-bus", "event_bus", "the account's own bus, which no template makes"
                )
            sketch.own(source, rule)
        sources[rule.id] = source
        letters = set(rule.refers("Targets.DeadLetterConfig.Arn"))
        _fed(sketch, source, [one for one in rule.refers("Targets") if one not in letters], "a rule sends it events")
    for target in sketch.of("rule_target"):
        sketch.use(target)
        for rule in sketch.resources_at(target, "rule"):
            _fed(sketch, sources.get(rule.id), target.refers("arn"), "a rule sends it events")


def _calls(sketch: Sketch, machine: Resource) -> None:
    part = sketch.part(machine.id)
    paths = ("DefinitionString", "Definition", "DefinitionSubstitutions", "definition")
    for reference in machine.refers(*paths):
        target = sketch.part(reference.resource)
        if target is not None and part is not None:
            sketch.need(part, target, "a state of it calls it")


def _delivers(sketch: Sketch, delivery: Resource) -> None:
    part = sketch.part(delivery.id)
    source = set(delivery.refers("KinesisStreamSourceConfiguration", "kinesis_source_configuration"))
    for reference in delivery.refers():
        target = sketch.part(reference.resource)
        if target is None or part is None:
            continue
        if reference in source:
            sketch.need(part, target, "it reads the stream", mode="asynchronous")
        else:
            sketch.need(part, target, "it delivers there")
