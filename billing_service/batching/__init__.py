"""Executes many charges in one transaction. `billing_service/charge.py`, whose outcomes it reproduces, imports nothing from here."""
