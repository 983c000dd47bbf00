"""The speed of charges: many share one transaction. The lesson, `billing_service/charge.py`, imports nothing of it."""
