"""The bug: the key is committed with its answer before the effect. A lock keeps twins apart, but not a crash."""

import json
import sqlite3
import threading
import uuid

from tests.judge.planted.server import Payment, Reply, replayed, serve, store, stored, work

_lock = threading.Lock()


def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
    with _lock:
        known = stored(database, payment.scoped)
        if known is not None:
            return replayed(known, payment)
        made = str(uuid.uuid4())
        reply = Reply(201, json.dumps({"payment": made}))
        store(database, payment.scoped, payment.fingerprint, reply)
        work()
        sql = "INSERT INTO payments VALUES (?, ?, ?)"
        database.execute(sql, (made, payment.account, payment.amount))
        return reply


if __name__ == "__main__":
    serve(pay)
