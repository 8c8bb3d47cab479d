"""The estimate: its sums are those of its lines, what is paid for what, and what a price rests on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from outlast.assessment.charge import Charge
from outlast.assessment.cost import Estimate, bill, estimate, monthly
from outlast.assessment.price import PriceBook
from outlast.blueprint.load import load_file, parse
from outlast.blueprint.objective import Survive
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.pricing import price_book
from outlast.kernel.error import ConfigurationError

EXAMPLES = Path(__file__).parents[2] / "examples"
BOOK = price_book()
WARM = EXAMPLES / "blueprints" / "two_regions_warm_standby.yaml"


@dataclasses.dataclass
class Lines:
    """The bill of a few lines of YAML."""

    text: str

    def of(self, component: str, purpose: str | None = None) -> list[Charge]:
        found, _ = bill(parse(self.text.encode()), BOOK)
        return [one for one in found if one.component == component and purpose in (None, one.purpose)]


def usd(lines: list[Charge]) -> float:
    return sum(one.usd for one in lines)


def warm() -> tuple[Blueprint, Estimate]:
    blueprint, _ = load_file(WARM)
    return blueprint, estimate(blueprint, BOOK)


def test_every_line_is_quantity_times_price_and_all_of_them_make_the_total() -> None:
    _, found = warm()
    for one in found.charges:
        assert one.usd == pytest.approx(one.quantity.value * one.quote.usd)
    assert found.usd == pytest.approx(usd(list(found.charges)))
    assert found.usd == pytest.approx(found.infrastructure_usd + found.tokens_usd)
    assert found.usd == pytest.approx(sum(one.usd for one in found.by_component))
    assert found.usd == pytest.approx(sum(one.usd for one in found.by_promise))


def test_a_worker_is_vcpu_and_memory_by_the_hour() -> None:
    text = "agents: {a: {redundancy: {instances: 3, needed: 2, zones: 3}}}\nregions: {home: {aws: us-east-1}}\n"
    lines = Lines(f"{text}run_on: {{aws: {{compute: fargate}}}}\n")
    hour = 0.5 * 0.04048 + 1.0 * 0.004445
    assert usd(lines.of("a", "work")) == pytest.approx(2 * 730 * hour)
    assert usd(lines.of("a", "zone")) == pytest.approx(1 * 730 * hour)
    assert all(one.quote.checked for one in lines.of("a"))


def test_the_journal_is_charged_for_its_steps_in_every_region_that_has_it() -> None:
    lines = Lines(
        "objectives: {live: {}}\nload: {live: {steady: 2/s, steps_per_turn: 4}}\nagents: {a: {class: live}}\n"
        "regions: {strategy: warm_standby, home: {aws: us-east-1}, standby: {aws: us-east-1}}\n"
        "stores: {journal: {kind: journal, aws: dynamodb, size: 10GiB, across_regions: eventual}}\n"
    )
    writes = [one for one in lines.of("journal") if one.quote.item == "dynamodb_write"]
    of_runs, of_indexes = 2 * 2_628_000 * (4 + 7) / 1e6, 2 * 2_628_000 * 11 / 1e6
    assert [one.quantity.value for one in writes] == pytest.approx(2 * [of_runs, of_indexes])
    assert writes[0].quantity.text == "live 2/s x 2,628,000 s x 11 writes"
    assert writes[1].quantity.text == "live 2/s x 2,628,000 s x 11 writes of indexes"


TABLE = """
objectives: {live: {}}
load: {live: {steady: 2/s}}
agents: {a: {class: live, needs: {carts: {calls: 3}}}}
regions: {strategy: warm_standby, home: {aws: us-east-1}, standby: {aws: us-west-2}}
stores: {journal: {aws: dynamodb}, carts: {kind: key_value, aws: dynamodb, size: 10GiB, across_regions: eventual}}
"""


def test_an_index_is_a_copy_that_is_written_and_stored_again_in_every_region() -> None:
    plain = Lines(TABLE)
    indexed = Lines(TABLE.replace("size: 10GiB,", "size: 10GiB, indexes: {count: 2, writes: 50%, size: 20%},"))
    writes = 2 * 3 * 2_628_000 / 1e6
    for item, before, more in (("dynamodb_write", writes, writes * 2 * 0.5), ("dynamodb_gb", 10, 10 * 2 * 0.2)):
        assert [one.quantity.value for one in plain.of("carts") if one.quote.item == item] == pytest.approx(
            2 * [before]
        )
        found = sorted(one.quantity.value for one in indexed.of("carts") if one.quote.item == item)
        assert found == pytest.approx(sorted(2 * [before, more]))


def test_two_indexes_of_everything_make_three_writes_of_one() -> None:
    plain, indexed = Lines(TABLE), Lines(TABLE.replace("size: 10GiB,", "size: 10GiB, indexes: 2,"))
    for region in ("us-east-1", "us-west-2"):
        once, thrice = (
            sum(one.usd for one in of.of("carts") if one.quote.item == "dynamodb_write" and one.region == region)
            for of in (plain, indexed)
        )
        assert thrice == pytest.approx(3 * once)


def test_only_tables_have_indexes() -> None:
    with pytest.raises(ConfigurationError, match=r"has indexes.*and is blobs"):
        Lines("stores: {files: {kind: blobs, indexes: 2}}\n").of("files")


def test_tokens_are_calls_times_the_price_of_the_models_own_file() -> None:
    lines = Lines(
        "objectives: {live: {}}\nregions: {home: {aws: eu-central-1}}\n"
        "load: {live: {steady: 1/s, model_calls_per_turn: 2, prompt_tokens: 1000, answer_tokens: 500}}\n"
        "agents: {a: {class: live, needs: {m: hard}}}\n"
        'models: {m: {endpoints: [{name: n, bedrock: "eu.amazon.nova-lite-v1:0"}]}}\n'
    )
    (one,) = lines.of("m.n")
    assert one.usd == pytest.approx(2 * 2_628_000 * (1000 * 0.078 + 500 * 0.312) / 1e6)
    assert one.paid == "tokens"


def test_a_fallback_is_paid_for_the_dependency_whose_loss_it_makes_good() -> None:
    _, found = warm()
    own = next(one for one in found.by_component if one.component == "writer.own")
    assert set(own.by_purpose) == {"dependency", "region"}
    assert own.by_purpose["dependency"] == pytest.approx(2 * 730 * 1.528)


def test_what_each_promise_costs_stands_beside_who_asks_for_it() -> None:
    _, found = warm()
    asked = {one.purpose: one.asked_by for one in found.by_promise}
    assert asked["region"] == (
        "live, region: rto 1m, rpo 5s", "back_office, region: rto 4h, rpo 15m", "orders, region: rto 10m, rpo 5s",
    )  # fmt: skip
    assert asked["work"] == ()


def test_what_no_objective_asks_for_is_shown_so() -> None:
    blueprint, _ = warm()
    promised = {name: msgspec.structs.replace(one, survive=Survive()) for name, one in blueprint.objectives.items()}
    silent = msgspec.structs.replace(blueprint, objectives=promised)
    asked = {one.purpose: (one.usd, one.asked_by) for one in estimate(silent, BOOK).by_promise}
    assert asked["region"][0] > 1000
    assert asked["region"][1] == ("orders, region: rto 10m, rpo 5s",)


def test_three_strategies_stand_side_by_side_with_what_they_give() -> None:
    _, found = warm()
    assert [one.strategy for one in found.strategies] == ["backup_restore", "pilot_light", "warm_standby"]
    assert [one.usd for one in found.strategies] == sorted(one.usd for one in found.strategies)
    live = {one.strategy: one.recovery[0] for one in found.strategies}
    assert [one.met for one in live.values()] == [False, False, True]
    assert live["warm_standby"].rto_s == pytest.approx(50)
    assert live["warm_standby"].rpo_s == pytest.approx(5)
    declared = next(one for one in found.strategies if one.declared)
    assert declared.usd == pytest.approx(found.usd)


def test_a_system_of_one_region_is_compared_with_a_second_one_of_the_same_geography() -> None:
    blueprint, _ = load_file(EXAMPLES / "blueprints" / "one_region_budget.yaml")
    assert blueprint.regions is not None
    alone = msgspec.structs.replace(blueprint.regions, standby=None)
    found = estimate(
        msgspec.structs.replace(blueprint, regions=alone, backup={}, deploy=type(blueprint.deploy)()), BOOK
    )
    assert len(found.strategies) == 3
    assert not any(one.declared for one in found.strategies)
    assert found.usd < found.strategies[0].usd


def test_what_cannot_be_priced_is_listed_and_never_counted_as_nothing() -> None:
    text = (
        "services: {mainframe: {kind: other, aws: mainframe_modernization}, box: {kind: machine}}\n"
        'external: {payments: {url: "https://pay.example.com"}}\n'
    )
    found = estimate(parse(text.encode()), BOOK)
    assert {one.component for one in found.unpriced} == {"mainframe", "box", "payments"}
    assert found.usd == 0
    assert found.strategies == ()


def test_a_price_that_is_not_in_the_file_is_that_of_another_region_times_a_factor_and_says_so() -> None:
    known, derived = BOOK.quote("fargate_vcpu", "us-east-1"), BOOK.quote("fargate_vcpu", "sa-east-1")
    assert known is not None
    assert derived is not None
    assert derived.usd == pytest.approx(known.usd * 1.7)
    assert (known.checked, derived.checked, derived.basis) == (True, False, "us-east-1 x 1.7, an assumption")


def test_a_larger_machine_costs_as_many_times_the_known_one() -> None:
    large, larger = BOOK.quote("db.r7g.large", "us-east-1"), BOOK.quote("db.r7g.4xlarge", "us-east-1")
    assert large is not None
    assert larger is not None
    assert larger.usd == pytest.approx(8 * large.usd)
    assert larger.basis == "8 x db.r7g.large"
    assert BOOK.quote("db.x99.large", "us-east-1") is None


def test_one_regions_prices_can_stand_for_all() -> None:
    blueprint, _ = warm()
    found = estimate(blueprint, price_book("us-east-1"))
    assert {one.quote.region for one in found.charges if one.paid == "infrastructure"} == {"us-east-1"}
    assert found.usd < monthly(blueprint, BOOK)


def test_every_price_names_its_page_and_a_checked_one_the_day_of_its_record() -> None:
    book = PriceBook()
    assert len(book.as_of) == len("2026-11-26")
    for price in book._prices.values():
        assert price.source.startswith("https://aws.amazon.com/")
        assert price.usd > 0
        assert price.checked == (price.seen is not None)


def test_with_a_pilot_light_data_lies_on_one_machine_and_nothing_else_runs() -> None:
    lines = Lines(
        "regions: {strategy: pilot_light, home: {aws: us-east-1}, standby: {aws: us-west-2}}\n"
        "agents: {a: {needs: {s: hard}}}\nrun_on: {aws: {compute: fargate}}\n"
        "stores: {s: {kind: sql, aws: rds, standbys: 1, size: 10GiB, across_regions: eventual}}\n"
    )
    machines = [one.quantity.value for one in lines.of("s", "region") if one.quote.item == "db.r7g.large"]
    assert machines == [730]
    assert lines.of("a", "region") == []


def test_a_message_is_sent_received_and_deleted() -> None:
    lines = Lines(
        "objectives: {live: {}}\nload: {live: {steady: 1/s}}\nregions: {home: {aws: us-east-1}}\n"
        "agents: {a: {class: live, reads: {queue: q}}}\nqueues: {q: {aws: sqs}}\n"
    )
    assert usd(lines.of("q")) == pytest.approx(3 * 2.628 * 0.40)


def test_a_standby_that_the_file_keeps_off_is_compared_as_running_where_the_strategy_asks_for_it() -> None:
    blueprint, _ = load_file(EXAMPLES / "blueprints" / "one_region_budget.yaml")
    backup, pilot, warm = estimate(blueprint, BOOK).strategies
    assert backup.usd < pilot.usd < warm.usd


def test_what_rests_on_unchecked_prices_stands_beside_every_figure() -> None:
    _, found = warm()
    own = sum(one.usd for one in found.charges if not one.quote.checked)
    assert found.unchecked_usd == pytest.approx(own)
    assert 0 < own < found.usd
    assert all(one.unchecked_usd == (0.0 if one.quote.checked else one.usd) for one in found.charges)
    for parts in (found.by_component, found.by_promise):
        assert sum(one.unchecked_usd for one in parts) == pytest.approx(own)
    assert found.unchecked_infrastructure_usd + found.unchecked_tokens_usd == pytest.approx(own)
    declared = next(one for one in found.strategies if one.declared)
    assert (declared.usd, declared.unchecked_usd) == pytest.approx((found.usd, own))
    assert found.unchecked_tokens_usd == 0


def test_checked_prices_say_when() -> None:
    _, found = warm()
    for one in found.charges:
        assert one.quote.checked == (one.quote.seen is not None)
    assert set(found.checked_on) == {one.quote.seen for one in found.charges if one.quote.seen}
