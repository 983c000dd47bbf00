"""Judges any service that accepts idempotency keys: strikes the network and the process, counts what really happened."""
