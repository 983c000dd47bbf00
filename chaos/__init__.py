"""Plays failures against the stack, and judges from evidence. The services know nothing of it."""
