"""A support desk. It labels a ticket, looks up the orders in it, refunds what is due, and writes a short reply.

Everything that must survive a crash is a step: a decorated tool, or `run.model`. The refund is the dangerous one: it
books money in a ledger outside the system, and it must never happen twice.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from labels import Label, Labeller, open_labeller
from ledger import Ledger, Receipt

import outlast

HERE = Path(__file__).parent
ORDER_NUMBER = re.compile(r"(?<![\d.,])1\d{3}(?!\d)")
ORDERS_MAX = 8
REFUNDABLE = ("delivered", "returned", "lost")


@dataclass(frozen=True)
class Ticket:
    id: str
    customer: str
    text: str


@dataclass(frozen=True)
class Order:
    number: str
    customer: str
    item: str
    cents: int
    status: str
    refunded: bool


@dataclass(frozen=True)
class Reply:
    ticket: str
    label: str
    labelled_by: str
    text: str
    written_by: str
    refunded: dict[str, int] = field(default_factory=dict)
    """Cents by order number."""


@dataclass(frozen=True)
class Desk:
    """What the tools work with: opened once in each worker, never recorded."""

    labeller: Labeller
    orders: dict[str, Order]
    ledger: Ledger


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    """The ledger is where SUPPORT_DESK_LEDGER says, else beside this file."""
    found = json.loads((HERE / "orders.json").read_text())
    orders = {number: Order(number, **order) for number, order in found.items()}
    ledger = Ledger(Path(os.environ.get("SUPPORT_DESK_LEDGER") or HERE / "ledger.sqlite"))
    yield Desk(open_labeller(), orders, ledger)


app = outlast.App[Desk]("support-desk", lifespan=open_desk)


@app.tool(effect="pure")
def classify(ctx: outlast.Context[Desk], text: str) -> Label:
    """What the customer wants."""
    return ctx.deps.labeller.label(text)


@app.tool(effect="pure")
def lookup(ctx: outlast.Context[Desk], number: str) -> Order | None:
    """An order by its number."""
    return ctx.deps.orders.get(number)


@app.tool(effect="once")
def refund(ctx: outlast.Context[Desk], ticket: str, order: str, cents: int) -> Receipt:
    """Pay the price of an order back."""
    ctx.uses("ledger")
    return ctx.deps.ledger.book(ctx.key, ticket, order, cents)


@refund.verify
def refund_is_booked(ctx: outlast.Context[Desk], ticket: str, order: str, cents: int) -> outlast.Verdict[Receipt]:
    """Asked when nobody can know whether the refund went out: the ledger can."""
    ctx.uses("ledger")
    receipt = ctx.deps.ledger.find(ctx.key)
    return outlast.NotDone if receipt is None else outlast.Done(receipt)


@app.agent
async def support(run: outlast.Run[Desk], ticket: Ticket) -> Reply:
    """Answer one ticket."""
    label = await classify(ticket.text)
    numbers = list(dict.fromkeys(ORDER_NUMBER.findall(ticket.text)))[:ORDERS_MAX]
    found = await run.map(lookup, numbers, limit=4)
    orders = [order for order in found if order is not None and order.customer == ticket.customer]
    refunded: dict[str, int] = {}
    if label.name == "refund":
        for order in orders:
            if order.status in REFUNDABLE and not order.refunded:  # the price is ours, never what the text says
                receipt = await refund(ticket.id, order.number, order.cents)
                refunded[receipt.order] = receipt.cents
    answer = await run.model("writer", prompt(ticket, label, orders, refunded), max_tokens=32)
    return Reply(ticket.id, label.name, label.by, answer.value.strip(), answer.model, refunded)


def prompt(ticket: Ticket, label: Label, orders: list[Order], refunded: dict[str, int]) -> str:
    """What the writer is told. The customer's words are quoted and come last; nothing that matters depends on them."""
    facts = [f"Order {order.number}: {order.item}, {order.status}." for order in orders]
    facts += [f"We refunded {cents / 100:.2f} EUR for order {number}." for number, cents in refunded.items()]
    return (
        "Write one short, friendly sentence to a customer of our shop.\n"
        f"Topic: {label.name}.\n{' '.join(facts)}\n"
        f'The customer wrote: "{ticket.text[:400]}"'
    )
