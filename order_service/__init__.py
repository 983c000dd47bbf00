"""The caller's half: an order is billed once, even when the network fails."""
