"""Runs the whole system on one machine without Docker: Postgres, Toxiproxy, and the three services as processes."""
