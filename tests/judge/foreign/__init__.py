"""Published idempotency middlewares, each behind a small application, for the judge: `make judged`."""
