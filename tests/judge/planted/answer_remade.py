"""The bug: a key is kept, and its answer only in memory: after a start the answer is made anew."""

import json
import sqlite3
import uuid

from tests.judge.planted import right
from tests.judge.planted.server import Payment, Reply, serve

_answers: dict[str, Reply] = {}


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    reply = right.pay(database, payment)
    if reply.status != 201:
        return reply
    made = Reply(201, json.dumps({**json.loads(reply.body), "payment": str(uuid.uuid4())}))
    return _answers.setdefault(payment.scoped, made)


if __name__ == "__main__":
    serve(pay)
