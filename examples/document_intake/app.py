"""Takes in documents: fetches each from storage, makes text of it, has a model read it, and files it, once.

Everything it depends on may be away. Storage and the register are waited for; without preprocessing or without any
model the document is read by rules, is marked as degraded, and a person is asked before it is filed; without the cache
nothing changes but the time it takes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from rules import Extraction, Text, crude_extraction, crude_text

import outlast
from outlast.policy.breaker import BreakerPolicy

PATIENT = outlast.retry(1_000, first="200ms", max="4s")
"""For what is waited for: half an hour of outage is survived, and noticed to be over within seconds."""
EAGER = BreakerPolicy(open_max_s=2.0)
"""Nobody else asks these services: one question in two seconds does them no harm."""
REVIEW_WITHIN = os.environ.get("INTAKE_REVIEW_WITHIN") or "2h"
PROMPT_CHARS_MAX = 6_000
SETTLED_S = 2.0
LOOK_EVERY_S = 0.25
PORTS = {"documents": 8771, "preprocessing": 8772, "extractions": 8773, "register": 8774}


@dataclass(frozen=True)
class Document:
    id: str
    place: str


@dataclass(frozen=True)
class Review:
    """What a person says of a document that was read with less than everything."""

    by: str
    label: str = ""
    """Empty: the label is right."""


@dataclass(frozen=True)
class Filed:
    document: str
    label: str
    number: str
    pages: int
    read_by: str
    filing: int
    degraded: list[str] = field(default_factory=list)
    """What was away when it was read; empty: nothing."""
    reviewed_by: str = ""


class NoSuchDocument(outlast.UsageError):
    """Storage has no such document: asking again would not help."""


class Services:
    """The services of this example, each behind its guard. Opened once in each worker, never recorded."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.documents = outlast.Guard("documents", timeout="2s", breaker=EAGER)
        self.preprocessing = outlast.Guard("preprocessing", timeout="2s", breaker=EAGER, fallback=crude_text)
        self.extractions = outlast.Guard("extractions", timeout="300ms", breaker=EAGER, fallback=_nothing)
        self.register = outlast.Guard("register", timeout="2s", breaker=EAGER)

    async def fetch(self, document: Document) -> str:
        async with self._http.get(_url("documents", f"/documents/{document.place}/{document.id}")) as answer:
            if answer.status == 404:
                raise NoSuchDocument(f"document {document.id[:100]!r} is not at {document.place[:100]!r}")
            answer.raise_for_status()
            return (await answer.read()).decode("utf-8", "replace")

    async def read(self, raw: str) -> Text:
        return Text(**await self._ask("POST", "preprocessing", "/text", data=raw.encode()))

    async def recall(self, digest: str) -> Extraction | None:
        found = await self._ask("GET", "extractions", f"/entries/{digest}")
        return None if found is None else Extraction(**found)

    async def keep(self, digest: str, extraction: Extraction) -> None:
        await self._ask("PUT", "extractions", f"/entries/{digest}", json=extraction.__dict__)

    async def file(self, key: str, document: str, label: str, degraded: bool) -> int:
        asked = {"key": key, "document": document, "label": label, "degraded": degraded}
        return int((await self._ask("POST", "register", "/filings", json=asked))["number"])

    async def filing(self, key: str) -> int | None:
        return (await self._ask("GET", "register", "/filings", params={"key": key}))["number"]

    async def _ask(self, method: str, service: str, path: str, **more: Any) -> Any:
        async with self._http.request(method, _url(service, path), raise_for_status=True, **more) as answer:
            return await answer.json()


def _url(service: str, path: str) -> str:
    """Where INTAKE_DOCUMENTS and the like say, else on this machine."""
    return (os.environ.get(f"INTAKE_{service.upper()}") or f"http://127.0.0.1:{PORTS[service]}") + path


def _nothing(*_: object) -> None:
    """What is remembered while the cache is away."""


@asynccontextmanager
async def open_services() -> AsyncGenerator[Services]:
    async with aiohttp.ClientSession() as http:
        yield Services(http)


app = outlast.App[Services]("document-intake", lifespan=open_services)


