"""Single values of the description: ages, measures, contacts, slices."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from outlast.blueprint.alarm import BurnRate, Measure
from outlast.blueprint.deploy import Slice
from outlast.blueprint.run_on import LocalModels
from outlast.blueprint.scalar import read_scalar
from outlast.blueprint.value import Age, AwsAccount, AwsRegion, Contact, DollarsPerMonth, Part, Promise, Rate, Seconds
from outlast.kernel.error import UsageError


def read(text: str, kind: Any) -> Any:
    return read_scalar(text, kind, yaml.ScalarNode("tag:yaml.org,2002:str", text))


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("0s", Age, 0.0),
        ("0%", Part, 0.0),
        ("99.95%", Part, pytest.approx(0.9995)),
        ("30/s", Rate, 30.0),
        ("1500/m", Rate, 25.0),
        ("9000USD/month", DollarsPerMonth, 9000.0),
        ("eu-central-1", AwsRegion, "eu-central-1"),
        ("us-gov-west-1", AwsRegion, "us-gov-west-1"),
        ("111122223333", AwsAccount, "111122223333"),
        ("chat:support-ops", Contact, "chat:support-ops"),
        ("mail:ops@example.com", Contact, "mail:ops@example.com"),
        ("live.availability", Promise, "live.availability"),
        ("14x over 1h", BurnRate, BurnRate(14.0, 3600.0)),
        ("4s", Measure, Measure(4.0, "s")),
        ("20%", Measure, Measure(0.2, "%")),
        ("30/m", Measure, Measure(0.5, "/s")),
        ("64KiB", Measure, Measure(65536, "B")),
        ("3USD", Measure, Measure(3.0, "USD")),
        ("0.85", Measure, Measure(0.85)),
        ("1 cell", Slice, Slice(1, "cell")),
        ("3 workers", Slice, Slice(3, "worker")),
        ("10%", Slice, Slice(0.1, "share")),
        ("2 x smollm2", LocalModels, LocalModels(2, "smollm2")),
    ],
)
def test_a_value_is_read_with_its_unit(text: str, kind: Any, value: Any) -> None:
    assert read(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind", "problem"),
    [
        ("0s", Seconds, "expected more than nothing"),
        ("0/s", Rate, "expected more than nothing"),
        ("5", Age, "has no unit: write for example 5s"),
        ("9000", DollarsPerMonth, "write for example 9000USD/month"),
        ("101%", Part, "write 0% to 100%"),
        ("Mars", AwsRegion, "expected one such as eu-central-1"),
        ("1111", AwsAccount, "expected twelve digits"),
        ("support", Contact, "expected WAY:NAME"),
        ("availability", Promise, "expected CLASS.PROMISE"),
        ("14 over 1h", BurnRate, "factor '14' is not understood"),
        ("fast", Measure, "expected a number such as 4s"),
        ("0 cells", Slice, "expected for example 1 cell"),
        ("smollm2", LocalModels, "expected for example 2 x smollm2"),
    ],
)
def test_what_is_no_such_value_is_refused_with_an_example(text: str, kind: Any, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text, kind)
    assert problem in str(caught.value)
