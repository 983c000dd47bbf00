"""The bug: a long key is cut, so two that begin alike are one."""

import sqlite3
from dataclasses import replace

from tests.judge.planted import right
from tests.judge.planted.server import Payment, Reply, serve

_KEPT = 64


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    # Two requests under one key are told apart by their payloads; here it is the answer of the first that is given.
    key = payment.key[:_KEPT]
    content = payment.content if len(payment.key) <= _KEPT else b""
    return right.pay(database, replace(payment, key=key, content=content))


if __name__ == "__main__":
    serve(pay, key_chars_max=10_000)
