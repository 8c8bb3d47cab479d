"""Answers questions about a shop out of its help pages, also while the search behind them is slow, frozen or dead.

The vector search is a service of its own. A guard stands before it: 300 ms, a breaker, and a search for keywords that
needs nothing but this process. The reply says which of them found it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

import outlast

HERE = Path(__file__).parent
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Passage:
    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Found:
    passages: list[str]
    by: str


@dataclass(frozen=True)
class Reply:
    text: str
    sources: list[str]
    found_by: str
    degraded: bool
    why: str


class Keywords:
    """The search that is always there: counts the words of the question that a passage has, rare ones for more."""

    def __init__(self, passages: dict[str, Passage]) -> None:
        self._words = {one.id: _words(f"{one.title} {one.text}") for one in passages.values()}

    def search(self, query: str) -> Found:
        asked = _words(query)
        rarity = {word: 1 / (1 + sum(word in words for words in self._words.values())) for word in asked}
        score = {name: sum(rarity[word] for word in asked & words) for name, words in self._words.items()}
        best = sorted((name for name in score if score[name] > 0), key=lambda name: score[name], reverse=True)
        return Found(best[:3], "keywords")


@dataclass(frozen=True)
class Library:
    """What the tools work with: opened once in each worker, never recorded."""

    passages: dict[str, Passage]
    search: Callable[[str], Awaitable[Found]]
    knowledge: outlast.Guard


def library(search: Callable[[str], Awaitable[Found]]) -> Library:
    """A library before any vector search."""
    passages = {one["id"]: Passage(**one) for one in json.loads((HERE / "passages.json").read_text())}
    guard = outlast.Guard("knowledge", timeout="300ms", fallback=Keywords(passages).search)
    return Library(passages, search, guard)


@asynccontextmanager
async def open_library() -> AsyncGenerator[Library]:
    """The index is where KNOWLEDGE_INDEX says, else on port 8765 of this machine."""
    url = os.environ.get("KNOWLEDGE_INDEX") or "http://127.0.0.1:8765"
    async with aiohttp.ClientSession(url) as session:

        async def search(query: str) -> Found:
            async with session.get("/search", params={"q": query}, raise_for_status=True) as response:
                return Found(**await response.json())

        yield library(search)


app = outlast.App[Library]("knowledge-search", lifespan=open_library)


@app.tool(effect="pure", timeout="5s")
async def find(ctx: outlast.Context[Library], query: str) -> outlast.Guarded[Found]:
    """Passages of the help pages that answer a question."""
    return await ctx.deps.knowledge(ctx.deps.search, query)


@app.agent
async def helper(run: outlast.Run[Library], question: str) -> Reply:
    """Answer one question with the passage that fits best."""
    found = await find(question)
    passages = [run.deps.passages[name] for name in found.value.passages]
    text = passages[0].text if passages else "The help pages say nothing about that."
    if found.degraded:
        text = f"(Our search is limited at the moment.) {text}"
    return Reply(text, found.value.passages, found.value.by, found.degraded, found.why)


def _words(text: str) -> set[str]:
    return {word.rstrip("s") for word in WORD.findall(text.lower()) if len(word) > 3}
