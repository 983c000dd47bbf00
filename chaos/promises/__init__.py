"""What must hold, the verdict, and the audit of the whole database."""
