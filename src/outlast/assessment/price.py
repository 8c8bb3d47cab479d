"""What AWS charges, by a dated price file (`prices.json` beside this module), and what is handed in from elsewhere.

::

    PriceBook.quote("fargate_vcpu", "eu-central-1") -> Quote(usd, unit, source, seen, checked, basis)
                                      a region that the file lacks: the price of us-east-1 times a factor, said so

Model tokens and DynamoDB's request units have price files of their own, above this layer: they are handed in.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Callable, Mapping

import msgspec

base_region = "us-east-1"
"""Whose prices stand for those of regions that the file lacks, times a factor."""
factor_otherwise = 1.25
"""For a region of which nothing is known: an assumption, on the safe side."""

_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")
_SIZE = re.compile(r"(.*?)\b(small|medium|large|[0-9]*xlarge)\b(.*)\Z")

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\Z")

TokenPrice = Callable[[str, int, int], float | None]
"""Model, tokens of the prompt, tokens of the answer -> US dollars; None: no price is known."""


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One price in one region."""

    item: str
    region: str
    usd: float
    unit: str
    """Of what `usd` buys one: ``hour``, ``GB-month``, ``1M requests``."""
    source: str
    """The page where AWS publishes it."""
    seen: str | None = None
    """The day of the record that it was compared with (ISO 8601); None: with none."""
    checked: bool = False
    """Whether it was compared with a record of the AWS price list; else it was written from memory."""


class Quote(msgspec.Struct, frozen=True):
    """What one unit costs, and how far that can be relied on."""

    item: str
    region: str
    usd: float
    unit: str
    source: str
    seen: str | None
    checked: bool
    basis: str = ""
    """How it was derived, where the file does not hold it: ``us-east-1 x 1.15``."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    as_of: str
    currency: str
    note: str
    factors: dict[str, float]
    prices: tuple[Price, ...]


@functools.cache
def _file() -> _File:
    raw = importlib.resources.files("outlast.assessment").joinpath("prices.json").read_bytes()
    return msgspec.json.decode(raw, type=_File)


def _no_tokens(model: str, prompt: int, answer: int) -> float | None:
    return None


class PriceBook:
    """The price file, and the prices that belong to others."""

    def __init__(
        self,
        more: tuple[Price, ...] = (),
        tokens: TokenPrice = _no_tokens,
        everywhere: str | None = None,
        tokens_seen: str | None = None,
    ) -> None:
        """`more`: prices from other files. `tokens`: what models charge, checked on the day `tokens_seen`.
        `everywhere`: the one region to be quoted.
        """
        file = _file()
        self.as_of = file.as_of
        self.note = file.note
        self.tokens = tokens
        self.tokens_seen = tokens_seen
        self.everywhere = everywhere
        self._factors = file.factors
        self._prices: Mapping[tuple[str, str], Price] = {
            (price.item, price.region): price for price in (*file.prices, *more)
        }

    def quote(self, item: str, region: str) -> Quote | None:
        """What one unit of `item` costs in a region of AWS; None: no such price is known.

        A larger machine of a known family costs as many times the known one as it is larger.
        """
        where = self.everywhere or region
        found = self._exact(item, where)
        return found or self._scaled(item, where)

    def _exact(self, item: str, region: str) -> Quote | None:
        price = self._prices.get((item, region))
        if price is not None:
            return _quoted(price, region, price.usd, price.checked, "")
        price = self._prices.get((item, base_region))
        if price is None:
            return None
        if not _REGION.match(region):
            return _quoted(price, base_region, price.usd, price.checked, f"no region of AWS is named: {base_region}")
        factor = self._factors.get(region, factor_otherwise)
        return _quoted(price, region, price.usd * factor, False, f"{base_region} x {factor:g}, an assumption")

    def _scaled(self, item: str, region: str) -> Quote | None:
        match = _SIZE.match(item)
        if match is None or match[2] not in _SIZES:
            return None
        for size in _SIZES:
            known = self._exact(f"{match[1]}{size}{match[3]}", region)
            if known is not None:
                times = 2.0 ** (_SIZES.index(match[2]) - _SIZES.index(size))
                return msgspec.structs.replace(
                    known, item=item, usd=known.usd * times, checked=False, basis=f"{times:g} x {known.item}"
                )
        return None


def _quoted(price: Price, region: str, usd: float, checked: bool, basis: str) -> Quote:
    return Quote(price.item, region, usd, price.unit, price.source, price.seen, checked, basis)
