"""No bug: requests that come together are told to come again, each of them."""

import sqlite3
import threading

from tests.judge.planted import right
from tests.judge.planted.server import Pay, Payment, Reply, serve

# Longer than requests of one moment need to arrive.
_TOGETHER_S = 0.3
_lock = threading.Lock()
_under_way, _crowded = 0, False


def refusing(crowds: Reply) -> Pay:
    """Answers each request of a crowd with `crowds`, and one that comes alone rightly."""

    def pay(database: sqlite3.Connection, payment: Payment) -> Reply:
        global _under_way, _crowded
        with _lock:
            _under_way += 1
            _crowded = _crowded or _under_way > 1
        try:
            threading.Event().wait(_TOGETHER_S)
            return crowds if _crowded else right.pay(database, payment)
        finally:
            with _lock:
                _under_way -= 1
                _crowded = _crowded and _under_way > 0

    return pay


if __name__ == "__main__":
    serve(refusing(Reply(503, '{"error": "too busy"}', busy=True)))
