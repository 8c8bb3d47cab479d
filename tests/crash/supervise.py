"""What `outlast up` does, without its terminal: a process of its own, so that crash tests can kill it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from outlast.blueprint.load import load
from outlast.bootstrap.cell import CellOptions, run_cell
from outlast.cell import event as news


def main() -> None:
    home = Path(sys.argv[1])
    told = (home / "events.jsonl").open("ab", buffering=0)

    def tell(event: news.CellEvent) -> None:
        told.write(msgspec.json.encode(event) + b"\n")

    options = msgspec.json.decode(sys.argv[2], type=CellOptions)
    asyncio.run(run_cell(home, load(home), options, tell))


if __name__ == "__main__":
    main()
