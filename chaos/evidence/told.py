"""What the services told as final in a scenario, and which of it a server of Postgres does not have.

Guarantee: each answer is looked up by what it says (a key, a charge, an order), not by who gave it; an answer that leaves the
outcome open (409 in flight, 503, 202 of a pending order) is none of them.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import httpx

_PENDING = "pending"


@dataclass(frozen=True)
class Final:
    """One fact that was told: its kind, what it is about, and by which request."""

    kind: str
    about: tuple[Any, ...]
    request: str

    def __str__(self) -> str:
        return f"{self.kind} {' '.join(map(str, self.about))} (told by {self.request})"


class Told:
    """The facts, in the order in which they were told; each is kept once."""

    def __init__(self) -> None:
        self._finals: dict[tuple[str, tuple[Any, ...]], Final] = {}

    def __len__(self) -> int:
        return len(self._finals)

    def charge(self, client: str, key: int, response: httpx.Response) -> None:
        """An answer of POST /charges."""
        self._of_charge(client, key, response, "POST /charges")

    def key(self, client: str, key: int, response: httpx.Response) -> None:
        """An answer of GET or DELETE /charges/{key}."""
        request = f"{response.request.method} /charges/{key}"
        if not response.is_success:
            self._of_charge(client, key, response, request)
            return
        body = response.json()
        match body["state"]:
            case "charged" | "declined":
                answer = json.loads(body["answer"])
                about = (client, key, body["status"], answer.get("charge_id"))
                self._note("charge", about, request)
            case "voided" | "forgotten" as state:
                self._note(state, (client, key), request)

    def balance(self, account: str, response: httpx.Response) -> None:
        """An answer of GET or PUT /accounts/{account}."""
        if response.is_success:
            about = (account, response.json()["balance_cents"])
            self._note("balance", about, f"{response.request.method} /accounts")

    def order(self, response: httpx.Response) -> None:
        """An answer of POST /orders or GET /orders/{id}, a declined one included."""
        body = response.json()
        order = body.get("order", body)
        if "order_id" not in order:
            return
        request = f"{response.request.method} /orders"
        self._note("order", (order["order_id"],), request)
        if order["status"] != _PENDING:
            self._note("settled", (order["order_id"], order["status"]), request)

    def arrivals(self, response: httpx.Response) -> None:
        """An answer of GET /notifications."""
        if response.is_success:
            for each in response.json()["notifications"]:
                self._note("arrival", (each["notification_id"],), "GET /notifications")

    def arrival(self, response: httpx.Response) -> None:
        """An answer of POST /notifications."""
        if response.is_success:
            about = (response.json()["notification_id"],)
            self._note("arrival", about, "POST /notifications")

    async def lost(self, connection: "asyncpg.Connection[asyncpg.Record]") -> list[Final]:
        """What was told and is not there."""
        return [
            final
            for final in self._finals.values()
            if not await connection.fetchval(_THERE[final.kind], *map(_typed, final.about))
        ]

    def _of_charge(self, client: str, key: int, response: httpx.Response, request: str) -> None:
        body = response.json()
        if response.status_code in (201, 402):
            about = (client, key, response.status_code, body.get("charge_id"))
            self._note("charge", about, request)
            return
        match str(body.get("type", "")).rpartition("/")[2]:
            case "key-voided":
                self._note("voided", (client, key), request)
            case "key-forgotten":
                self._note("forgotten", (client, key), request)
            case "key-reused":
                self._note("used", (client, key), request)
            case "key-executed":
                charge_id = json.loads(body["answer"]).get("charge_id")
                self._note("charge", (client, key, body["executed_status"], charge_id), request)

    def _note(self, kind: str, about: tuple[Any, ...], request: str) -> None:
        self._finals.setdefault((kind, about), Final(kind, about, request))


def _typed(value: Any) -> Any:
    if isinstance(value, str) and len(value) == 36 and value.count("-") == 4:
        return UUID(value)
    return value


# For each kind, whether it is there. A key below the client's mark may have been forgotten since; its money may not.
_THERE = {
    "charge": """
        SELECT (EXISTS (SELECT FROM billing.clients WHERE client = $1 AND first_incomplete > $2)
                OR EXISTS (SELECT FROM billing.processed_keys
                           WHERE client = $1 AND sequence_key = $2 AND status = $3::integer))
           AND ($4::uuid IS NULL OR EXISTS (SELECT FROM billing.ledger WHERE charge_id = $4::uuid))
    """,
    "voided": """
        SELECT EXISTS (SELECT FROM billing.clients WHERE client = $1 AND first_incomplete > $2)
            OR EXISTS (SELECT FROM billing.processed_keys WHERE client = $1 AND sequence_key = $2 AND status = 410)
    """,
    "forgotten": "SELECT EXISTS (SELECT FROM billing.clients WHERE client = $1 AND first_incomplete > $2)",
    "used": """
        SELECT EXISTS (SELECT FROM billing.clients WHERE client = $1 AND first_incomplete > $2)
            OR EXISTS (SELECT FROM billing.processed_keys WHERE client = $1 AND sequence_key = $2)
    """,
    # Balances only fall.
    "balance": "SELECT EXISTS (SELECT FROM billing.accounts WHERE account = $1 AND balance_cents <= $2)",
    "order": "SELECT EXISTS (SELECT FROM orders.orders WHERE order_id = $1)",
    "settled": "SELECT EXISTS (SELECT FROM orders.orders WHERE order_id = $1 AND status = $2)",
    "arrival": "SELECT EXISTS (SELECT FROM notifications.arrivals WHERE notification_id = $1)",
}
