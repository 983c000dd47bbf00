"""What was seen: the journal of the wrapped services and readings of Postgres."""
