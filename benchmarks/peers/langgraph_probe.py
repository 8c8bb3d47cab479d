"""Measures LangGraph with SqliteSaver. Runs in the peers' environment; imports nothing of Outlast.

SqliteSaver itself puts the file into WAL mode; ``synchronous=FULL`` is set on the connection that it is given (Python's
default, said all the same). ``durability="sync"`` makes a checkpoint durable before the next super-step starts: what
Outlast does for each step. The graph is one node that writes its result into the state and loops to itself.

A line "ready" says that it is set up; each line on standard input then asks for one measurement, which is answered by
one line of JSON; the end of the input ends the process.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import operator
import sqlite3
import sys
import time
from pathlib import Path
from typing import Annotated, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    count: int
    total: int
    last: str
    items: Annotated[list[str], operator.add]


def graph(saver: SqliteSaver, size: int, keep: bool):
    """A loop of `total` super-steps of `size` bytes each. `keep`: the state gathers them, else it holds the last."""

    def node(state: State) -> dict[str, object]:
        item = f"{state['count']:08d}" + "x" * (size - 8)
        return {"count": state["count"] + 1} | ({"items": [item]} if keep else {"last": item})

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_conditional_edges("node", lambda state: END if state["count"] >= state["total"] else "node")
    return builder.compile(checkpointer=saver)


def size_of(path: Path) -> int:
    """Bytes of the database with its write-ahead log folded in."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["step", "storage"])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--size", type=int, default=1024)
    args = parser.parse_args()
    path = args.dir / "langgraph.sqlite"
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    saver = SqliteSaver(connection)
    saver.setup()
    facts = {
        "langgraph": importlib.metadata.version("langgraph"),
        "sqlite": sqlite3.sqlite_version,
        "journal_mode": connection.execute("PRAGMA journal_mode").fetchone()[0],
        "synchronous": connection.execute("PRAGMA synchronous").fetchone()[0],
    }
    compiled = graph(saver, args.size, keep=args.work == "storage")

    def run(thread: str, steps: int) -> float:
        config = {"configurable": {"thread_id": thread}, "recursion_limit": steps + 10}
        start = time.perf_counter()
        compiled.invoke({"count": 0, "total": steps, "last": "", "items": []}, config, durability="sync")
        return time.perf_counter() - start

    print("ready", flush=True)
    for number, request in enumerate(sys.stdin):
        taken = run(f"thread-{number}", args.steps)
        answer = {"step_ms": taken / args.steps * 1000, **facts}
        if request.strip() == "storage":
            answer["storage_bytes"] = size_of(path)  # it truncates the log, which then must grow again
        print(json.dumps(answer), flush=True)
    connection.close()


if __name__ == "__main__":
    main()
