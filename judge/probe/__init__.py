"""The probe: reads from outside what really happened, by HTTP, SQL or a command."""
