"""What each component uses in a month, and what that costs: machines by the hour, services by the request and gigabyte.

What serves the work alone is charged to it; spare instances to the zone (or node) whose loss they make good; all that
stands in other regions, and what brings data there, to the region; backups to corruption; a fallback to the dependency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from outlast.assessment.charge import Charge, Paid, Purpose, Quantity, Unpriced, charge
from outlast.assessment.component import Component, Site, state_kinds
from outlast.assessment.described import Described
from outlast.assessment.endpoint import endpoint_name
from outlast.assessment.graph import Graph
from outlast.assessment.price import PriceBook
from outlast.assessment.quota import demands
from outlast.assessment.system import System
from outlast.blueprint.component import Component as Declared
from outlast.blueprint.model import Model, ModelEndpoint
from outlast.blueprint.schema import Blueprint
from outlast.blueprint.training import Training
from outlast.kernel.unit import hours_per_month

seconds_per_month = hours_per_month * 3600
size_assumed_gb = 50.0
"""Of a store that does not say its `size`."""
worker_vcpu = 0.5
"""Of one worker process: an assumption; agents wait more than they compute."""
worker_gb = 1.0
"""Memory of one worker where the file bounds none: the default of `memory_max`."""
workers_per_machine = 4
"""On EC2 and EKS: worker processes on one machine of two vCPU."""
changed_share = 0.2
"""Of a store's data that is written anew in a month, and so sent to other regions: an assumption."""
recording_writes = 7.0
index_writes = 11.0
"""What a run writes to the journal on DynamoDB beside its steps, and what that writes to the five indexes that find it:
counted by tests/adapters/aws/test_cost.py, see docs/aws.md. Streams of inbox and session come on top."""
function_seconds = 0.2
function_gb = 0.5

Metered = Declared | Training | ModelEndpoint


class Meter:
    """What the tariffs ask of one system, and what they note: `unpriced` and `assumed`."""

    def __init__(self, blueprint: Blueprint, system: System, book: PriceBook) -> None:
        """`system` is the description of `blueprint`."""
        self.blueprint = blueprint
        self.system = system
        self.graph = Graph(system)
        self.unpriced: list[Unpriced] = []
        self.assumed: dict[str, None] = {}
        """Sentences, in the order in which they were needed."""
        self.book = book
        self._described = Described(blueprint, {})
        home = system.home()
        self.home = home.name if home is not None else ""
        self.declared = self._declared()
        self._rates = self._steady()

    def line(
        self,
        component: str,
        region: str,
        purpose: Purpose,
        item: str,
        value: float,
        text: str,
        paid: Paid = "infrastructure",
    ) -> Iterator[Charge]:
        """One charge; none where nothing is used; without a price, a line of `unpriced`."""
        if value <= 0:
            return
        quote = self.book.quote(item, region)
        if quote is None:
            known = {(one.component, one.why) for one in self.unpriced}
            missing = Unpriced(component, f"no price of {item} is known")
            if (missing.component, missing.why) not in known:
                self.unpriced.append(missing)
            return
        yield charge(component, region, purpose, Quantity(value, text), quote, paid)

    def machines(self, component: Component, item: str, each: float, what: str, times: int = 1) -> Iterator[Charge]:
        """`each` of `item` an hour, for every instance that runs; `times`: so many of each instance, such as shards."""
        for site in component.sites:
            for purpose, count in self._counts(component, site):
                hours = count * times * each * hours_per_month
                shown = f"{count * times:g} x {what} x {hours_per_month:g} h"
                yield from self.line(component.name, site.region, purpose, item, hours, shown)

    def stored(self, component: Component, item: str, *, per_instance: bool, times: int = 1) -> Iterator[Charge]:
        """Gigabytes that lie there: once in each region, or with every instance."""
        size = self.size_gb(component)
        for site in component.sites:
            once: list[tuple[Purpose, float]] = [(self._purpose(site), 1.0)]
            counts = self._counts(component, site) if per_instance else once
            for purpose, count in counts:
                shown = f"{count * times:g} x {size:g} GB" if count * times != 1 else f"{size:g} GB"
                yield from self.line(component.name, site.region, purpose, item, size * count * times, shown)

    def each_region(self, component: Component) -> Iterator[tuple[str, Purpose]]:
        """The regions where it is, and what for."""
        for site in component.sites:
            yield site.region, self._purpose(site)

    def others(self, component: Component) -> list[str]:
        """The regions, besides home, where it has a copy."""
        return [site.region for site in component.sites if self._purpose(site) == "region"]

    def requests(self, name: str) -> float:
        """Requests of a month, at the steady load of the classes of work that need it."""
        return self._rates.get(name, 0.0) * seconds_per_month

    def size_gb(self, component: Component) -> float:
        """What it holds."""
        declared = self.declared.get(component.name)
        size = getattr(declared, "size", None)
        if size is not None:
            return size / (1 << 30)
        self.assumed[f"a store that does not say its size holds {size_assumed_gb:g} GB"] = None
        return size_assumed_gb

    def changed_gb(self, component: Component) -> float:
        """What of it is written anew in a month."""
        self.assumed[f"{changed_share:.0%} of what a store holds is written anew in a month"] = None
        return self.size_gb(component) * changed_share

    def sent(self, component: Component, gigabytes: float) -> Iterator[Charge]:
        """What is sent from home to each other region."""
        for region in self.others(component):
            shown = f"{gigabytes:g} GB sent to {region}"
            yield from self.line(component.name, self.home, "region", "transfer_regions_gb", gigabytes, shown)

    def _purpose(self, site: Site) -> Purpose:
        return "work" if site.region == self.home or not self.home else "region"

    def _counts(self, component: Component, site: Site) -> list[tuple[Purpose, float]]:
        """How many instances run for what: a standby that does not run costs nothing, but data must lie somewhere."""
        if self._purpose(site) == "region":
            running = site.instances * site.running
            if component.kind in state_kinds and component.kind != "cache":
                running = max(running, 1.0)
            return [("region", running)]
        if component.settings.get("fallback") is True:
            return [("dependency", float(site.instances))]
        spare: Purpose = "zone" if len(site.zones[: site.instances]) > 1 else "node"
        return [("work", float(site.needed)), (spare, float(site.instances - site.needed))]

    def _steady(self) -> dict[str, float]:
        """Requests a second of each component: what `quota.py` counts for the peak, for the steady load."""
        load = {name: msgspec.structs.replace(one, peak=one.steady) for name, one in self.system.load.items()}
        found = demands(Graph(msgspec.structs.replace(self.system, load=load)))
        rates = {name: demand.rate for name, demand in found.items()}
        for path, declared in self._described.declared.items():
            if isinstance(declared, Model):
                name = self._described.name_of[path]
                weights = sum(endpoint.weight for endpoint in declared.endpoints) or 1.0
                for endpoint in declared.endpoints:
                    rates[endpoint_name(name, endpoint)] = rates.get(name, 0.0) * endpoint.weight / weights
                if declared.fallback is not None:
                    rates[endpoint_name(name, declared.fallback)] = 0.0
        return rates

    def _declared(self) -> dict[str, Metered]:
        found: dict[str, Metered] = {}
        for path, declared in self._described.declared.items():
            name = self._described.name_of[path]
            found[name] = declared
            if isinstance(declared, Model):
                every = (*declared.endpoints, *([declared.fallback] if declared.fallback else []))
                found |= {endpoint_name(name, endpoint): endpoint for endpoint in every}
        return found


Tariff = Callable[[Meter, Component], Iterator[Charge]]
