"""Whether data stays where it must: which geographies a place belongs to, and which of them leak.

A Bedrock inference profile named ``eu.`` processes anywhere in that geography, ``global.`` anywhere at all
(Amazon Bedrock user guide, "Cross-Region inference").
"""

from __future__ import annotations

from outlast.assessment.component import Component

_GEOGRAPHIES: dict[str, str] = {
    "eu": "eu",
    "us": "us",
    "ca": "ca",
    "sa": "sa",
    "ap": "apac",
    "apac": "apac",
    "me": "me",
    "il": "il",
    "af": "af",
    "mx": "mx",
    "jp": "apac",
    "au": "apac",
}
_EXCEPTIONS = {"eu-west-2": "uk", "eu-central-2": "ch", "us-gov-west-1": "us-gov", "us-gov-east-1": "us-gov"}
"""Regions whose name begins with a geography that their country is not part of."""


def geography(place: str) -> str:
    """Of a region (``eu-central-1``), a geography (``eu``) or a profile's prefix; ``global`` for anywhere."""
    if place in ("global", "*", "any"):
        return "global"
    if place in _EXCEPTIONS:
        return _EXCEPTIONS[place]
    return _GEOGRAPHIES.get(place.partition("-")[0], place)


def stays(place: str, residency: str) -> bool:
    """Whether what is at `place` is within `residency`; a region as residency admits that region alone."""
    if not residency or not place or place in ("local", "home", "standby"):
        return True
    if "-" in residency:
        return place == residency
    return geography(place) == geography(residency)


def leaks(component: Component, residency: str) -> tuple[str, ...]:
    """Places outside of `residency` where a component runs, or lets data be processed."""
    wanted = component.residency or residency
    places = [*(site.region for site in component.sites), *component.processes_in]
    return tuple(dict.fromkeys(place for place in places if not stays(place, wanted)))
