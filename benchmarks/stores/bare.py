"""The server's own write, with nothing around it: one row or item of so many bytes, durable when it returns.

``INSERT`` and commit on SQLite and PostgreSQL (a prepared statement, autocommit), ``PutItem`` on DynamoDB. Requests:
``COUNT BYTES``; the answer: what each took, in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from benchmarks.probe import reply

Write = Callable[[bytes], Awaitable[None]]


@asynccontextmanager
async def _sqlite(where: str) -> AsyncGenerator[Write]:
    import apsw

    database = apsw.Connection(where)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS bare (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")

    async def write(body: bytes) -> None:
        database.execute("INSERT INTO bare (body) VALUES (?)", (body,))

    yield write
    database.close()


@asynccontextmanager
async def _postgres(where: str) -> AsyncGenerator[Write]:
    import psycopg

    async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS bare (number bigserial PRIMARY KEY, body text NOT NULL)")

        async def write(body: bytes) -> None:
            await connection.execute("INSERT INTO bare (body) VALUES (%s)", (body.decode(),), prepare=True)

        yield write


@asynccontextmanager
async def _dynamodb(where: str) -> AsyncGenerator[Write]:
    from aiobotocore.session import get_session

    from benchmarks.stores.engine import region

    endpoint, table = where.split("|")
    count = 0
    made: Any = get_session().create_client("dynamodb", region_name=region, endpoint_url=endpoint)
    async with made as client:
        await client.create_table(
            TableName=f"{table}-bare",
            AttributeDefinitions=[{"AttributeName": "number", "AttributeType": "N"}],
            KeySchema=[{"AttributeName": "number", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

        async def write(body: bytes) -> None:
            nonlocal count
            count += 1
            await client.put_item(TableName=f"{table}-bare", Item={"number": {"N": str(count)}, "body": {"B": body}})

        yield write


WRITERS = {"sqlite": _sqlite, "postgres": _postgres, "dynamodb": _dynamodb}


async def serve(args: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    async with WRITERS[args.kind](args.where) as write:
        print("ready", flush=True)
        while request := (await loop.run_in_executor(None, sys.stdin.readline)).split():
            count, size = map(int, request)
            taken: list[float] = []
            for number in range(count):
                body = (b"%08d" % number).ljust(size, b"x")
                start = time.perf_counter()
                await write(body)
                taken.append((time.perf_counter() - start) * 1000)
            reply({"ms": taken})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=WRITERS, required=True)
    parser.add_argument("--where", required=True)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
