"""One table: its operations with consistent reads, its bounds and what they cost.

An item that has expired (`expires_at`) is not there for any reader, whether DynamoDB has removed it yet or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.layout import Key
from outlast.adapters.aws.dynamodb.size import Item, index_units, item_bytes, item_bytes_max, write_units
from outlast.adapters.aws.fault import CallFailed
from outlast.kernel.clock import Clock
from outlast.kernel.error import UsageError

batch_keys_max = 100
"""Items in one BatchGetItem: 100, DynamoDB's bound."""
expiry_slack_s = 3600.0
"""How far the clocks of hosts may differ before an expired item could be replaced that another host still reads."""
_batch_rounds_max = 8
_page_max = 1000
_counted = "INDEXES"


class Table:
    """A DynamoDB table. Everything raises CallFailed (StoreUnavailable) for what AWS refuses or does not answer."""

    def __init__(self, name: str, calls: Calls, clock: Clock) -> None:
        self.name = name
        self._calls = calls
        self._clock = clock
        self.usage = calls.usage

    async def put_new(self, item: Item, *, again: bool = False) -> bool:
        """One conditional put: False if an item with this key is there. Sent once, or `again` while it is lost.

        One that expired `expiry_slack_s` ago or longer is not in the way.
        """
        send = self._calls.many if again else self._calls.once
        long_ago = int(self._clock.now() - expiry_slack_s)
        return await self._put(
            item, None, send,
            ConditionExpression="attribute_not_exists(pk) OR expires_at < :long_ago",
            ExpressionAttributeValues={":long_ago": {"N": str(long_ago)}},
        )  # fmt: skip

    async def expire(self, at: Key, moment: float) -> None:
        """Let an item expire at a time, if it is there."""
        try:
            answer = await self._calls.many(
                "UpdateItem", TableName=self.name, Key=at, ConditionExpression="attribute_exists(pk)",
                UpdateExpression="SET expires_at = :at", ExpressionAttributeValues={":at": {"N": str(int(moment))}},
                ReturnConsumedCapacity=_counted,
            )  # fmt: skip
        except CallFailed as failed:
            if failed.kind != "refused":
                raise
            answer = {}
        self._wrote(at, at, at, answer)

    async def put(self, item: Item) -> None:
        """Write an item over."""
        await self._put(item, None, self._calls.many)

    async def replace(self, item: Item, rev: int | None, old: Item | None) -> bool:
        """Write an item over if its `rev` is this one (None: if it is not there); False if it is not."""
        if rev is None:
            condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        else:
            condition = {"ConditionExpression": "rev = :rev", "ExpressionAttributeValues": {":rev": {"N": str(rev)}}}
        return await self._put(item, old, self._calls.many, **condition)

    async def get(self, at: Key) -> Item | None:
        """One item, as of now."""
        answer = await self._read("GetItem", Key=at, ConsistentRead=True)
        item = answer.get("Item")
        return item if item is not None and self._is_alive(item) else None

    async def get_all(self, keys: Sequence[Key]) -> list[Item]:
        """Those that are there, as of now, in no order."""
        pages = [keys[start : start + batch_keys_max] for start in range(0, len(keys), batch_keys_max)]
        found = await asyncio.gather(*map(self._batch, pages))
        return [item for page in found for item in page if self._is_alive(item)]

    async def query(
        self, pk: str, after: str | None = None, limit: int | None = None, *, newest_first: bool = False,
        names: str | None = None, expired: bool = False,
    ) -> list[Item]:  # fmt: skip
        """Items of one partition, in the order of their sort keys, those after `after`, as of now; `names`: only these
        attributes; `expired`: those too that have expired.
        """
        values: dict[str, Any] = {":pk": {"S": pk}}
        where = "pk = :pk"
        if after is not None:
            where += " AND sk > :sk"
            values[":sk"] = {"S": after}
        question: dict[str, Any] = {
            "KeyConditionExpression": where, "ExpressionAttributeValues": values, "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
        }  # fmt: skip
        if names is not None:
            question["ProjectionExpression"] = names
        found: list[Item] = []
        async for page in self._pages(question, limit):
            found += page if expired else filter(self._is_alive, page)
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    async def find(
        self, index: str, partition: str, start: str = "", end: str = "\uffff", limit: int | None = None, *,
        newest_first: bool = False,
    ) -> AsyncIterator[Item]:  # fmt: skip
        """Keys that an index holds of one of its partitions, ``start <= range key <= end``: as it was a while ago."""
        hash_name, range_name = layout.INDEXES[index]
        question = {
            "IndexName": index,
            "KeyConditionExpression": f"{hash_name} = :in AND {range_name} BETWEEN :start AND :end",
            "ExpressionAttributeValues": {":in": {"S": partition}, ":start": {"S": start or " "}, ":end": {"S": end}},
            "ScanIndexForward": not newest_first,
        }
        async for page in self._pages(question, limit):
            for item in page:
                if self._is_alive(item):
                    yield item

    async def count(self, index: str, partition: str) -> int:
        """How many items an index holds in one of its partitions."""
        hash_name, _ = layout.INDEXES[index]
        question: dict[str, Any] = {
            "IndexName": index, "KeyConditionExpression": f"{hash_name} = :in", "Select": "COUNT",
            "ExpressionAttributeValues": {":in": {"S": partition}},
        }  # fmt: skip
        total = 0
        while True:
            answer = await self._read("Query", **question)
            total += int(answer["Count"])
            if answer.get("LastEvaluatedKey") is None:
                return total
            question["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def delete(self, at: Key, old: Item | None = None, only_expired_at: float | None = None) -> None:
        """Remove an item; nothing if it is not there, or had not expired at this time."""
        condition: dict[str, Any] = {}
        if only_expired_at is not None:
            condition = {
                "ConditionExpression": "expires_at < :at",
                "ExpressionAttributeValues": {":at": {"N": str(int(only_expired_at))}},
            }
        try:
            answer = await self._calls.many(
                "DeleteItem", TableName=self.name, Key=at, ReturnConsumedCapacity=_counted, **condition
            )
        except CallFailed as failed:
            if failed.kind != "refused":
                raise
            answer = {}
        self._wrote(old or at, None, old, answer)

    def _is_alive(self, item: Item) -> bool:
        expires_at = item.get("expires_at")
        return expires_at is None or int(expires_at["N"]) > self._clock.now()

    async def _put(self, item: Item, old: Item | None, send: Any, **condition: Any) -> bool:
        size = item_bytes(item)
        if size > item_bytes_max:
            raise UsageError(
                f"item {item['pk']['S'][:200]} takes {size} bytes with its keys and names, DynamoDB's bound "
                f"item_bytes_max is {item_bytes_max}: put large payloads into the blob store"
            )
        try:
            answer = await send(
                "PutItem", TableName=self.name, Item=item, ReturnConsumedCapacity=_counted, **condition
            )
        except CallFailed as failed:
            if failed.kind != "refused":
                raise
            self._wrote(item, item, item, {})
            return False
        self._wrote(item, item, old, answer)
        return True

    async def _batch(self, keys: Sequence[Key]) -> list[Item]:
        found: list[Item] = []
        wanted: Any = list(keys)
        for _ in range(_batch_rounds_max):
            if not wanted:
                return found
            request = {self.name: {"Keys": wanted, "ConsistentRead": True}}
            answer = await self._read_any("BatchGetItem", RequestItems=request)
            found += answer.get("Responses", {}).get(self.name, [])
            wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
        raise CallFailed("throttled", f"table {self.name} left {len(wanted)} items unread: try again")

    async def _pages(self, question: dict[str, Any], limit: int | None) -> AsyncIterator[list[Item]]:
        start: Any = None
        while True:
            more = {} if start is None else {"ExclusiveStartKey": start}
            if limit is not None:
                more["Limit"] = max(1, limit)
                limit = min(limit * 4, _page_max)  # more pages: what was found had expired, or a caller wants more
            answer = await self._read("Query", **question, **more)
            yield answer.get("Items", [])
            start = answer.get("LastEvaluatedKey")
            if start is None:
                return

    async def _read(self, operation: str, **question: Any) -> dict[str, Any]:
        return await self._read_any(operation, TableName=self.name, **question)

    async def _read_any(self, operation: str, **question: Any) -> dict[str, Any]:
        answer = await self._calls.many(operation, ReturnConsumedCapacity=_counted, **question)
        told: Any = answer.get("ConsumedCapacity") or []
        for consumed in cast("list[dict[str, Any]]", told if isinstance(told, list) else [told]):
            self.usage.read_units += float(consumed.get("CapacityUnits", 0.0))
        return answer

    def _wrote(self, item: Item, new: Item | None, old: Item | None, answer: dict[str, Any]) -> None:
        usage = self.usage
        usage.writes += 1
        sizes = [item_bytes(one) for one in (item, old) if one is not None]
        base = write_units(*sizes)
        indexes = index_units(old, new, layout.INDEXES, layout.WHOLE)
        usage.ruled_units += base + indexes
        told = cast("dict[str, Any] | None", answer.get("ConsumedCapacity"))
        if not told or "CapacityUnits" not in told:
            usage.ruled += 1
            usage.write_units += base
            usage.index_units += indexes
            return
        of_each = cast("dict[str, dict[str, Any]]", told.get("GlobalSecondaryIndexes") or {})
        of_indexes = sum(float(one["CapacityUnits"]) for one in of_each.values())
        usage.write_units += float(told["CapacityUnits"]) - of_indexes
        usage.index_units += of_indexes
