"""The SQL that changes orders: one module for each thing that happens to an order."""