@app.tool(effect="pure", retry=PATIENT)
async def fetch(ctx: outlast.Context[Services], document: Document) -> str:
    """The document as it lies in storage. While storage is away, it is waited for."""
    return (await ctx.deps.documents(ctx.deps.fetch, document)).value


@app.tool(effect="pure")
async def preprocess(ctx: outlast.Context[Services], raw: str) -> outlast.Guarded[Text]:
    """Its text, its pages and a digest."""
    return await ctx.deps.preprocessing(ctx.deps.read, raw)


@app.tool(effect="pure")
async def recall(ctx: outlast.Context[Services], digest: str) -> Extraction | None:
    """What was extracted from the same text before; nothing while the cache is away."""
    return (await ctx.deps.extractions(ctx.deps.recall, digest)).value


@app.tool(effect="idempotent")
async def keep(ctx: outlast.Context[Services], digest: str, extraction: Extraction) -> None:
    """For whoever sends the same text again."""
    await ctx.deps.extractions(ctx.deps.keep, digest, extraction)


@app.tool(effect="once", retry=PATIENT, timeout="10m")
async def file(ctx: outlast.Context[Services], document: str, label: str, degraded: bool) -> int:
    """Enter the document in the register, which must happen once."""
    try:
        return (await ctx.deps.register(ctx.deps.file, ctx.key, document, label, degraded)).value
    except (aiohttp.ClientConnectorError, outlast.DependencyUnavailable) as error:
        if getattr(error, "why", "") == "late":
            raise  # it was asked: whether it was filed, only the register knows
        raise outlast.NotDone(f"the register was not asked: {type(error).__name__}") from None


@file.verify
async def is_filed(ctx: outlast.Context[Services], document: str, label: str, degraded: bool) -> outlast.Verdict[int]:
    """Asked when nobody can know whether it was filed: the register can, once it is back.

    What reached it before it froze may still be on its way in it, so only what it denies for SETTLED_S is not done.
    """
    denied_s = 0.0
    while True:
        try:
            number = (await ctx.deps.register(ctx.deps.filing, ctx.key)).value
        except (aiohttp.ClientError, outlast.DependencyUnavailable, OSError):
            denied_s = 0.0
        else:
            if number is not None:
                return outlast.Done(number)
            if denied_s >= SETTLED_S:
                return outlast.NotDone
            denied_s += LOOK_EVERY_S
        await asyncio.sleep(LOOK_EVERY_S)


@app.agent
async def intake(run: outlast.Run[Services], document: Document) -> Filed:
    """Take in one document."""
    raw = await fetch(document)
    text = await preprocess(raw)
    missing = ["preprocessing"] if text.degraded else []
    extraction, read_by = await extract(run, text.value, missing)
    review = None
    if missing:
        review = await run.signal("review", Review, timeout=REVIEW_WITHIN, default=None)
    label = review.label if review is not None and review.label else extraction.label
    filing = await file(document.id, label, bool(missing))
    reviewed_by = review.by if review is not None else ""
    return Filed(document.id, label, extraction.number, text.value.pages, read_by, filing, missing, reviewed_by)


async def extract(run: outlast.Run[Services], text: Text, missing: list[str]) -> tuple[Extraction, str]:
    """What the document is and what stands in it, and who says so: the cache, a model, or the rules."""
    known = await recall(text.digest)
    if known is not None:
        return known, "cache"
    try:
        answer = await run.model("reader", prompt(text.text), output=Extraction, timeout="10s", retry=2)
    except (outlast.EndpointError, outlast.StepTimeout, outlast.StepFailed):
        missing.append("reader")
        return crude_extraction(text.text), "rules"
    if answer.degraded:
        missing.append("reader")
    elif not missing:  # what was read with less than everything is not kept
        await keep(text.digest, answer.value)
    return answer.value, answer.model


def prompt(text: str) -> str:
    """The document's own words come last and are quoted: they decide nothing but how it is read."""
    return (
        "Read a document that came by mail: say what kind of document it is (label), the number that it bears (number) "
        f'and in one sentence what it is about (summary).\n"{text[:PROMPT_CHARS_MAX]}"'
    )
