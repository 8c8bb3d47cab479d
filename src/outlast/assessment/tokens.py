"""What a model that is paid by the token costs: calls of a month, times the tokens of a call, times their price."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.charge import Charge, Quantity, Unpriced, charge
from outlast.assessment.component import Component
from outlast.assessment.meter import Meter, seconds_per_month
from outlast.assessment.price import Quote
from outlast.blueprint.model import ModelEndpoint
from outlast.blueprint.objective import Load

_otherwise = Load(steady=0.0)


def tokens(meter: Meter, component: Component) -> Iterator[Charge]:
    """Of one endpoint. Prompts are counted whole: what a provider's cache would save is not taken off."""
    declared = meter.declared.get(component.name)
    calls = meter.requests(component.name)
    if not isinstance(declared, ModelEndpoint) or declared.bedrock is None or not calls:
        return
    prompt, answer = _per_call(meter, component.name)
    model = declared.bedrock
    each = meter.book.tokens(model, prompt, answer)
    if each is None:
        meter.unpriced.append(Unpriced(component.name, f"no price of {model} is known"))
        return
    quote = Quote(
        item=model,
        region=meter.home,
        usd=each * 1000,
        unit="1k calls",
        source="outlast.model prices.json",
        seen=meter.book.tokens_seen,
        checked=True,
        basis=f"{prompt:,} tokens of prompt and {answer:,} of answer",
    )
    shown = f"{calls / seconds_per_month:g}/s x {seconds_per_month:,.0f} s"
    yield charge(component.name, meter.home, "work", Quantity(calls / 1000, shown), quote, "tokens")


def _per_call(meter: Meter, name: str) -> tuple[int, int]:
    """Tokens of prompt and answer of one call: the mean over the classes that make them, by how many they make."""
    loads = [meter.blueprint.load.get(work, _otherwise) for work in meter.graph.works_of[name]]
    weights = [load.steady * load.model_calls_per_turn for load in loads]
    total = sum(weights)
    if not total:
        return _otherwise.prompt_tokens, _otherwise.answer_tokens
    prompt = sum(load.prompt_tokens * weight for load, weight in zip(loads, weights, strict=True)) / total
    answer = sum(load.answer_tokens * weight for load, weight in zip(loads, weights, strict=True)) / total
    return round(prompt), round(answer)
