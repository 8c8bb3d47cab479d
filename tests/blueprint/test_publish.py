"""What the blueprint says of publication, of how long runs stay, and of limits that replicas share."""

from __future__ import annotations

import pytest

from outlast.blueprint.load import parse
from outlast.blueprint.schema import Anchors, Publish
from outlast.blueprint.secret import Secret
from outlast.kernel.error import ConfigurationError


def test_events_may_be_published_and_runs_may_go() -> None:
    blueprint = parse(b"""
stores:
  journal:
    dynamodb: {bucket: outlast-blobs, keep: 90d, archive: true}
    publish: {eventbridge: decisions, region: eu-central-1, endpoint_url: "http://127.0.0.1:4566", content: true}
gateway: {shared: env:VALKEY_URL}
""")
    journal = blueprint.stores.journal
    assert journal.publish == Publish("decisions", "eu-central-1", "http://127.0.0.1:4566", content=True)
    assert journal.dynamodb is not None
    assert (journal.dynamodb.keep, journal.dynamodb.archive) == (90 * 86400.0, True)
    assert blueprint.gateway is not None
    assert blueprint.gateway.shared == Secret("env", "VALKEY_URL")


def test_heads_may_be_anchored_in_s3_and_runs_may_go_on_any_engine() -> None:
    journal = parse(b"""
stores:
  journal:
    keep: 30d
    anchors: {s3: outlast-anchors, prefix: desk/, region: eu-central-1, lock: 90d, every: 10s}
""").stores.journal
    assert journal.keep == 30 * 86400.0
    assert journal.anchors == Anchors("outlast-anchors", "desk/", "eu-central-1", None, 90 * 86400.0, 10.0)
    for text, said in ((b"{s3: No}", "expected a bucket"), (b"{s3: outlast-anchors, every: 0s}", "every")):
        with pytest.raises(ConfigurationError, match=said):
            parse(b"stores: {journal: {anchors: " + text + b"}}")


def test_without_a_word_nobody_is_told_and_nothing_goes() -> None:
    journal = parse(b"stores: {journal: {dynamodb: {bucket: outlast-blobs}}}").stores.journal
    assert journal.publish is None
    assert journal.dynamodb is not None
    assert (journal.dynamodb.keep, journal.dynamodb.archive) == (None, False)
    assert (journal.keep, journal.anchors) == (None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("publish: {region: eu-central-1}", "lacks eventbridge"),
        ("publish: {eventbridge: a bus}", "expected the name of an event bus, or its ARN"),
        ("publish: {eventbridge: b, region: here}", "region: 'here' is not understood"),
        ("publish: {eventbus: b}", "did you mean 'eventbridge'"),
        ("dynamodb: {bucket: outlast-blobs, keep: 90}", "has no unit"),
        ("dynamodb: {bucket: outlast-blobs, archive: true}", "has archive and no keep"),
    ],
)
def test_what_cannot_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse(f"stores: {{journal: {{{text}}}}}".encode())


@pytest.mark.parametrize(
    "bus", ["default", "decisions", "arn:aws:events:eu-central-1:111122223333:event-bus/decisions"]
)
def test_a_bus_is_named_or_given_by_its_arn(bus: str) -> None:
    publish = parse(f'stores: {{journal: {{publish: {{eventbridge: "{bus}"}}}}}}'.encode()).stores.journal.publish
    assert publish == Publish(bus)


def test_a_url_of_valkey_that_stands_in_the_file_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="env:NAME") as caught:
        parse(b"gateway: {shared: 'valkeys://u:hunter2@h:6379'}")
    assert "hunter2" not in str(caught.value)
