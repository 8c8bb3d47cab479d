"""The reference page of the rules, as Markdown, made from the rules themselves."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.rule import Rule, Trigger, likelihoods
from outlast.assessment.rules import FAMILIES, RULES

_TRIGGERS: dict[Trigger, str] = {
    "always": "always there",
    "process": "a process dies",
    "dependency": "a dependency is away",
    "node": "a node is lost",
    "overload": "an overload",
    "change": "a change",
    "zone": "a zone is lost",
    "corruption": "data is corrupted",
    "region": "a region is lost",
}

_HEAD = """\
# Rules

What [`outlast assess`](assessment.md) looks for. This page is made by `outlast assess --rules > docs/rules.md`;
a test compares it with the rules.

Ids are stable. A finding's severity is its blast radius, between 0 and 1, times the likelihood of what makes it hurt:
*critical* from 0.6, *high* from 0.35, *medium* from 0.12, else *low*. The blast radius is computed for each place, so
that the same rule may be critical in one system and low in another.

| what makes it hurt | likelihood |
|---|---|
"""

_TAIL = """\
## Rules of your own

A rule is data and one function; a package names its rules in the entry point group `outlast.rules`:

```toml
[project.entry-points."outlast.rules"]
ours = "our_rules:RULES"
```

```python
from collections.abc import Iterator

from outlast.assessment.facts import Facts
from outlast.assessment.finding import Fix
from outlast.assessment.rule import Rule, Weakness, about


def no_blobs(facts: Facts) -> Iterator[Weakness]:
    for component in facts.components:
        if component.kind == "blobs":
            fix = Fix(text="use the archive", buys="one place to look", costs="a migration")
            yield about(component, 0.2, f"{component.name} keeps files outside of the archive", fix)


RULES = (
    Rule(id="ACME-STO-001", title="files outside of the archive", why="Auditors look there.", trigger="always",
         lens="AGENTREL03", check=no_blobs),
)
```

`Facts` offers the components and edges, the impact of any disruption, availability, recovery times and demand.
"""


def rule_page() -> str:
    """All of it."""
    rows = "".join(f"| {_TRIGGERS[trigger]} | {share:g} |\n" for trigger, share in likelihoods.items())
    families = "\n".join("".join(_family(key, title, rules)) for key, (title, rules) in FAMILIES.items())
    count = f"\n{len(RULES)} rules in {len(FAMILIES)} families. `REL…` are best practices of the AWS Well-Architected\n"
    mapped = (
        "reliability pillar, `AGENTREL…` and `AGENTSEC…` capabilities of the Well-Architected Agentic AI Lens; the\n"
        "mapping is ours.\n\n"
    )
    return _HEAD + rows + count + mapped + families + "\n" + _TAIL


def _family(key: str, title: str, rules: tuple[Rule, ...]) -> Iterator[str]:
    yield f"## {key}: {title}\n\n"
    yield "| rule | weakness | why | hurts when | practice |\n|---|---|---|---|---|\n"
    for rule in rules:
        practice = ", ".join(one for one in (rule.pillar, rule.lens) if one)
        yield f"| `{rule.id}` | {rule.title} | {rule.why} | {_TRIGGERS[rule.trigger]} | {practice} |\n"
