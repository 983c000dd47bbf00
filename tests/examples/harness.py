"""The chaos stack with the examples in the place of order_service and billing_service.

Scenarios, faults, witnesses, promises and verdict are those of the services. Only what the harness asks of a service by
other ways than its wire is answered otherwise: it opens accounts by SQL, and reads the attempts of an order in the journal.
"""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx

from chaos.evidence import readings
from chaos.evidence.journal import Event
from chaos.harness.harness import AMOUNT_CENTS, OPENING_CENTS, REQUEST_TIMEOUT_S, Harness
from chaos.runner.run import ENVIRONMENT, WRAPPED, open_harness
from order_service.wire import Attempt, Delivery, Order, Status
from stack.http_client import http_client
from stack.servers import LentServers
from tests.examples.source import Substitution, text
from tests.examples.wrapped import BROKEN_VARIABLE

FACTORIES = {
    **WRAPPED,
    "order_service": "tests.examples.wrapped:caller",
    "billing_service": "tests.examples.wrapped:receiver",
}
# The harness reads the tables of the services; these are the same readings of the examples' tables.
VIEWS = f"""
    DROP SCHEMA orders, billing CASCADE;
    CREATE SCHEMA orders;
    CREATE SCHEMA billing;
    CREATE VIEW billing.accounts AS
      SELECT account, {OPENING_CENTS}::bigint AS opening_balance_cents, balance_cents FROM public.accounts;
    CREATE VIEW billing.ledger AS SELECT * FROM public.ledger;
    CREATE VIEW billing.processed_keys AS SELECT * FROM public.processed_keys;
    CREATE VIEW billing.clients AS SELECT * FROM public.clients;
    CREATE VIEW orders.orders AS SELECT *, account AS customer FROM public.orders;
    CREATE VIEW orders.attempts AS SELECT order_id, sequence_key FROM public.orders;
    GRANT USAGE ON SCHEMA public TO order_service, billing_service;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO order_service, billing_service;
    INSERT INTO public.clients (client) VALUES ('order_service');
    -- Under at most once an order without an answer ends so.
    ALTER TABLE public.orders DROP CONSTRAINT orders_status_check;
"""


class ExampleHarness(Harness):
    """The stage of the examples."""

    async def open_account(self, prefix: str, opening_cents: int = OPENING_CENTS) -> str:
        account = f"{prefix}-{uuid4().hex[:12]}"
        owner = await readings.connect(self.target.owner)
        await owner.execute("INSERT INTO public.accounts VALUES ($1, $2)", account, opening_cents)
        await owner.close()
        return account

    async def place(
        self, account: str, delivery: Delivery, customer_key: str = ""
    ) -> httpx.Response:
        self.deliveries[account] = delivery
        async with http_client(timeout=REQUEST_TIMEOUT_S) as client:
            return await client.post(
                f"{self.target.urls['order_service']}/orders",
                json={"account": account, "amount_cents": AMOUNT_CENTS},
                headers={"X-Delivery": delivery},
            )

    async def read_order(self, order_id: Any) -> Order | None:
        owner = await readings.connect(self.target.owner)
        row = await owner.fetchrow("SELECT * FROM public.orders WHERE order_id = $1", order_id)
        await owner.close()
        if row is None:
            return None
        return Order(
            order_id=UUID(str(order_id)),
            customer=row["account"],
            item="",
            amount_cents=row["amount_cents"],
            delivery=self.deliveries[row["account"]],
            status=Status(row["status"]),
            sequence_key=row["sequence_key"],
            attempts=list(_attempts(self.journal.of_account(row["account"]))),
            answer=json.loads(row["answer"]) if row["answer"] else None,
            notification=None,
            created_at=datetime.now(UTC),
            settled_at=None,
        )

    async def _all_declared(self) -> None:
        """The example declares nothing by itself, so there is nothing to wait for."""

    @property
    def deliveries(self) -> dict[str, Delivery]:
        found: dict[str, Delivery] = vars(self).setdefault("_deliveries", {})
        return found


def _attempts(events: Iterable[Event]) -> Iterable[Attempt]:
    """Each attempt that is over, as the journal of the caller's transport tells it."""
    sent: list[Event] = []
    for event in events:
        if event.service != "order_service" or event.fields.get("peer") != "charges":
            continue
        if event.seam == "attempt":
            sent.append(event)
        elif event.seam in ("answer", "no answer"):
            status = event.fields.get("status")
            yield Attempt(
                attempt=len(sent),
                sequence_key=int(sent[-1].fields["sequence_key"].strip('"')),
                retry=sent[-1].fields["retry"] == "?1",
                outcome="acknowledged" if status in (201, 402) else "unknown",
                caller_saw=f"HTTP {status}" if status else str(event.fields["saw"]),
                seconds=(event.at_ns - sent[-1].at_ns) / 1e9,
            )


@asynccontextmanager
async def open_examples(
    run_dir: Path,
    broken: Iterable[Substitution] = (),
    schema: Iterable[Substitution] = (),
    servers: LentServers | None = None,
) -> AsyncIterator[Harness]:
    """The running stage; `broken` replaces texts of the receiver, `schema` texts of the schema."""
    environ = {**ENVIRONMENT, BROKEN_VARIABLE: json.dumps(list(broken))}
    async with open_harness(
        run_dir,
        lambda _: None,
        usual_ports=False,
        factories=FACTORIES,
        environ=environ,
        kind=ExampleHarness,
        servers=servers,
    ) as harness:
        owner = await readings.connect(harness.target.owner)
        await owner.execute(text("schema.sql", schema))
        await owner.execute(VIEWS)
        await owner.close()
        yield harness
