"""Amazon SQS as a queue: standard queues, at least once, in no order. Seen on emulators: untested on AWS.

Source: Amazon SQS developer guide and API reference: quotas, visibility time-out, dead-letter queues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.said import told
from outlast.cell.queue import Depth, Message, Parcel, QueueUnavailable, send_bytes_max, send_count_max
from outlast.kernel.error import ConfigurationError, invariant

read_timeout_s = 30.0
"""The longest silence of the service: longer than the longest look into a queue, 20 s."""
hidden_s_default = 300.0
_origin, _reason = "outlast-origin", "outlast-reason"
_hide_max_s = 43_200


class SqsQueue:
    """A Queue. Its name is the last part of its address; `hidden_s` overrides the queue's own visibility time-out.

    `dead_letters` is the queue that its redrive policy names, given by the caller. Close it when done.
    """

    def __init__(
        self,
        url: str,
        place: Place,
        *,
        hidden_s: float = hidden_s_default,
        dead_letters: SqsQueue | None = None,
    ) -> None:
        self.name = url.rstrip("/").rpartition("/")[2]
        if not self.name or "://" not in url:
            raise ConfigurationError(
                f"queue {url[:200]!r} is no address: write https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"
            )
        if not 1 <= hidden_s <= _hide_max_s:
            raise ConfigurationError(f"queue {self.name}: hidden_s is {hidden_s:g}, it must be 1 to {_hide_max_s} s")
        self.hidden_s = hidden_s
        self.dead_letters = dead_letters
        self._url = url
        self._where = f"SQS ({self.name})"
        self._client = Client("sqs", place, read_timeout_s)

    async def send(self, parcels: Sequence[Parcel]) -> Sequence[bool]:
        invariant(len(parcels) <= send_count_max, f"{len(parcels)} parcels were sent at once")
        accepted = [False] * len(parcels)
        entries: list[dict[str, Any]] = []
        size = 0
        for number, parcel in enumerate(parcels):
            entry = _entry(number, parcel)
            if entry is None or size + _size(parcel) > send_bytes_max:
                continue
            size += _size(parcel)
            entries.append(entry)
        if entries:
            answer = await self._ask("send_message_batch", Entries=entries)
            for sent in answer.get("Successful", ()):
                accepted[int(sent["Id"])] = True
        return accepted

    async def receive(self, limit: int, wait_s: float) -> Sequence[Message]:
        answer = await self._ask(
            "receive_message",
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=round(wait_s),
            VisibilityTimeout=round(self.hidden_s),
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            MessageAttributeNames=[_origin, _reason],
        )
        return [_message(each) for each in answer.get("Messages", ())]

    async def delete(self, messages: Sequence[Message]) -> None:
        left = list(messages)
        for _ in range(2):  # what the service failed to delete is asked for once more, then it comes back
            again: list[Message] = []
            for start in range(0, len(left), send_count_max):
                batch = left[start : start + send_count_max]
                entries = [{"Id": str(n), "ReceiptHandle": each.receipt} for n, each in enumerate(batch)]
                answer = await self._ask("delete_message_batch", Entries=entries)
                again += [batch[int(failed["Id"])] for failed in _ours(answer)]
            left = again

    async def hide(self, messages: Sequence[Message], seconds: float) -> None:
        for start in range(0, len(messages), send_count_max):
            entries = [
                {"Id": str(n), "ReceiptHandle": each.receipt, "VisibilityTimeout": min(round(seconds), _hide_max_s)}
                for n, each in enumerate(messages[start : start + send_count_max])
            ]
            await self._ask("change_message_visibility_batch", Entries=entries)

    async def depth(self) -> Depth:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
        hidden = "ApproximateNumberOfMessagesNotVisible"
        answer = await self._ask("get_queue_attributes", AttributeNames=[*names, hidden])
        found: Mapping[str, str] = answer.get("Attributes", {})
        return Depth(sum(int(found.get(name, 0)) for name in names), int(found.get(hidden, 0)))

    async def close(self) -> None:
        """Close its connections."""
        await self._client.closed()

    async def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        with told(self._where, QueueUnavailable):
            client = await self._client.get()
            return await getattr(client, operation)(QueueUrl=self._url, **parameters)


def _entry(number: int, parcel: Parcel) -> dict[str, Any] | None:
    """None: SQS takes text only, and not an empty one."""
    try:
        entry: dict[str, Any] = {"Id": str(number), "MessageBody": parcel.body.decode()}
    except UnicodeDecodeError:
        return None
    if beside := _beside(parcel):
        entry["MessageAttributes"] = {name: {"DataType": "String", "StringValue": text} for name, text in beside}
    return entry if parcel.body else None


def _size(parcel: Parcel) -> int:
    return len(parcel.body) + sum(len(name) + len("String") + len(text.encode()) for name, text in _beside(parcel))


def _beside(parcel: Parcel) -> list[tuple[str, str]]:
    return [(name, text) for name, text in ((_origin, parcel.origin), (_reason, parcel.reason)) if text]


def _message(each: Mapping[str, Any]) -> Message:
    system: Mapping[str, str] = each.get("Attributes", {})
    beside: Mapping[str, Mapping[str, str]] = each.get("MessageAttributes", {})
    return Message(
        each["MessageId"],
        each.get("Body", "").encode(errors="surrogatepass"),
        each["ReceiptHandle"],
        int(system.get("ApproximateReceiveCount", 1)),
        int(system.get("SentTimestamp", 0)) / 1000,
        beside.get(_origin, {}).get("StringValue", "")[:255],
        beside.get(_reason, {}).get("StringValue", ""),
    )


def _ours(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What failed by no fault of the caller's: a receipt that is too old is one."""
    return [failed for failed in answer.get("Failed", ()) if not failed.get("SenderFault")]
